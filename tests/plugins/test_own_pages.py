"""The pages core itself serves in a tenant's frame: the set-up, and the plugins."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from coursesignal.plugins.fields import entered, form_fields
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import FakeKajabi, use_platform

Visitor = Any
"""The tenant's person in a browser, of the fixture ``in_browser``."""
InBrowser = Callable[[ActingTenant], Awaitable[Visitor]]


@pytest.fixture
async def owner(in_browser: InBrowser, make_tenant: TenantMaker) -> Visitor:
    return await in_browser(await make_tenant(plugins=()))


async def state(owner: Visitor, slug: str) -> bool:
    lines = (await owner.http.get("/api/plugins", headers=owner.tenant.headers)).json()
    return bool(next(line["enabled"] for line in lines if line["slug"] == slug))


def text(answer: httpx.Response) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


async def test_a_new_tenant_finds_the_snippet_and_every_platform(owner: Visitor) -> None:
    answer = await owner.get("connections")
    assert answer.status_code == 200
    assert owner.tenant.site_key in answer.text
    for words in ("waiting for the first visit", "Connect Kajabi", "Connect Teachable", "API key (client id)"):
        assert words in text(answer), words


async def test_a_platform_is_connected_synced_and_disconnected_from_the_page(
    owner: Visitor, installation: Runtime
) -> None:
    async with FakeKajabi(client_id="client", client_secret="secret") as kajabi:
        use_platform(installation, kajabi)
        wrong = await owner.post("connections/kajabi", {"do": "connect", "clientId": "client", "clientSecret": "guess"})
        assert wrong.status_code == 422
        assert "unknown client" in text(wrong)
        assert "guess" not in wrong.text
        assert 'value="client"' in wrong.text
        right = {"do": "connect", "clientId": "client", "clientSecret": "secret"}
        made = await owner.post("connections/kajabi", right)
        assert made.headers["location"].endswith("/connections?done=connect")
        page = text(await owner.get("connections?done=connect"))
        for words in ("Connected.", "Example Academy", "Sync now", "Disconnect"):
            assert words in page, words
        assert (await owner.post("connections/kajabi", {"do": "sync"})).status_code == 303
        assert (await owner.post("connections/kajabi", {"do": "disconnect"})).status_code == 303
        assert "Connect Kajabi" in text(await owner.get("connections"))


async def test_a_form_of_another_site_changes_nothing(owner: Visitor) -> None:
    answer = await owner.post("plugins/launches", {"do": "switch", "enabled": "false"}, csrf="guessed")
    assert answer.status_code == 403
    assert await state(owner, "launches")


async def test_a_platform_or_plugin_that_is_not_there_is_not_found(owner: Visitor) -> None:
    assert (await owner.post("connections/nowhere", {"do": "connect"})).status_code == 404
    assert (await owner.post("connections/kajabi", {"do": "dance"})).status_code == 404
    assert (await owner.post("plugins/nowhere", {"do": "switch"})).status_code == 404


async def test_every_bundled_plugin_is_turned_on_and_off_from_the_page(owner: Visitor, installation: Runtime) -> None:
    assert not installation.registry.quarantined
    slugs = [plugin.slug for plugin in installation.registry.plugins]
    assert sorted(slugs) == ["dashboard", "email", "kajabi", "launches", "recommendations", "stripe", "teachable"]
    for slug in slugs:
        for wanted in ("true", "false", "true"):
            answer = await owner.post(f"plugins/{slug}", {"do": "switch", "enabled": wanted})
            assert answer.status_code == 303, (slug, answer.text)
            assert await state(owner, slug) is (wanted == "true")


async def test_pages_of_a_plugin_go_with_it_and_the_menu_follows(owner: Visitor) -> None:
    for slug in ("launches", "recommendations", "dashboard"):
        assert (await owner.get(slug)).status_code == 200
        assert f'/{slug}"' in (await owner.get("plugins")).text
        await owner.post(f"plugins/{slug}", {"do": "switch", "enabled": "false"})
        assert (await owner.get(slug)).status_code == 404
        assert f'/app/{owner.tenant.tenant.slug}/{slug}"' not in (await owner.get("plugins")).text


async def test_a_tenants_address_leads_to_the_first_page_it_has(owner: Visitor) -> None:
    slug = owner.tenant.tenant.slug
    assert (await owner.get("")).headers["location"] == f"/app/{slug}/dashboard"
    for plugin in ("dashboard", "launches", "recommendations"):
        await owner.post(f"plugins/{plugin}", {"do": "switch", "enabled": "false"})
    assert (await owner.get("")).headers["location"] == f"/app/{slug}/connections"


async def test_settings_are_saved_from_the_page(owner: Visitor) -> None:
    page = await owner.get("plugins")
    assert "Settings" in text(page)
    names = re.findall(r'id="email-(\w+)"', page.text)
    assert names
    answer = await owner.post("plugins/email", {"do": "settings"})
    assert answer.status_code == 303, answer.text
    line = (await owner.http.get("/api/plugins/email", headers=owner.tenant.headers)).json()
    assert all(line["settings"][name] is False for name in names if isinstance(line["settings"].get(name), bool))


async def test_a_viewer_sees_and_cannot_change(in_browser: InBrowser, make_tenant: TenantMaker) -> None:
    viewer = await in_browser(await make_tenant(role="viewer"))
    for page in ("connections", "plugins"):
        answer = await viewer.get(page)
        assert answer.status_code == 200
        assert "An owner or admin" in text(answer)
        assert "<button>Turn" not in answer.text
    assert (await viewer.post("plugins/launches", {"do": "switch", "enabled": "false"})).status_code == 403
    assert (await viewer.post("connections/kajabi", {"do": "connect"})).status_code == 403


SCHEMA = {
    "properties": {
        "apiKey": {"type": "string", "format": "password", "writeOnly": True},
        "pageSize": {"type": "integer", "default": 20},
        "loud": {"type": "boolean", "default": False},
        "mood": {"enum": ["calm", "wild"], "default": "calm"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "title": "A note"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["apiKey"],
}


def test_a_schema_becomes_fields_and_secrets_are_never_in_them() -> None:
    fields = {field.name: field for field in form_fields(SCHEMA, {"apiKey": {"set": True}, "pageSize": 5})}
    assert [field.kind for field in fields.values()] == ["password", "number", "checkbox", "select", "text"]
    assert (fields["apiKey"].value, fields["apiKey"].is_set, fields["apiKey"].required) == ("", True, False)
    assert (fields["pageSize"].label, fields["pageSize"].value) == ("Page size", "5")
    assert fields["note"].label == "A note"


def test_what_was_entered_becomes_values_and_what_was_not_shown_stays() -> None:
    form = {"apiKey": "", "pageSize": "7", "mood": "wild", "note": "  hello "}
    assert entered(SCHEMA, form, {"tags": ["a"]}) == {
        "pageSize": 7, "loud": False, "mood": "wild", "note": "hello", "tags": ["a"],
    }  # fmt: skip
    assert entered(SCHEMA, {"pageSize": "many"}, {})["pageSize"] == "many"
