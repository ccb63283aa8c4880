"""The life of a connection, through HTTP, against fake platforms that answer over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import FakeKajabi, FakeTeachable, use_platform

RunJobs = Callable[[], Awaitable[None]]
KEY = {"apiKey": "teachable-key"}
KAJABI = {"clientId": "kajabi-client", "clientSecret": "kajabi-secret"}


@pytest.fixture(autouse=True)
def everything_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no plugin here listens to is announced all the same."""
    monkeypatch.setattr("coursesignal.jobs.outbox._heard", None)


@pytest.fixture
async def school(installation: Runtime) -> AsyncIterator[FakeTeachable]:
    async with FakeTeachable() as platform:
        use_platform(installation, platform)
        yield platform


@pytest.fixture
async def kajabi(installation: Runtime) -> AsyncIterator[FakeKajabi]:
    async with FakeKajabi() as platform:
        use_platform(installation, platform)
        yield platform


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


def path_of(url: str) -> str:
    return url.removeprefix("http://coursesignal.test")


async def connect(
    client: httpx.AsyncClient, tenant: ActingTenant, platform: str, body: dict[str, str]
) -> dict[str, Any]:
    answer = await client.post(f"/api/{platform}/connect", json=body, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def get(client: httpx.AsyncClient, tenant: ActingTenant, path: str) -> dict[str, Any]:
    answer = await client.get(path, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def purchases(tenant: ActingTenant) -> list[tuple[int, int]]:
    """What each purchase with money took in and gave back, smallest first."""
    async with tenant.transaction() as conn:
        rows = await conn.fetch(
            "select charged_minor, refunded_minor from purchases where tenant_id = $1 and charged_minor > 0 order by 1, 2",
            tenant.id,
        )
    return [(row["charged_minor"], row["refunded_minor"]) for row in rows]


async def outbox(tenant: ActingTenant, name: str) -> list[dict[str, Any]]:
    async with tenant.transaction() as conn:
        rows = await conn.fetch(
            "select payload from outbox where tenant_id = $1 and kind = 'event' and name = $2 order by created_at",
            tenant.id,
            name,
        )
    return [row["payload"] for row in rows]


async def test_a_newcomer_connects_teachable_and_sees_a_sale(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable, run_jobs: RunJobs
) -> None:
    form = await get(client, tenant, "/api/teachable/connect")
    assert form["kind"] == "credentials"
    assert form["schema"]["required"] == ["apiKey"]
    assert form["schema"]["properties"]["apiKey"]["writeOnly"] is True
    assert "API Keys" in form["help"]

    connected = await connect(client, tenant, "teachable", KEY)
    assert connected["status"] == "connected"
    assert connected["account"] == {"id": "school", "name": "Teachable school"}
    assert connected["webhooks"] == "manual"
    assert "Transaction.created" in connected["webhookHelp"]
    await run_jobs()
    assert (await get(client, tenant, "/api/teachable/sync-status"))["status"] == "completed"

    school.sell("pat@example.com", 19_900)
    answers = await school.deliver(path_of(connected["webhookUrl"]), http=client)
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == {"received": True}
    await run_jobs()
    assert await purchases(tenant) == [(19_900, 0)]
    status = await get(client, tenant, "/api/teachable/status")
    assert (status["connected"], status["state"], status["account"]["id"]) == (True, "ready", "school")
    assert status["lastWebhookAt"] and status["lastSyncAt"]
    assert status["webhookUrl"] == connected["webhookUrl"]


async def test_a_wrong_key_is_refused_in_the_platforms_words_and_leaves_nothing(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable
) -> None:
    answer = await client.post("/api/teachable/connect", json={"apiKey": "not-it"}, headers=tenant.headers)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["errors"][0]["path"] == "apiKey"
    assert "Invalid API key" in problem["errors"][0]["message"]
    async with tenant.transaction() as conn:
        assert await conn.fetchval("select count(*) from connections where tenant_id = $1", tenant.id) == 0
    assert (await get(client, tenant, "/api/teachable/status"))["state"] == "off"


@pytest.mark.parametrize(("body", "path"), [
    ({}, "apiKey"), ({"apiKey": 7}, "apiKey"), ({"apiKey": ""}, "apiKey"), ({"apiKey": "x", "admin": True}, "admin"),
    ({"apiKey": "x", "refundsIn": "gold"}, "refundsIn"),
])  # fmt: skip
async def test_a_form_filled_in_wrongly_names_the_field(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable, body: dict[str, Any], path: str
) -> None:
    answer = await client.post("/api/teachable/connect", json=body, headers=tenant.headers)
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == [path]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"apiKey": "\\u0000"}'])
async def test_a_hostile_form_is_a_clear_refusal(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable, body: bytes
) -> None:
    headers = {**tenant.headers, "content-type": "application/json"}
    answer = await client.post("/api/teachable/connect", content=body, headers=headers)
    assert 400 <= answer.status_code < 500


async def test_a_platform_that_is_down_is_said_to_be_down(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable
) -> None:
    school.throttle(headers={"RateLimit-Reset": "17"})
    answer = await client.post("/api/teachable/connect", json=KEY, headers=tenant.headers)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "17"
    assert "rate limit" in answer.json()["detail"]


async def test_credentials_are_sealed_and_never_shown(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi
) -> None:
    connected = await connect(client, tenant, "kajabi", KAJABI)
    shown = str(connected) + (await client.get("/api/kajabi/status", headers=tenant.headers)).text
    async with tenant.transaction() as conn:
        row = await conn.fetchrow("select * from connections where tenant_id = $1 and state = 'ready'", tenant.id)
    assert row is not None
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in row.values())
    key = connected["webhookUrl"].rsplit("/", 1)[1]
    assert "kajabi-secret" not in shown
    assert b"kajabi-secret" not in stored
    assert key.encode() not in stored
    assert len(key) >= 22, "at least 128 random bits"


async def test_kajabi_registers_its_hooks_and_they_reach_us(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    connected = await connect(client, tenant, "kajabi", KAJABI)
    assert connected["webhooks"] == "registered"
    assert {hook["attributes"]["target_url"] for hook in kajabi.hooks.values()} == {connected["webhookUrl"]}
    kajabi.sell("pat@example.com", 19_900)
    answers = await kajabi.deliver(http=client)
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    await run_jobs()
    assert await purchases(tenant) == [(19_900, 0)]


async def test_connecting_turns_the_plugin_on_if_the_agency_grants_it(
    client: httpx.AsyncClient, make_tenant: TenantMaker, school: FakeTeachable
) -> None:
    newcomer, refused = await make_tenant(plugins=()), await make_tenant(plugins=())
    assert (await client.post("/api/teachable/sync", headers=newcomer.headers)).status_code == 404
    await connect(client, newcomer, "teachable", KEY)
    assert (await client.post("/api/teachable/sync", headers=newcomer.headers)).status_code == 202
    async with refused.transaction() as conn:
        await conn.execute(
            "insert into plugin_states (tenant_id, plugin, granted) values ($1, 'teachable', false)", refused.id
        )
    for method in ("GET", "POST"):
        answer = await client.request(
            method, "/api/teachable/connect", json=KEY if method == "POST" else None, headers=refused.headers
        )
        assert answer.status_code == 404


async def test_a_viewer_may_look_and_not_touch(
    client: httpx.AsyncClient, make_tenant: TenantMaker, school: FakeTeachable
) -> None:
    viewer = await make_tenant(role="viewer")
    assert (await client.get("/api/teachable/status", headers=viewer.headers)).status_code == 200
    assert (await client.post("/api/teachable/connect", json=KEY, headers=viewer.headers)).status_code == 403
    assert (await client.post("/api/teachable/sync", headers=viewer.headers)).status_code == 403
    assert (await client.delete("/api/teachable/disconnect", headers=viewer.headers)).status_code == 403


async def test_disconnecting_removes_hooks_and_credentials_and_keeps_the_history(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    connected = await connect(client, tenant, "kajabi", KAJABI)
    kajabi.sell("pat@example.com", 19_900)
    await kajabi.deliver(http=client)
    await run_jobs()
    assert (await client.delete("/api/kajabi/disconnect", headers=tenant.headers)).status_code == 204
    assert kajabi.hooks == {}
    async with tenant.transaction() as conn:
        row = await conn.fetchrow("select state, credentials from connections where tenant_id = $1", tenant.id)
    assert row is not None and (row["state"], row["credentials"]) == ("disconnected", None)
    assert await purchases(tenant) == [(19_900, 0)]
    assert (await client.post(path_of(connected["webhookUrl"]), content=b"{}")).status_code == 404
    assert (await client.delete("/api/kajabi/disconnect", headers=tenant.headers)).status_code == 404
    status = await get(client, tenant, "/api/kajabi/status")
    assert (status["connected"], status["state"], status["account"]["name"]) == (
        False,
        "disconnected",
        "Example Academy",
    )
    assert [event["platform"] for event in await outbox(tenant, "connection_lost")] == ["kajabi"]


async def test_disconnecting_works_while_the_platform_is_down(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi
) -> None:
    await connect(client, tenant, "kajabi", KAJABI)
    kajabi.stop()
    assert (await client.delete("/api/kajabi/disconnect", headers=tenant.headers)).status_code == 204


async def test_reconnecting_the_same_account_doubles_nothing_and_keeps_the_address(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    for n in range(3):
        kajabi.sell(f"buyer{n}@example.com", 10_000 + n)
    first = await connect(client, tenant, "kajabi", KAJABI)
    await run_jobs()
    await client.delete("/api/kajabi/disconnect", headers=tenant.headers)
    again = await connect(client, tenant, "kajabi", KAJABI)
    await run_jobs()
    assert again["webhookUrl"] == first["webhookUrl"]
    assert {hook["attributes"]["target_url"] for hook in kajabi.hooks.values()} == {first["webhookUrl"]}
    assert len(kajabi.hooks) == 3
    assert await purchases(tenant) == [(10_000, 0), (10_001, 0), (10_002, 0)]
    async with tenant.transaction() as conn:
        assert await conn.fetchval("select count(*) from connections where tenant_id = $1", tenant.id) == 1
    assert len(await outbox(tenant, "connection_opened")) == 2


async def test_a_second_account_is_a_second_connection(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable
) -> None:
    first = await connect(client, tenant, "teachable", KEY)
    second = await connect(client, tenant, "teachable", {**KEY, "school": "Second"})
    assert first["webhookUrl"] != second["webhookUrl"]
    for url in (first["webhookUrl"], second["webhookUrl"]):
        assert (await client.get(path_of(url))).status_code == 200


async def test_two_tenants_with_the_same_account_share_nothing(
    client: httpx.AsyncClient, make_tenant: TenantMaker, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    ours, theirs = await make_tenant(), await make_tenant()
    mine = await connect(client, ours, "kajabi", KAJABI)
    other = await connect(client, theirs, "kajabi", KAJABI)
    assert mine["webhookUrl"] != other["webhookUrl"]
    await run_jobs()
    kajabi.sell("pat@example.com", 19_900)
    await kajabi.deliver(path_of(mine["webhookUrl"]), http=client)
    await run_jobs()
    assert await purchases(ours) == [(19_900, 0)]
    assert await purchases(theirs) == []
    inbox = await get(client, theirs, "/api/connections/inbox")
    assert inbox["items"] == []
    assert (await client.delete("/api/kajabi/disconnect", headers=ours.headers)).status_code == 204
    assert (await client.get(path_of(other["webhookUrl"]))).status_code == 200
    assert {hook["attributes"]["target_url"] for hook in kajabi.hooks.values()} == {other["webhookUrl"]}


async def test_turning_the_plugin_off_closes_the_webhook_address(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable
) -> None:
    connected = await connect(client, tenant, "teachable", KEY)
    async with tenant.transaction() as conn:
        await conn.execute(
            "update plugin_states set enabled = false where tenant_id = $1 and plugin = 'teachable'", tenant.id
        )
    assert (await client.post(path_of(connected["webhookUrl"]), content=b"{}")).status_code == 404
    assert (await get(client, tenant, "/api/teachable/status"))["state"] == "off"


async def test_connecting_is_in_the_audit_log(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable
) -> None:
    await connect(client, tenant, "teachable", KEY)
    await client.delete("/api/teachable/disconnect", headers=tenant.headers)
    async with tenant.transaction() as conn:
        rows = await conn.fetch(
            "select actor, action, subject from audit_log where tenant_id = $1 order by at, id", tenant.id
        )
    assert [(row["actor"], row["action"], row["subject"]) for row in rows] == [
        (tenant.email, "connection.connected", "teachable"),
        (tenant.email, "connection.disconnected", "teachable"),
    ]
