"""Sync runs: progress a person can watch, the platform's own totals, and no trace of a kill in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from coursesignal.connections import sync
from coursesignal.connections.house import house
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import Call, FakeKajabi, FakeTeachable, Reply, use_platform

RunJobs = Callable[[], Awaitable[None]]
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(autouse=True)
def everything_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no plugin here listens to is announced all the same."""
    monkeypatch.setattr("coursesignal.jobs.outbox._heard", None)


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


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


async def connect(client: httpx.AsyncClient, tenant: ActingTenant, platform: str = "teachable") -> None:
    body = (
        {"apiKey": "teachable-key"}
        if platform == "teachable"
        else {"clientId": "kajabi-client", "clientSecret": "kajabi-secret"}
    )
    answer = await client.post(f"/api/{platform}/connect", json=body, headers=tenant.headers)
    assert answer.status_code == 200, answer.text


async def status(client: httpx.AsyncClient, tenant: ActingTenant, platform: str = "teachable") -> dict[str, Any]:
    answer = await client.get(f"/api/{platform}/sync-status", headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def net(tenant: ActingTenant) -> int:
    async with tenant.transaction() as conn:
        value = await conn.fetchval(
            "select coalesce(sum(amount_minor), 0)::bigint from charges where tenant_id = $1", tenant.id
        )
    return int(value)


async def make_due(tenant: ActingTenant) -> None:
    """Let waiting and leased work be due, as time would."""
    async with tenant.transaction() as conn:
        await conn.execute(
            "update outbox set run_at = now(), lease_until = now() where tenant_id = $1 and status = 'pending'",
            tenant.id,
        )


async def test_a_sync_brings_thirty_days_and_says_how_far_it_is(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable, run_jobs: RunJobs
) -> None:
    school.sell("old@example.com", at=NOW - timedelta(days=40))
    for n in range(60):
        school.sell(f"buyer{n}@example.com", 10_000, at=NOW - timedelta(days=n % 29))
    await connect(client, tenant)
    waiting = await status(client, tenant)
    assert (waiting["status"], waiting["processed"], waiting["startedAt"]) == ("pending", 0, None)

    seen: list[tuple[str, str]] = []
    answer = school.answer

    async def watch() -> None:
        while not seen or seen[-1][0] != "completed":
            now = await status(client, tenant)
            seen.append((now["status"], now["message"]))
            await asyncio.sleep(0)

    def slowly(call: Call) -> Reply:
        return answer(call)

    school.answer = slowly  # type: ignore[method-assign]
    await asyncio.wait_for(asyncio.gather(run_jobs(), watch()), 60)
    assert "Syncing 60 purchases… 25/60" in {message for _, message in seen}
    done = await status(client, tenant)
    assert (done["status"], done["total"], done["processed"], done["message"]) == (
        "completed",
        60,
        60,
        "60 synced, 0 matched",
    )
    assert done["finishedAt"] and done["error"] is None
    assert await net(tenant) == 600_000


async def test_a_second_request_joins_the_sync_under_way(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable, run_jobs: RunJobs
) -> None:
    await connect(client, tenant)
    ids = {(await client.post("/api/teachable/sync", headers=tenant.headers)).json()["syncRunId"] for _ in range(3)}
    assert len(ids) == 1
    await run_jobs()
    again = (await client.post("/api/teachable/sync", headers=tenant.headers)).json()["syncRunId"]
    assert again not in ids
    await run_jobs()


async def test_nothing_is_synced_where_nothing_is_connected(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    assert (await client.post("/api/teachable/sync", headers=tenant.headers)).status_code == 404
    assert (await client.get("/api/teachable/sync-status", headers=tenant.headers)).status_code == 404


async def test_refunds_and_renewals_after_the_first_sync_are_found(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    sale = kajabi.sell("pat@example.com", 10_000, recurring=True, at=NOW - timedelta(days=20))
    await connect(client, tenant, "kajabi")
    await run_jobs()
    kajabi.renew(sale)
    kajabi.refund(sale, 2_500)
    for _ in range(2):
        await client.post("/api/kajabi/sync", headers=tenant.headers)
        await run_jobs()
    assert await net(tenant) == kajabi.ledger()["USD"].net_minor == 17_500
    async with tenant.transaction() as conn:
        assert await conn.fetchval("select count(*) from purchases where tenant_id = $1", tenant.id) == 1


async def test_a_killed_worker_leaves_a_sync_that_goes_on_where_it_was(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable, run_jobs: RunJobs
) -> None:
    for n in range(100):
        school.sell(f"buyer{n}@example.com", 10_000 + n)
    await connect(client, tenant)
    third_page = asyncio.Event()
    loop, answer = asyncio.get_running_loop(), school.answer

    def hang_on_page_three(call: Call) -> Reply:
        if call.path == "/v1/transactions" and call.query.get("page") == "3":
            loop.call_soon_threadsafe(third_page.set)
            return Reply(500)
        return answer(call)

    school.answer = hang_on_page_three  # type: ignore[method-assign]
    worker = asyncio.create_task(run_jobs())
    await asyncio.wait_for(third_page.wait(), 30)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    halfway = await net(tenant)
    assert 0 < halfway < school.ledger()["USD"].net_minor

    school.answer = answer  # type: ignore[method-assign]
    calls = len(school.calls)
    await make_due(tenant)
    await run_jobs()
    done = await status(client, tenant)
    assert (done["status"], done["processed"]) == ("completed", 100)
    assert await net(tenant) == school.ledger()["USD"].net_minor
    pages = {
        call.query["page"] for call in school.calls[calls:] if call.path == "/v1/transactions" and "start" in call.query
    }
    assert pages == {"3", "4"}


async def test_each_page_is_booked_with_its_cursor_or_not_at_all(
    client: httpx.AsyncClient, installation: Runtime, tenant: ActingTenant, school: FakeTeachable, run_jobs: RunJobs
) -> None:
    """Two workers on the same run, as after a frozen one wakes up: every page counts once."""
    for n in range(80):
        school.sell(f"buyer{n}@example.com", 10_000)
    await connect(client, tenant)
    await asyncio.gather(run_jobs(), make_due(tenant), run_jobs())
    await run_jobs()
    done = await status(client, tenant)
    assert (done["status"], done["processed"]) == ("completed", 80)
    assert await net(tenant) == 800_000


async def test_a_long_sync_hands_on_before_its_lease_ends(
    client: httpx.AsyncClient,
    tenant: ActingTenant,
    school: FakeTeachable,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sync, "BUDGET_S", -1.0)
    for n in range(60):
        school.sell(f"buyer{n}@example.com", 10_000)
    await connect(client, tenant)
    await run_jobs()
    async with tenant.transaction() as conn:
        tasks = await conn.fetchval(
            "select count(*) from outbox where tenant_id = $1 and name = 'core.sync'", tenant.id
        )
    assert tasks >= 3
    assert (await status(client, tenant))["processed"] == 60


async def test_a_busy_platform_is_waited_for_as_long_as_it_asks(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable, run_jobs: RunJobs
) -> None:
    school.sell("pat@example.com", 10_000)
    await connect(client, tenant)
    school.throttle(headers={"RateLimit-Reset": "42"})
    await run_jobs()
    waiting = await status(client, tenant)
    assert waiting["status"] == "running"
    assert "rate limit" in waiting["message"] and "42 s" in waiting["message"]
    async with tenant.transaction() as conn:
        wait = await conn.fetchval(
            "select run_at - now() from outbox where tenant_id = $1 and name = 'core.sync' and status = 'pending'",
            tenant.id,
        )
    assert timedelta(seconds=35) < wait < timedelta(seconds=43)
    await make_due(tenant)
    await run_jobs()
    assert (await status(client, tenant))["status"] == "completed"


async def test_a_platform_that_stays_away_ends_the_sync_with_a_reason(
    client: httpx.AsyncClient,
    tenant: ActingTenant,
    school: FakeTeachable,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sync, "MAX_FAILURES", 3)
    await connect(client, tenant)
    school.fail(times=50)
    for _ in range(4):
        await run_jobs()
        await make_due(tenant)
    failed = await status(client, tenant)
    assert (failed["status"], failed["error"]) == ("failed", "Teachable is down or busy (503).")
    answer = await client.get("/api/teachable/status", headers=tenant.headers)
    assert (answer.json()["state"], answer.json()["problem"]) == ("failing", "Teachable is down or busy (503).")
    school.trouble.clear()
    await client.post("/api/teachable/sync", headers=tenant.headers)
    await run_jobs()
    assert (await client.get("/api/teachable/status", headers=tenant.headers)).json()["state"] == "ready"


async def test_a_key_that_no_longer_works_asks_to_connect_again(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable, run_jobs: RunJobs
) -> None:
    await connect(client, tenant)
    await run_jobs()
    school.api_key = "rotated"
    await client.post("/api/teachable/sync", headers=tenant.headers)
    await run_jobs()
    failed = await status(client, tenant)
    assert failed["status"] == "failed"
    assert "Invalid API key" in failed["error"] and "copy it again" in failed["error"]
    answer = (await client.get("/api/teachable/status", headers=tenant.headers)).json()
    assert (answer["connected"], answer["state"]) == (False, "needs_reauth")
    assert "Invalid API key" in answer["problem"]
    async with tenant.transaction() as conn:
        lost = await conn.fetchval(
            "select payload->>'reason' from outbox where tenant_id = $1 and name = 'connection_lost' and kind = 'event'",
            tenant.id,
        )
    assert "Invalid API key" in lost
    again = await client.post("/api/teachable/connect", json={"apiKey": "rotated"}, headers=tenant.headers)
    assert again.status_code == 200
    assert (await client.get("/api/teachable/status", headers=tenant.headers)).json()["state"] == "ready"


async def test_the_end_of_a_sync_is_announced_once(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable, run_jobs: RunJobs
) -> None:
    school.sell("pat@example.com", 10_000)
    await connect(client, tenant)
    await run_jobs()
    async with tenant.transaction() as conn:
        rows = await conn.fetch(
            "select payload from outbox where tenant_id = $1 and name = 'sync_completed' and kind = 'event'", tenant.id
        )
    assert [(row["payload"]["processed"], row["payload"]["platform"]) for row in rows] == [(1, "teachable")]


def test_the_runtime_is_what_connections_need(installation: Runtime) -> None:
    assert set(house(installation).connectors) >= {"kajabi", "teachable"}
