"""Another window than the tenant's, asked of a report: what it answers is what it would answer were it the tenant's own."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from coursesignal.analytics import windowing
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

RunJobs = Callable[[], Awaitable[None]]
JUNE = datetime(2026, 6, 15, 12, tzinfo=UTC)
SPAN = {"from": "2026-06-10", "to": "2026-06-25"}
LIFETIME_DAYS = 36_500
EVERY_MODEL = ("models/compare", "models/compare?by=channel")
REPORTS = (
    "summary", "summary?source=youtube", "sources", "drilldown/google", "recent-purchases", "recent-purchases?limit=3",
    "daily-revenue", "ledger?limit=200", "ledger?source=google", "ledger?unattributed=true", "reconciliation", "students",
    "lifetime-value", "cohorts?source=youtube", "new-returning", "funnel", "journeys", "content", "coverage",
    "self-reported", "products", "plans", "sources?dateBy=order", "sources?filter=source:google", "sources?range=all",
    "export?report=ledger", *EVERY_MODEL,
)  # fmt: skip


async def answers(
    client: httpx.AsyncClient, shop: ActingTenant, reports: Sequence[str], **asked: str
) -> dict[str, Any]:
    found = {}
    for report in reports:
        params = dict(httpx.QueryParams(report.partition("?")[2])) | asked
        period = {} if {"range", "from"} & params.keys() else SPAN
        path = f"/api/analytics/{report.partition('?')[0]}"
        answer = await client.get(path, params={**period, **params}, headers=shop.headers)
        assert answer.status_code == 200, (report, answer.text)
        found[report] = answer.json() if "json" in answer.headers["content-type"] else answer.text
    return found


async def live_through(shop: ActingTenant, seed: int) -> History:
    """Buyers who were seen up to two years before; some bought before the report's period and pay again in it."""
    past, dice = History(shop), random.Random(seed)
    for number in range(8):
        email = f"buyer{number}@example.com"
        sold_at = JUNE + timedelta(days=dice.choice([-40, 0, 1, 5]), minutes=number)
        for visit in range(dice.randint(0, 5)):
            source = dice.choice(["youtube", "google", "newsletter"])
            direct, days = dice.random() < 0.3, dice.choice([0.2, 3, 10, 20, 45, 80, 200, 700])
            channel = (
                "Direct" if direct else {"youtube": "Organic Video", "google": "Organic Search"}.get(source, "Email")
            )
            await past.visit(
                f"v{number}{visit % 2}", sold_at - timedelta(days=days), source, channel=channel, direct=direct, email=email,
                opt_in=dice.random() < 0.3,
            )  # fmt: skip
        sale = await past.sale(email, dice.randint(1, 9_999), sold_at)
        await past.charge(sale, "renewal", dice.randint(1, 9_999), JUNE + timedelta(days=6))
        await past.charge(sale, "refund", dice.randint(1, 5_000), JUNE + timedelta(days=dice.choice([7, 30])))
    await past.sale(None, 1_234, JUNE)
    await past.credit()
    return past


@pytest.fixture(scope="module")
async def shop(make_tenant: TenantMaker) -> ActingTenant:
    shop = await make_tenant()
    await live_through(shop, 11)
    return shop


@pytest.mark.parametrize("window", ["1", "7", "14", "30", "60", "365", "lifetime"])
async def test_a_window_that_is_asked_answers_as_the_tenants_own(
    client: httpx.AsyncClient, shop: ActingTenant, run_jobs: RunJobs, window: str
) -> None:
    reports = REPORTS if window in {"14", "lifetime"} else (*EVERY_MODEL, "ledger?limit=200")
    asked = await answers(client, shop, reports, window=window, model="position_based")
    await live_by(client, shop, run_jobs, LIFETIME_DAYS if window == "lifetime" else int(window))
    try:
        for report, answer in (await answers(client, shop, reports, model="position_based")).items():
            assert asked[report] == answer, report
    finally:
        await live_by(client, shop, run_jobs, 90)
    assert asked[EVERY_MODEL[0]]["rows"] != (await answers(client, shop, EVERY_MODEL))[EVERY_MODEL[0]]["rows"]


async def test_visits_before_the_reports_first_day_are_credited(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    shop = await make_tenant()
    past = History(shop)
    for days in (80, 5):
        await past.visit("ann", JUNE - timedelta(days=days), f"source-{days}", email="ann@example.com")
    await past.sale("ann@example.com", 1_000, JUNE)
    await past.credit()
    for asked, first in (({}, "source-80"), ({"window": "7"}, "source-5"), ({"window": "365"}, "source-80")):
        found = await get_on_the_day(client, shop, model="first_touch", **asked)
        assert {row["source"]: row["revenueMinor"] for row in found["rows"]} == {first: 1_000}


async def get_on_the_day(client: httpx.AsyncClient, shop: ActingTenant, **asked: str) -> Any:
    """Revenue by source of the very day of the sale."""
    day = {"from": "2026-06-15", "to": "2026-06-15"}
    return (await answers(client, shop, ("sources",), **day, **asked))["sources"]


async def live_by(client: httpx.AsyncClient, shop: ActingTenant, run_jobs: RunJobs, days: int) -> None:
    """Make it the tenant's window."""
    url = f"/api/tenants/{shop.tenant.slug}"
    changed = await client.patch(url, json={"lookbackDays": days}, headers=shop.headers)
    assert changed.status_code == 200, changed.text
    await run_jobs()


async def test_what_is_worked_out_batch_by_batch_is_the_whole(
    client: httpx.AsyncClient, shop: ActingTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await answers(client, shop, REPORTS, window="30")
    monkeypatch.setattr(windowing, "BATCH", 2)
    assert await answers(client, shop, REPORTS, window="30") == whole


async def test_two_tenants_do_not_see_each_others_windows(
    client: httpx.AsyncClient, shop: ActingTenant, make_tenant: TenantMaker
) -> None:
    other = await make_tenant()
    await live_through(other, 12)
    mine, theirs = [await answers(client, one, ("sources",), window="7") for one in (shop, other)]
    assert mine["sources"]["rows"] != theirs["sources"]["rows"]
    for _ in range(3):
        assert await answers(client, shop, ("sources",), window="7") == mine
        assert await answers(client, other, ("sources",), window="7") == theirs


async def test_a_window_that_takes_too_long_says_what_to_do(
    client: httpx.AsyncClient, shop: ActingTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windowing, "LONGEST_S", 0)
    answer = await client.get("/api/analytics/sources", params={**SPAN, "window": "7"}, headers=shop.headers)
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (503, "report-timeout")
    assert "shorter period" in answer.json()["detail"]
    assert "lookbackDays" in answer.json()["detail"]
