"""Tenants as files: what ``tenant.toml`` says becomes so, once, and a mistake is named by file and field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import fields

from coursesignal.demo.shops import AGENCY_SLUG, SHOPS
from coursesignal.errors import ConfigurationError
from coursesignal.runtime import Runtime
from coursesignal.tenancy import files
from coursesignal.tenancy.schemas import TenantChange, TenantOut
from coursesignal.testing.fixtures import TenantMaker

ROOT = Path(__file__).parents[2]
ATELIER = """
name = "Atelier Anna"
agency = "northlight"
currency = "SEK"
time_zone = "Europe/Stockholm"
lookback_days = 30

[plugins]
teachable = false
"""


def write(directory: Path, slug: str, text: str) -> None:
    (directory / slug).mkdir(exist_ok=True)
    (directory / slug / files.FILE).write_text(text)


async def apply(installation: Runtime, directory: Path) -> Mapping[str, str]:
    registry = installation.registry
    return await files.apply(installation.database, files.read(directory), registry.plugins, registry.models)


async def stored(installation: Runtime, slug: str) -> dict[str, object]:
    async with installation.database.control() as conn:
        row = await conn.fetchrow(
            """
            select t.id, t.name, t.currency, t.time_zone, t.lookback_days, t.default_model, a.slug as agency
            from tenants t left join agencies a on a.id = t.agency_id where t.slug = $1
            """,
            slug,
        )
    async with installation.database.tenant(row["id"]) as conn:
        states = await conn.fetch("select plugin, granted from plugin_states where tenant_id = $1", row["id"])
    return {**row, "granted": {state["plugin"]: state["granted"] for state in states}}


async def test_a_file_opens_a_tenant_once_and_changes_it_when_it_changes(installation: Runtime, tmp_path: Path) -> None:
    write(tmp_path, "atelier-anna", ATELIER)
    assert await apply(installation, tmp_path) == {"atelier-anna": "opened"}
    assert await apply(installation, tmp_path) == {"atelier-anna": "unchanged"}
    opened = await stored(installation, "atelier-anna")
    assert (opened["name"], opened["agency"], opened["currency"]) == ("Atelier Anna", "northlight", "SEK")
    assert (opened["time_zone"], opened["lookback_days"]) == ("Europe/Stockholm", 30)
    assert opened["granted"] == {"teachable": False}
    write(tmp_path, "atelier-anna", 'name = "Anna"\n[plugins]\nteachable = true')
    assert await apply(installation, tmp_path) == {"atelier-anna": "changed"}
    changed = await stored(installation, "atelier-anna")
    assert changed == {**opened, "name": "Anna", "granted": {"teachable": True}}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('name = "A"\ncolour = "red"', "colour"),
        ("name = ", "Invalid value"),
        ('name = "A"\ncurrency = "EURO"', "currency"),
        ('name = "A"\ntime_zone = "Mars/Olympus"', "timeZone"),
        ('name = "A"\ndefault_model = "astrology"', "defaultModel"),
        ('name = "A"\n[plugins]\nweather = true', "weather"),
        ('name = "A"\nlookback_days = 0', "lookback_days"),
        ('name = "A"\nlookback_days = 5000', "lookbackDays"),
        ('name = "A"\nw_first_share = 0.9\nw_last_share = 0.9', "wFirstShare"),
        ('name = "A"\ncount_automation = "no"', "count_automation"),
        ('name = "A"\nretention_days = 7', "retention_days"),
        ('name = "A"\nretention_days = "long"', "retention_days"),
        ('name = "A"\nslug = "b"', "slug"),
        ("currency = 'EUR'", "name"),
    ],
)
async def test_a_mistake_is_named_by_its_file(installation: Runtime, tmp_path: Path, text: str, named: str) -> None:
    write(tmp_path, "shop", text)
    with pytest.raises(ConfigurationError, match=named) as raised:
        await apply(installation, tmp_path)
    assert f"shop/{files.FILE}" in str(raised.value)


VALUES: Mapping[str, Any] = {
    "name": "Anna & Co",
    "currency": "NOK",
    "time_zone": "Europe/Oslo",
    "lookback_days": 36_500,
    "default_model": "linear",
    "half_life_days": 3.5,
    "first_share": 0.35,
    "last_share": 0.25,
    "w_first_share": 0.2,
    "w_opt_in_share": 0.4,
    "w_last_share": 0.25,
    "checkout_pages": ["*/welcome-aboard*"],
}
"""One other than the default for every setting that is no switch."""


def spelled(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


async def settings_of(client: httpx.AsyncClient, slug: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """All settings a tenant's admin reads over HTTP, by the names a file gives them."""
    answer = (await client.get(f"/api/tenants/{slug}", headers=headers)).json()
    kept = (await client.get("/api/privacy", headers=headers)).json()["retentionDays"]
    return {name: answer[spelled(name)] for name in files.SETTINGS} | {"retention_days": kept}


def as_toml(values: Mapping[str, Any]) -> str:
    lines = {name: str(value).lower() if isinstance(value, bool) else repr(value) for name, value in values.items()}
    return "\n".join(f"{name} = {value}" for name, value in lines.items())


async def test_a_file_can_say_all_that_the_api_can_and_says_it_in_the_audit_log(
    installation: Runtime, client: httpx.AsyncClient, make_tenant: TenantMaker, tmp_path: Path
) -> None:
    tenant = await make_tenant()
    slug = tenant.tenant.slug
    before = await settings_of(client, slug, tenant.headers)
    wanted = {name: not before[name] if isinstance(before[name], bool) else VALUES[name] for name in files.SETTINGS}
    wanted["retention_days"] = 400
    assert [name for name, value in wanted.items() if before[name] == value] == []
    write(tmp_path, slug, as_toml(wanted))
    assert await apply(installation, tmp_path) == {slug: "changed"}
    assert await settings_of(client, slug, tenant.headers) == wanted
    assert await apply(installation, tmp_path) == {slug: "unchanged"}
    log = (await client.get("/api/audit", headers=tenant.headers)).json()["items"]
    noted = [set(entry["detail"]) for entry in log if entry["action"] in ("tenant.changed", "privacy.changed")]
    assert set().union(*noted) == set(wanted) and len(noted) == 2
    write(tmp_path, slug, f'name = "{VALUES["name"]}"\nretention_days = "forever"')
    assert await apply(installation, tmp_path) == {slug: "changed"}
    assert await settings_of(client, slug, tenant.headers) == wanted | {"retention_days": None}


def test_every_setting_is_readable_and_documented() -> None:
    assert set(files.SETTINGS) == {field.name for field in fields(TenantChange)} - {"slug"}
    assert set(files.SETTINGS) <= {field.name for field in fields(TenantOut)}
    documented = (package_files("coursesignal.docs") / "settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", documented, re.MULTILINE))
    assert rows == {name: spelled(name) for name in (*files.SETTINGS, "retention_days")}


def test_the_demos_tenants_are_the_examples() -> None:
    wanted = files.read(ROOT / "tenants")
    assert set(wanted) == {shop.slug for shop in SHOPS}
    for shop in SHOPS:
        file = wanted[shop.slug]
        assert (file.name, file.agency) == (shop.name, AGENCY_SLUG)
        assert (file.settings.currency, file.settings.time_zone) == (shop.currency, shop.time_zone)
        assert file.plugins[shop.platform]
