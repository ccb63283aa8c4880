"""The life of a connection: what the table of transitions says is what a random life over HTTP shows."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursesignal.connections import sync
from coursesignal.connections.states import LIVE, STATES, TRANSITIONS, TROUBLED, Happening, State, after
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import FakeKajabi, use_platform

RunJobs = Callable[[], Awaitable[None]]
KEY = {"clientId": "kajabi-client", "clientSecret": "kajabi-secret"}
HAPPENINGS: tuple[Happening, ...] = ("begun", "abandoned", "connected", "worked", "refused", "gave_up", "disconnected")


@pytest.fixture
async def kajabi(installation: Runtime) -> AsyncIterator[FakeKajabi]:
    async with FakeKajabi(sites={"2": "Example Academy", "3": "Second Academy"}) as platform:
        use_platform(installation, platform)
        yield platform


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


async def ask(
    client: httpx.AsyncClient, tenant: ActingTenant, method: str, path: str, *, expected: int = 200, **more: Any
) -> Any:
    answer = await client.request(method, path, headers=tenant.headers, **more)
    assert answer.status_code == expected, answer.text
    return answer.json() if answer.content else None


async def connect(client: httpx.AsyncClient, tenant: ActingTenant, site: str = "2") -> dict[str, Any]:
    found: dict[str, Any] = await ask(client, tenant, "POST", "/api/kajabi/connect", json={**KEY, "siteId": site})
    return found


async def run_all(tenant: ActingTenant, run_jobs: RunJobs) -> None:
    """All work, also what waits for its next attempt."""
    for _ in range(4):
        await run_jobs()
        async with tenant.transaction() as conn:
            await conn.execute(
                "update outbox set run_at = now(), lease_until = now() where tenant_id = $1 and status = 'pending'",
                tenant.id,
            )


async def revenue(tenant: ActingTenant) -> int:
    async with tenant.transaction() as conn:
        total: int = await conn.fetchval(
            "select coalesce(sum(amount_minor), 0)::bigint from charges where tenant_id = $1", tenant.id
        )
    return total


def path_of(url: str) -> str:
    return url.removeprefix("http://coursesignal.test")


@given(st.lists(st.sampled_from(HAPPENINGS), max_size=30))
def test_whatever_happens_leads_to_a_state_by_a_line_of_the_table_or_nowhere(happenings: list[Happening]) -> None:
    state: State = "off"
    for happening in happenings:
        now = after(state, happening)
        assert now in STATES
        assert now == TRANSITIONS.get((state, happening), state)
        if state == "disconnected":
            assert now == ("ready" if happening == "connected" else "disconnected")
        if now in TROUBLED and now != state:
            assert happening in ("refused", "gave_up") and state in LIVE
        state = now


def test_every_live_state_can_be_left_and_come_back_to() -> None:
    for state in LIVE:
        assert after(state, "connected") == "ready"
        assert after(state, "disconnected") == "disconnected"
        assert after(after(state, "disconnected"), "connected") == "ready"


@pytest.mark.parametrize("seed", range(3))
async def test_a_random_life_is_what_the_table_says_and_keeps_its_history(
    client: httpx.AsyncClient,
    tenant: ActingTenant,
    kajabi: FakeKajabi,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    monkeypatch.setattr(sync, "MAX_FAILURES", 2)
    rng, state, was_connected = random.Random(seed), "off", False
    for number in range(14):
        step = rng.choice(["connect", "wrong key", "disconnect", "sync", "refused", "down", "sell"])
        live = state in LIVE
        if step == "sell":
            kajabi.sell(f"buyer{number}@example.com", 10_000 + number)
        elif step == "connect":
            await connect(client, tenant)
            state, was_connected = "ready", True
        elif step == "wrong key":
            refused = {"clientId": "kajabi-client", "clientSecret": "other"}
            await ask(client, tenant, "POST", "/api/kajabi/connect", json=refused, expected=422)
        elif step == "disconnect":
            await ask(client, tenant, "DELETE", "/api/kajabi/disconnect", expected=204 if live else 404)
            state = "disconnected" if live else state
        else:
            secret = kajabi.client_secret
            kajabi.client_secret = "rotated" if step == "refused" else secret
            await run_all(tenant, run_jobs) if step != "sync" else None
            kajabi.fail(40) if step == "down" else None
            await ask(client, tenant, "POST", "/api/kajabi/sync", expected=202 if live else 404)
            await run_all(tenant, run_jobs)
            kajabi.client_secret = secret
            kajabi.trouble.clear()
            happened: Happening = {"sync": "worked", "refused": "refused", "down": "gave_up"}[step]  # type: ignore[assignment]
            state = after(state, happened) if live else state  # type: ignore[arg-type]
        if step in ("connect", "disconnect", "sync"):
            await run_all(tenant, run_jobs)
        status = await ask(client, tenant, "GET", "/api/kajabi/status")
        assert status["state"] == state, (number, step)
        assert bool(status["problem"]) == (state in TROUBLED)
    await connect(client, tenant)
    await run_all(tenant, run_jobs)
    assert await revenue(tenant) == sum(book.net_minor for book in kajabi.ledger().values())
    await assert_one_connection_with_a_whole_journal(client, tenant, was_connected=was_connected)


async def assert_one_connection_with_a_whole_journal(
    client: httpx.AsyncClient, tenant: ActingTenant, *, was_connected: bool
) -> None:
    (line,) = await ask(client, tenant, "GET", "/api/connections")
    detail = await ask(client, tenant, "GET", f"/api/connections/{line['connectionId']}")
    changes = list(reversed(detail["changes"]))
    assert changes[0]["fromState"] == "connecting"
    assert [change["toState"] for change in changes[:-1]] == [change["fromState"] for change in changes[1:]]
    assert changes[-1]["toState"] == "ready"
    for change in changes:
        assert bool(change["reason"]) == (change["toState"] in TROUBLED)


async def test_the_reason_is_in_the_platforms_own_words(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    await connect(client, tenant)
    await run_jobs()
    kajabi.client_secret = "rotated"
    await ask(client, tenant, "POST", "/api/kajabi/sync", expected=202)
    await run_jobs()
    status = await ask(client, tenant, "GET", "/api/kajabi/status")
    assert "Client authentication failed: unknown client." in status["problem"]
    detail = await ask(client, tenant, "GET", f"/api/connections/{status['connectionId']}")
    assert (detail["changes"][0]["happened"], detail["changes"][0]["reason"]) == ("refused", status["problem"])


async def test_credentials_can_be_tried_without_storing_anything(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi
) -> None:
    tested = await ask(client, tenant, "POST", "/api/kajabi/test", json={**KEY, "siteId": "3"})
    assert tested == {"status": "works", "account": {"id": "3", "name": "Second Academy"}}
    assert kajabi.hooks == {}
    assert await ask(client, tenant, "GET", "/api/connections") == []
    wrong = await ask(client, tenant, "POST", "/api/kajabi/test", json={**KEY, "siteId": "9"}, expected=422)
    assert wrong["errors"][0]["path"] == "siteId"


async def test_each_of_several_accounts_is_looked_at_synced_and_disconnected_by_itself(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    await connect(client, tenant, "2")
    await connect(client, tenant, "3")
    await run_jobs()
    lines = await ask(client, tenant, "GET", "/api/connections")
    ids = {line["account"]["id"]: line["connectionId"] for line in lines}
    assert set(ids) == {"2", "3"}
    assert len({line["webhookUrl"] for line in lines}) == 2
    for account, connection in ids.items():
        query = {"connection": connection}
        status = await ask(client, tenant, "GET", "/api/kajabi/status", params=query)
        assert status["account"]["id"] == account
        await ask(client, tenant, "POST", "/api/kajabi/sync", params=query, expected=202)
        assert (await ask(client, tenant, "GET", "/api/kajabi/sync-status", params=query))["connectionId"] == connection
    await ask(client, tenant, "DELETE", "/api/kajabi/disconnect", params={"connection": ids["2"]}, expected=204)
    states = {line["account"]["id"]: line["state"] for line in await ask(client, tenant, "GET", "/api/connections")}
    assert states == {"2": "disconnected", "3": "ready"}
    await ask(client, tenant, "DELETE", "/api/kajabi/disconnect", params={"connection": ids["2"]}, expected=404)


async def test_someone_elses_connection_is_absent(
    client: httpx.AsyncClient, make_tenant: TenantMaker, tenant: ActingTenant, kajabi: FakeKajabi
) -> None:
    await connect(client, tenant)
    stranger = await make_tenant()
    (line,) = await ask(client, tenant, "GET", "/api/connections")
    assert await ask(client, stranger, "GET", "/api/connections") == []
    path = f"/api/connections/{line['connectionId']}"
    await ask(client, stranger, "GET", path, expected=404)
    await ask(client, stranger, "POST", f"{path}/new-address", json={}, expected=404)
    query = {"connection": line["connectionId"]}
    await ask(client, stranger, "GET", "/api/kajabi/status", params=query, expected=404)


async def test_a_new_address_takes_the_hooks_along_and_the_old_one_works_a_while(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    old = (await connect(client, tenant))["webhookUrl"]
    (line,) = await ask(client, tenant, "GET", "/api/connections")
    path = f"/api/connections/{line['connectionId']}/new-address"
    detail = await ask(client, tenant, "POST", path, json={})
    new = detail["webhookUrl"]
    assert new != old and detail["oldWebhookUrlUntil"]
    assert {hook["attributes"]["target_url"] for hook in kajabi.hooks.values()} == {new}
    kajabi.sell("pat@example.com", 19_900)
    for url in (old, new):
        assert (await client.get(path_of(url))).status_code == 200
    await kajabi.deliver(to=path_of(old), http=client)
    await run_jobs()
    assert await revenue(tenant) == 19_900
    newest = (await ask(client, tenant, "POST", path, json={"keepOldHours": 0}))["webhookUrl"]
    codes = {url: (await client.get(path_of(url))).status_code for url in (old, new, newest)}
    assert codes == {old: 404, new: 404, newest: 200}
    audit = await ask(client, tenant, "GET", "/api/audit")
    assert [entry["action"] for entry in audit["items"]].count("connection.address_changed") == 2


async def test_an_address_the_platform_does_not_take_is_not_taken(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi
) -> None:
    old = (await connect(client, tenant))["webhookUrl"]
    (line,) = await ask(client, tenant, "GET", "/api/connections")
    kajabi.fail(3)
    path = f"/api/connections/{line['connectionId']}/new-address"
    await ask(client, tenant, "POST", path, json={}, expected=503)
    assert (await client.get(path_of(old))).status_code == 200
    (line,) = await ask(client, tenant, "GET", "/api/connections")
    assert (line["webhookUrl"], line["oldWebhookUrlUntil"]) == (old, None)
