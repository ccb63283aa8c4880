"""A tenant turns plugins on and off and fills in their settings over HTTP; what is saved was checked and tested."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from coursesignal_sample.fake import API_KEY, FakeSample

from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker

RunJobs = Callable[[], Awaitable[None]]
Client = httpx.AsyncClient


@pytest.fixture(scope="module")
def installation(sample_installation: Runtime, sample_platform: FakeSample) -> Runtime:
    return sample_installation


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    """A tenant that never decided about any plugin."""
    return await make_tenant(plugins=())


@pytest.fixture
def put(client: Client, tenant: ActingTenant) -> Callable[..., Awaitable[httpx.Response]]:
    async def send(slug: str = "sample", **body: Any) -> httpx.Response:
        return await client.put(f"/api/plugins/{slug}", headers=tenant.headers, json=body)

    return send


Put = Callable[..., Awaitable[httpx.Response]]


def wrong_fields(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {error["path"]: error["message"] for error in answer.json()["errors"]}


async def rows(tenant: ActingTenant, query: str) -> list[Any]:
    async with tenant.transaction() as conn:
        found: list[Any] = await conn.fetch(query, tenant.id)
    return found


async def test_every_plugin_is_listed_with_its_form(client: Client, tenant: ActingTenant) -> None:
    listed = (await client.get("/api/plugins", headers=tenant.headers)).json()
    assert [plugin["slug"] for plugin in listed] == ["kajabi", "teachable", "sample", "needy", "broken"]
    sample = listed[2]
    assert (sample["granted"], sample["enabled"], sample["state"]) == (True, False, "ok")
    assert sample["settings"] == {"apiKey": {"set": False}, "notesPerPage": 15}
    schema = sample["settingsSchema"]
    assert schema["properties"]["apiKey"]["writeOnly"] is True
    assert schema["properties"]["greeting"]["title"] == "Greeting"
    assert schema["additionalProperties"] is False


async def test_turning_on_and_off_runs_the_lifecycle_hooks(put: Put, tenant: ActingTenant, run_jobs: RunJobs) -> None:
    assert (await put(enabled=True)).json()["enabled"] is True
    assert (await put(enabled=True)).status_code == 200
    await run_jobs()
    assert (await put(enabled=False)).json()["enabled"] is False
    await run_jobs()
    kinds = [
        row["kind"] for row in await rows(tenant, "select kind from sample_notes where tenant_id = $1 order by id")
    ]
    assert kinds == ["plugin_enabled", "plugin_disabled"]


async def test_saved_settings_reach_the_plugin_and_it_is_told_which_changed(
    put: Put, tenant: ActingTenant, run_jobs: RunJobs
) -> None:
    saved = await put(enabled=True, settings={"apiKey": API_KEY, "greeting": "Good morning"})
    assert saved.status_code == 200, saved.text
    assert saved.json()["settings"] == {"apiKey": {"set": True}, "greeting": "Good morning", "notesPerPage": 15}
    await run_jobs()
    noted = {row["kind"]: row["body"] for row in await rows(tenant, "select * from sample_notes where tenant_id = $1")}
    assert noted == {"plugin_enabled": "Good morning", "settings_changed": "apiKey, greeting"}


async def test_every_wrong_field_is_named_and_nothing_is_saved(put: Put, tenant: ActingTenant) -> None:
    answer = await put(settings={"greeting": 7, "notesPerPage": 0, "mood": "odd", "colour": "red", "apiKey": "short"})
    assert wrong_fields(answer) == {
        "settings.greeting": "Expected str, got int.",
        "settings.notesPerPage": "Expected int >= 1.",
        "settings.mood": "Invalid enum value 'odd'.",
        "settings.colour": "There is no such field.",
        "settings.apiKey": "Expected str of length >= 8.",
    }
    assert await rows(tenant, "select 1 from plugin_states where tenant_id = $1") == []


async def test_settings_larger_than_64_kib_are_refused(put: Put) -> None:
    assert wrong_fields(await put(settings={"greeting": "x" * 70_000})) == {"settings": "Is larger than 64 KiB."}


async def test_an_unknown_field_of_the_body_is_refused(put: Put) -> None:
    assert (await put(enabled=True, granted=True)).status_code == 422


async def test_settings_are_tested_at_the_platform_before_they_are_saved(put: Put, tenant: ActingTenant) -> None:
    answer = await put(settings={"apiKey": "wrong-key-1"})
    assert wrong_fields(answer) == {"settings.apiKey": "Sample does not know this API key."}
    assert await rows(tenant, "select 1 from plugin_states where tenant_id = $1") == []


async def test_settings_that_cannot_be_tested_now_are_not_saved(
    put: Put, tenant: ActingTenant, sample_platform: FakeSample
) -> None:
    sample_platform.fail(1)
    answer = await put(settings={"apiKey": API_KEY})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "30"
    assert "could not be tested with Sample. Nothing was saved" in answer.json()["title"]
    assert await rows(tenant, "select 1 from plugin_states where tenant_id = $1") == []


async def test_a_secret_is_never_sent_back_and_never_stored_in_the_open(
    client: Client, put: Put, tenant: ActingTenant
) -> None:
    await put(settings={"apiKey": API_KEY})
    listed = await client.get("/api/plugins", headers=tenant.headers)
    assert API_KEY not in listed.text
    (row,) = await rows(tenant, "select p.*, p::text as everything from plugin_states p where tenant_id = $1")
    assert row["settings"] == {}
    assert API_KEY not in row["everything"]
    assert API_KEY.encode() not in row["secrets"]


async def test_a_secret_that_is_left_out_is_kept_and_null_takes_it_away(put: Put, sample_platform: FakeSample) -> None:
    await put(settings={"apiKey": API_KEY})
    for same in ({"greeting": "Hi"}, {"greeting": "Ho", "apiKey": {"set": True}}):
        assert (await put(settings=same)).json()["settings"]["apiKey"] == {"set": True}
    assert sample_platform.calls[-1].headers["authorization"] == f"Bearer {API_KEY}"
    gone = await put(settings={"apiKey": None})
    assert wrong_fields(gone) == {"settings.apiKey": "Paste the API key from sample.test."}


async def test_a_secret_belongs_to_its_tenant(
    put: Put, tenant: ActingTenant, make_tenant: TenantMaker, client: Client
) -> None:
    await put(settings={"apiKey": API_KEY})
    (stolen,) = await rows(tenant, "select secrets from plugin_states where tenant_id = $1")
    other = await make_tenant(plugins=("sample",))
    async with other.transaction() as conn:
        await conn.execute("update plugin_states set secrets = $2 where tenant_id = $1", other.id, stolen["secrets"])
    shown = (await client.get("/api/plugins/sample", headers=other.headers)).json()
    assert shown["settings"]["apiKey"] == {"set": False}
    assert shown["state"] == "failing"
    assert "enter the secrets again" in shown["problem"]


async def test_a_plugin_that_is_not_granted_cannot_be_turned_on(put: Put, tenant: ActingTenant) -> None:
    async with tenant.transaction() as conn:
        await conn.execute(
            "insert into plugin_states (tenant_id, plugin, granted) values ($1, 'sample', false)", tenant.id
        )
    answer = await put(enabled=True)
    assert answer.status_code == 403
    assert answer.json()["title"] == "Sample is not granted to this tenant. Ask your agency for it."


async def test_an_unknown_plugin_is_not_found(put: Put) -> None:
    assert (await put("absent", enabled=True)).status_code == 404


async def test_viewers_may_look_and_not_touch(client: Client, make_tenant: TenantMaker) -> None:
    viewer = await make_tenant(plugins=(), role="viewer")
    assert (await client.get("/api/plugins", headers=viewer.headers)).status_code == 200
    refused = await client.put("/api/plugins/sample", headers=viewer.headers, json={"enabled": True})
    assert refused.status_code == 403
    assert (await client.get("/api/plugins")).status_code == 401


async def test_what_changed_is_in_the_audit_log_without_values(put: Put, tenant: ActingTenant) -> None:
    await put(enabled=True, settings={"apiKey": API_KEY, "greeting": "Psst"})
    (entry,) = await rows(tenant, "select * from audit_log where tenant_id = $1")
    assert (entry["action"], entry["subject"]) == ("plugin.changed", "sample")
    assert entry["detail"] == {"enabled": True, "settings": ["apiKey", "greeting"]}


async def test_settings_may_have_an_installation_wide_default(put: Put, sample_installation: Runtime) -> None:
    assert sample_installation.registry.by_slug["sample"].defaults == {"notesPerPage": 15}
    assert (await put(enabled=True)).json()["settings"]["notesPerPage"] == 15


async def test_a_plugin_that_could_not_be_loaded_is_listed_without_its_reason(
    client: Client, put: Put, tenant: ActingTenant, sample_installation: Runtime
) -> None:
    assert "no luck" in sample_installation.registry.quarantined[0].reason
    shown = (await client.get("/api/plugins/broken", headers=tenant.headers)).json()
    assert (shown["state"], shown["granted"], shown["enabled"]) == ("unavailable", False, False)
    assert "no luck" not in str(shown)
    assert (await put("broken", enabled=True)).status_code == 404


async def test_a_plugin_is_turned_on_after_what_it_requires_and_off_before_it(
    put: Put, client: Client, tenant: ActingTenant
) -> None:
    wish = {"enabled": True, "settings": {"word": "x"}}
    assert wrong_fields(await put("needy", **wish)) == {"enabled": "Turn on Sample first."}
    assert (await put("sample", enabled=True)).status_code == 200
    assert (await put("needy", **wish)).json()["state"] == "ok"
    refused = await put("sample", enabled=False)
    assert refused.status_code == 409
    assert refused.json()["title"] == "Scratch needs it. Turn that off first."

    async with tenant.transaction() as conn:  # the agency takes back its grant
        await conn.execute(
            "update plugin_states set granted = false where tenant_id = $1 and plugin = 'sample'", tenant.id
        )
    shown = (await client.get("/api/plugins/needy", headers=tenant.headers)).json()
    assert (shown["enabled"], shown["state"]) == (True, "waiting")


async def test_a_plugin_that_needs_settings_is_turned_on_with_them_only(put: Put) -> None:
    await put("sample", enabled=True)
    assert wrong_fields(await put("needy", enabled=True)) == {"settings.word": "Is required."}
    assert (await put("needy", settings={"word": "x"})).json()["enabled"] is False
    assert (await put("needy", enabled=True)).json()["enabled"] is True
