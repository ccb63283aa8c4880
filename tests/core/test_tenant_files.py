"""Tenants as files: what ``tenant.toml`` says becomes so, once, and a mistake is named by file and field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from coursesignal.demo.shops import AGENCY_SLUG, SHOPS
from coursesignal.errors import ConfigurationError
from coursesignal.runtime import Runtime
from coursesignal.tenancy import files

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
    ],
)
async def test_a_mistake_is_named_by_its_file(installation: Runtime, tmp_path: Path, text: str, named: str) -> None:
    write(tmp_path, "shop", text)
    with pytest.raises(ConfigurationError, match=named) as raised:
        await apply(installation, tmp_path)
    assert f"shop/{files.FILE}" in str(raised.value)


def test_the_demos_tenants_are_the_examples() -> None:
    wanted = files.read(ROOT / "tenants")
    assert set(wanted) == {shop.slug for shop in SHOPS}
    for shop in SHOPS:
        file = wanted[shop.slug]
        assert (file.name, file.agency) == (shop.name, AGENCY_SLUG)
        assert (file.currency, file.time_zone) == (shop.currency, shop.time_zone)
        assert file.plugins[shop.platform]
