"""What a connection does by itself and within which limits: schedules, budgets, the breaker, reconciliation, what is verified."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from coursesignal.connections import sync as sync_module
from coursesignal.connections.meter import FAILURES_TO_OPEN
from coursesignal.connections.schedule import begin_due
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import Call, FakeKajabi, FakeTeachable, Reply, use_platform

RunJobs = Callable[[], Awaitable[None]]
NOW = datetime.now(UTC).replace(microsecond=0)
KEY = {"clientId": "kajabi-client", "clientSecret": "kajabi-secret"}


@pytest.fixture
async def kajabi(installation: Runtime) -> AsyncIterator[FakeKajabi]:
    async with FakeKajabi() as platform:
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


async def connect(client: httpx.AsyncClient, tenant: ActingTenant, **query: str) -> dict[str, Any]:
    found: dict[str, Any] = await ask(client, tenant, "POST", "/api/kajabi/connect", json=KEY, params=query)
    return found


async def sync(client: httpx.AsyncClient, tenant: ActingTenant, run_jobs: RunJobs) -> dict[str, Any]:
    await ask(client, tenant, "POST", "/api/kajabi/sync", expected=202)
    await run_jobs()
    return await status_of(client, tenant)


async def status_of(client: httpx.AsyncClient, tenant: ActingTenant) -> dict[str, Any]:
    found: dict[str, Any] = await ask(client, tenant, "GET", "/api/kajabi/sync-status")
    return found


async def reconciliation(client: httpx.AsyncClient, tenant: ActingTenant) -> dict[str, Any]:
    found: dict[str, Any] = await ask(client, tenant, "GET", "/api/kajabi/reconciliation")
    return found


async def later(tenant: ActingTenant, columns: str = "") -> None:
    """Let what waits be due; ``columns`` are set on the connection too."""
    async with tenant.transaction() as conn:
        await conn.execute(
            "update outbox set run_at = now(), lease_until = now() where tenant_id = $1 and status = 'pending'",
            tenant.id,
        )
        if columns:
            await conn.execute(f"update connections set {columns} where tenant_id = $1", tenant.id)


async def begin(installation: Runtime, tenant: ActingTenant) -> int:
    """What the schedule does for the tenant."""
    async with tenant.transaction() as conn:
        return await begin_due(conn, tenant.id, installation.registry.connectors)


async def revenue(tenant: ActingTenant) -> int:
    async with tenant.transaction() as conn:
        total: int = await conn.fetchval(
            "select coalesce(sum(amount_minor), 0)::bigint from charges where tenant_id = $1", tenant.id
        )
    return total


async def test_a_first_sync_may_bring_the_whole_history(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    kajabi.sell("old@example.com", 10_000, at=NOW - timedelta(days=900))
    kajabi.sell("new@example.com", 20_000)
    await connect(client, tenant, history="all")
    await run_jobs()
    assert await revenue(tenant) == 30_000
    other = await ask(client, tenant, "POST", "/api/kajabi/sync", params={"history": "everything"}, expected=422)
    assert "history" in str(other)


async def test_what_is_due_is_synced_by_itself_and_once_a_day_the_look_back_finds_late_refunds(
    client: httpx.AsyncClient, installation: Runtime, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    sale = kajabi.sell("pat@example.com", 10_000, at=NOW - timedelta(days=20))
    await connect(client, tenant)
    await run_jobs()
    assert await begin(installation, tenant) == 0, "it was synced a moment ago"
    kajabi.sell("sam@example.com", 5_000)
    ago = "synced_to = now() - interval '2 hours'"
    async with tenant.transaction() as conn:
        await conn.execute(
            "update sync_runs set created_at = created_at - interval '3 hours' where tenant_id = $1", tenant.id
        )
    await later(tenant, ago)
    assert await begin(installation, tenant) == 1
    await run_jobs()
    run = await status_of(client, tenant)
    assert (run["kind"], run["status"]) == ("incremental", "completed")
    assert await revenue(tenant) == 15_000

    kajabi.refund(sale, 2_500, at=NOW - timedelta(days=12))  # told late: it is older than what is new
    async with tenant.transaction() as conn:
        await conn.execute(
            "update sync_runs set created_at = created_at - interval '2 days' where tenant_id = $1", tenant.id
        )
    await later(tenant, "synced_to = now() - interval '2 hours', rescanned_to = now() - interval '25 hours'")
    assert await begin(installation, tenant) == 1
    await run_jobs()
    assert (await status_of(client, tenant))["kind"] == "rescan"
    assert await revenue(tenant) == kajabi.ledger()["USD"].net_minor == 12_500
    assert (await reconciliation(client, tenant))["agrees"] is True


async def test_a_connection_that_needs_a_person_or_is_turned_off_is_left_alone(
    client: httpx.AsyncClient, installation: Runtime, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    await connect(client, tenant)
    await run_jobs()
    old = "synced_to = now() - interval '9 hours'"
    async with tenant.transaction() as conn:
        await conn.execute(
            "update sync_runs set created_at = created_at - interval '9 hours' where tenant_id = $1", tenant.id
        )
    await later(tenant, f"{old}, state = 'needs_reauth'")
    assert await begin(installation, tenant) == 0
    await later(tenant, "state = 'ready'")
    async with tenant.transaction() as conn:
        await conn.execute(
            "update plugin_states set enabled = false where tenant_id = $1 and plugin = 'kajabi'", tenant.id
        )
    assert await begin(installation, tenant) == 0


async def test_a_monthly_budget_ends_in_words_and_goes_on_when_it_is_raised(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    connection = (await connect(client, tenant), await ask(client, tenant, "GET", "/api/connections"))[1][0][
        "connectionId"
    ]
    await run_jobs()
    path = f"/api/connections/{connection}"
    used = (await ask(client, tenant, "GET", path))["usage"]["usedThisMonth"]
    assert used >= 3, "a token and a page of each stream"
    limited = await ask(client, tenant, "PATCH", path, json={"monthlyRequests": used + 1})
    assert limited["usage"]["monthlyRequests"] == used + 1
    kajabi.sell("pat@example.com", 10_000)
    asked = len(kajabi.calls)
    waiting = await sync(client, tenant, run_jobs)
    assert waiting["status"] == "running"
    assert f"All {used + 1} requests to Kajabi" in waiting["message"]
    assert len(kajabi.calls) == asked + 1
    await ask(client, tenant, "PATCH", path, json={"monthlyRequests": None})
    await later(tenant)
    await run_jobs()
    assert (await status_of(client, tenant))["status"] == "completed"
    assert await revenue(tenant) == 10_000


@pytest.mark.parametrize(
    "body", [{"monthlyRequests": 0}, {"requestsPerMinute": -1}, {"requestsPerMinute": "x"}, {"more": 1}]
)
async def test_a_limit_that_is_none_is_refused(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, body: dict[str, Any]
) -> None:
    await connect(client, tenant)
    (line,) = await ask(client, tenant, "GET", "/api/connections")
    answer = await client.patch(f"/api/connections/{line['connectionId']}", json=body, headers=tenant.headers)
    assert 400 <= answer.status_code < 500


async def test_a_platform_that_fails_again_and_again_is_left_alone_until_a_person_asks(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    await connect(client, tenant)
    await run_jobs()
    kajabi.fail(1000)
    await sync(client, tenant, run_jobs)
    for _ in range(FAILURES_TO_OPEN - 1):
        await later(tenant)
        await run_jobs()
    asked = len(kajabi.calls)
    await later(tenant)
    await run_jobs()
    assert len(kajabi.calls) == asked, "the circuit is open"
    assert "left alone" in (await status_of(client, tenant))["message"]
    kajabi.trouble.clear()
    async with tenant.transaction() as conn:
        await conn.execute("update connection_meters set open_until = now() where tenant_id = $1", tenant.id)
    await later(tenant)
    await run_jobs()
    assert (await status_of(client, tenant))["status"] == "completed"
    async with tenant.transaction() as conn:
        meter = await conn.fetchrow(
            "select failures, open_until from connection_meters where tenant_id = $1", tenant.id
        )
    assert meter is not None and tuple(meter) == (0, None)


async def test_a_pause_the_platform_asks_for_holds_for_the_next_sync_too(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    await connect(client, tenant)
    await run_jobs()
    kajabi.throttle(headers={"Retry-After": "120"})
    waiting = await sync(client, tenant, run_jobs)
    assert "Trying again in 120 s" in waiting["message"]
    asked = len(kajabi.calls)
    await later(tenant)
    await run_jobs()
    assert len(kajabi.calls) == asked
    assert "asked us to wait" in (await status_of(client, tenant))["message"]


async def test_pages_that_repeat_themselves_end_the_sync_with_a_reason(
    client: httpx.AsyncClient,
    installation: Runtime,
    tenant: ActingTenant,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sync_module, "MAX_UNREADABLE", 1)
    async with FakeTeachable() as school:
        use_platform(installation, school)
        for n in range(60):
            school.sell(f"buyer{n}@example.com", 1_000)
        answer = school.answer

        def always_the_first(call: Call) -> Reply:
            if call.path != "/v1/transactions":
                return answer(call)
            reply = answer(replace(call, query={**call.query, "page": "1"}))
            body: Any = reply.body
            return replace(reply, body={**body, "meta": {**body["meta"], "number_of_pages": 10**6}})

        school.answer = always_the_first  # type: ignore[method-assign]
        await ask(client, tenant, "POST", "/api/teachable/connect", json={"apiKey": "teachable-key"})
        await run_jobs()
        status = await ask(client, tenant, "GET", "/api/teachable/sync-status")
    assert (status["status"], status["error"]) == ("failed", "Teachable sent something we cannot read (ValueError).")


async def test_reconciliation_agrees_to_the_cent_and_says_so(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    for n in range(7):
        sale = kajabi.sell(
            f"buyer{n}@example.com", 10_000 + n, "EUR" if n == 3 else "USD", at=NOW - timedelta(days=n + 1)
        )
        if n % 3 == 0:
            kajabi.refund(sale, 333, at=NOW - timedelta(hours=2))
    await connect(client, tenant)
    await run_jobs()
    found = await reconciliation(client, tenant)
    books = kajabi.ledger()
    assert found["agrees"] is True and found["differing"] == []
    assert {c["currency"]: (c["oursMinor"], c["theirsMinor"]) for c in found["currencies"]} == {
        currency: (book.net_minor, book.net_minor) for currency, book in books.items()
    }
    assert found["message"].startswith("Agrees with Kajabi to the cent: ")
    assert found["found"] == sum(book.charges + book.refunds for book in books.values())


async def test_money_that_only_a_webhook_told_of_is_unverified_until_the_api_tells_it_too(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    hook = (await connect(client, tenant))["webhookUrl"].removeprefix("http://coursesignal.test")
    await run_jobs()
    kajabi.sell("pat@example.com", 19_900)
    await kajabi.deliver(to=hook, http=client)
    await run_jobs()
    status = await ask(client, tenant, "GET", "/api/kajabi/status")
    assert status["unverified"] == [{"currency": "USD", "amountMinor": 19_900, "charges": 1}]
    items = (await ask(client, tenant, "GET", "/api/connections/inbox"))["items"]
    assert {item["trust"] for item in items} == {"unverified"}
    await sync(client, tenant, run_jobs)
    assert (await ask(client, tenant, "GET", "/api/kajabi/status"))["unverified"] == []
    items = (await ask(client, tenant, "GET", "/api/connections/inbox"))["items"]
    assert "confirmed" in {item["trust"] for item in items}


async def test_a_forged_sale_stays_unverified_and_the_reconciliation_names_it(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    hook = (await connect(client, tenant))["webhookUrl"].removeprefix("http://coursesignal.test")
    kajabi.sell("pat@example.com", 10_000, at=NOW - timedelta(days=2))
    await run_jobs()
    async with FakeKajabi().count_from(500_000) as other:  # somebody else's account, posted to our address
        other.sell("mallory@example.com", 99_900, at=NOW - timedelta(days=1))
        await other.deliver(to=hook, http=client)
    await run_jobs()
    await sync(client, tenant, run_jobs)
    found = await reconciliation(client, tenant)
    assert found["agrees"] is False
    assert found["currencies"][0]["differenceMinor"] == 99_900
    assert [(one["oursMinor"], one["theirsMinor"]) for one in found["differing"]] == [(99_900, None)]
    assert "Does not agree with Kajabi: 1099.00 USD here, 100.00 at Kajabi." in found["message"]
    status = await ask(client, tenant, "GET", "/api/kajabi/status")
    assert status["unverified"] == [{"currency": "USD", "amountMinor": 99_900, "charges": 1}]
    assert status["reconciliation"]["agrees"] is False
