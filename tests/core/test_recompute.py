"""Crediting a history again: only what a setting touches, and with reports that add up meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from coursesignal.attribution import recompute
from coursesignal.db.locks import lock_lane
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

RunJobs = Callable[[], Awaitable[None]]
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MAY = {"from": "2026-05-01", "to": "2026-05-31"}
WRONG = 0.123
BUYERS = 20


async def get(client: httpx.AsyncClient, shop: ActingTenant, report: str, **params: str) -> Any:
    answer = await client.get(f"/api/analytics/{report}", params=params, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def change(client: httpx.AsyncClient, shop: ActingTenant, **settings: float) -> None:
    answer = await client.patch(f"/api/tenants/{shop.tenant.slug}", json=settings, headers=shop.headers)
    assert answer.status_code == 200, answer.text


async def sell(shop: ActingTenant, buyers: int) -> None:
    """Everybody came twice, bought, paid again and got a part back."""
    past = History(shop)
    for number in range(buyers):
        email = f"b{number}@example.com"
        await past.visit(f"v{number}", NOON - timedelta(days=40), "old", email=email)
        await past.visit(f"v{number}", NOON - timedelta(days=1), "new")
        sale = await past.sale(email, 999 + number, NOON)
        await past.charge(sale, "renewal", 501, NOON + timedelta(days=2))
        await past.charge(sale, "refund", 333, NOON + timedelta(days=3))
    await past.credit()


async def weights(shop: ActingTenant, model: str) -> list[float]:
    async with shop.transaction() as conn:
        rows = await conn.fetch("select weight from credits where tenant_id = $1 and model = $2", shop.id, model)
    return [row["weight"] for row in rows]


async def test_a_setting_of_one_model_has_that_model_credit_again_and_no_other(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: RunJobs
) -> None:
    shop = await make_tenant()
    await sell(shop, 2)
    async with shop.transaction() as conn:
        await conn.execute("update credits set weight = $2 where tenant_id = $1", shop.id, WRONG)
    await change(client, shop, halfLifeDays=3)
    await run_jobs()
    assert WRONG not in await weights(shop, "time_decay")
    assert {*await weights(shop, "linear"), *await weights(shop, "w_shaped")} == {WRONG}
    await change(client, shop, wFirstShare=0.2, firstShare=0.3)
    await run_jobs()
    assert WRONG not in [*await weights(shop, "w_shaped"), *await weights(shop, "position_based")]
    assert {*await weights(shop, "linear")} == {WRONG}
    await change(client, shop, halfLifeDays=4, lookbackDays=60)
    await run_jobs()
    assert {*await weights(shop, "linear")} == {0.5}


async def test_reports_add_up_while_a_history_is_credited_again(
    client: httpx.AsyncClient, installation: Runtime, make_tenant: TenantMaker, run_jobs: RunJobs
) -> None:
    shop = await make_tenant()
    await sell(shop, BUYERS)
    before = await get(client, shop, "models/compare", **MAY)
    await change(client, shop, lookbackDays=30)
    async with installation.database.app.acquire() as conn, conn.transaction():
        await lock_lane(conn, shop.id, recompute.LANES - 1)  # one lane has to wait, the others go on
        jobs = asyncio.ensure_future(run_jobs())
        while not 0 < (on_the_way := await get(client, shop, "recompute"))["processed"] < BUYERS:
            assert not jobs.done()
            await asyncio.sleep(0.01)
        assert (on_the_way["status"], on_the_way["total"]) == ("running", BUYERS)
        halfway = await get(client, shop, "models/compare", **MAY)
        for model in halfway["models"]:
            rows = sum(row["revenueMinor"].get(model, 0) for row in halfway["rows"])
            assert rows + halfway["unattributedMinor"][model] == halfway["netRevenueMinor"] == before["netRevenueMinor"]
            listed = await get(client, shop, "reconciliation", model=model, **MAY)
            assert [row["differenceMinor"] for row in listed["rows"]] == [0]
    await jobs
    after = await get(client, shop, "models/compare", **MAY)
    first = [
        {row["name"]: row["revenueMinor"]["first_touch"] for row in one["rows"]} for one in (before, halfway, after)
    ]
    assert 0 == of_old(first[2]) < of_old(first[1]) < of_old(first[0])
    assert (await get(client, shop, "recompute"))["status"] == "completed"


def of_old(credited: dict[str, int]) -> int:
    """What the visit before the new window has."""
    return credited.get("old", 0)


async def test_a_newer_run_of_one_model_does_not_end_an_older_one_of_all(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: RunJobs
) -> None:
    shop = await make_tenant()
    await sell(shop, 1)
    async with shop.transaction() as conn:
        await conn.execute("update credits set weight = $2 where tenant_id = $1", shop.id, WRONG)
        await conn.execute(
            "insert into recredit_runs (tenant_id, id, models, total, started_at) "
            "values ($1, uuidv7(), '{time_decay}', 1, now() + interval '1 hour')",
            shop.id,
        )
    await change(client, shop, lookbackDays=60)
    await run_jobs()
    assert {*await weights(shop, "linear")} == {0.5}


async def test_progress_is_of_the_run_that_still_goes_on(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: RunJobs
) -> None:
    shop = await make_tenant()
    await sell(shop, 1)
    await change(client, shop, halfLifeDays=3)
    await run_jobs()
    assert (await get(client, shop, "recompute"))["status"] == "completed"
    async with shop.transaction() as conn:
        await conn.execute(
            """
            with task as (
                insert into outbox (tenant_id, kind, name, payload, run_at)
                values ($1, 'job', 'core.recredit', '{}', now() + interval '1 day') returning id
            )
            insert into recredit_runs (tenant_id, id, total, started_at)
            select $1, id, 7, now() - interval '1 hour' from task
            """,
            shop.id,
        )
    on_the_way = await get(client, shop, "recompute")
    assert (on_the_way["status"], on_the_way["total"]) == ("running", 7)
    async with shop.transaction() as conn:  # given up
        await conn.execute("update outbox set status = 'dead' where tenant_id = $1 and status = 'pending'", shop.id)
    assert (await get(client, shop, "recompute"))["status"] == "completed"
