"""Recommendations: each rule fires on a crafted history, stays silent on noise, and shows its numbers."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History
from coursesignal_recommendations.rules.intervals import wilson

NOW = datetime.now(UTC)


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


async def traffic(
    past: History, source: str, visitors: int, buyers: int, *, refunds: int = 0, channel: str = "Referral"
) -> None:
    """``visitors`` of a source, the first ``buyers`` of whom pay 100.00, the first ``refunds`` of those get it back."""
    for number in range(visitors):
        at = NOW - timedelta(days=1 + number % 20, minutes=number)
        email = f"{source}{number}@example.com" if number < buyers else None
        await past.visit(f"{source}{number}", at, source, channel=channel, email=email)
        if email is not None:
            sale = await past.sale(email, 10_000, at + timedelta(hours=1))
            if number < refunds:
                await past.charge(sale, "refund", 10_000, at + timedelta(hours=2))


async def generate(http: httpx.AsyncClient, tenant: ActingTenant) -> Any:
    answer = await http.post("/api/recommendations/generate", headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def by_rule(answer: Any) -> dict[str, Any]:
    return {item["rule"].removeprefix("recommendations_"): item for item in answer["items"]}


async def test_before_the_first_run_it_says_so(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    answer = (await client.get("/api/recommendations", headers=tenant.headers)).json()
    assert (answer["status"], answer["items"], answer["generatedAt"]) == ("never_generated", [], None)


async def test_too_little_data_is_said_plainly(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    past = History(tenant)
    await traffic(past, "youtube", 5, 3)
    await past.credit()
    answer = await generate(client, tenant)
    assert (answer["status"], answer["purchases"], answer["items"]) == ("not_enough_data", 3, [])
    assert "20 purchases" in answer["message"]
    assert "you have 3" in answer["message"]


async def test_a_source_that_converts_far_better_is_an_opportunity(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    past = History(tenant)
    await traffic(past, "newsletter", 110, 22)
    await traffic(past, "instagram", 200, 4)
    await traffic(past, "facebook", 100, 6)
    await past.credit()
    advice = by_rule(await generate(client, tenant))["best_source"]
    assert advice["type"] == "opportunity"
    assert advice["evidence"] == {
        "source": "newsletter", "purchases": 22, "visitors": 110, "conversionRate": 20.0, "conversionRateOfOthers": 3.33,
    }  # fmt: skip
    assert "22 purchases" in advice["body"]
    assert advice["link"].startswith("/api/analytics/sources")


async def test_sales_from_one_source_only_are_a_risk(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    past = History(tenant)
    await traffic(past, "youtube", 40, 36)
    await traffic(past, "podcast", 10, 4)
    await past.credit()
    advice = by_rule(await generate(client, tenant))["concentration"]
    assert (advice["type"], advice["evidence"]["source"], advice["evidence"]["share"]) == ("warning", "youtube", 90.0)


async def test_many_sales_without_a_journey_ask_to_check_the_script(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    past = History(tenant)
    await traffic(past, "youtube", 10, 10)
    for number in range(15):
        await past.sale(f"unknown{number}@example.com", 5_000, NOW - timedelta(days=2, minutes=number))
    await past.credit()
    answer = await generate(client, tenant)
    assert answer["items"][0]["rule"] == "recommendations_coverage"
    assert answer["items"][0]["evidence"] == {"purchases": 25, "unattributed": 15, "coverage": 40.0}


@pytest.mark.parametrize(("known", "unknown", "link"), [(36, 4, "See the numbers of youtube"), (10, 15, "")])
async def test_the_page_asks_for_advice_and_shows_it_with_or_without_a_source(
    make_tenant: TenantMaker, in_browser: Any, known: int, unknown: int, link: str
) -> None:
    tenant = await make_tenant()
    past = History(tenant)
    await traffic(past, "youtube", known, known)
    for number in range(unknown):
        await past.sale(f"unknown{number}@example.com", 5_000, NOW - timedelta(days=2, minutes=number))
    await past.credit()
    visitor = await in_browser(tenant)
    assert "Nothing was looked for yet" in (await visitor.get("recommendations")).text
    assert (await visitor.post("recommendations", {})).status_code == 303
    page = (await visitor.get("recommendations")).text
    assert page.count("<article") == 1
    assert ("See the numbers of" in page) is bool(link) and link in page
    panel = await visitor.get("dashboard/panels/recommendations/top")
    assert "All recommendations" in panel.text


async def test_a_source_with_many_refunds_is_a_warning(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    past = History(tenant)
    await traffic(past, "affiliate", 25, 25, refunds=10)
    await traffic(past, "newsletter", 25, 25, refunds=1)
    await past.credit()
    advice = by_rule(await generate(client, tenant))["refund_heavy_source"]
    assert (advice["evidence"]["source"], advice["evidence"]["refundShare"]) == ("affiliate", 40.0)


async def test_noise_raises_nothing(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    """Three sources with the same true conversion: what differs is chance."""
    past = History(tenant)
    dice = random.Random(7)
    for source in ("a", "b", "c"):
        await traffic(past, source, 120, sum(dice.random() < 0.15 for _ in range(120)))
    await past.credit()
    answer = await generate(client, tenant)
    assert (answer["status"], answer["items"]) == ("nothing_to_advise", [])


async def test_advice_that_no_longer_holds_goes_and_new_advice_is_announced_once(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    past = History(tenant)
    await traffic(past, "youtube", 36, 36)
    await past.credit()
    assert "concentration" in by_rule(await generate(client, tenant))
    first = by_rule(await generate(client, tenant))["concentration"]
    announced = "select count(*) from outbox where tenant_id = $1 and kind = 'event' and name = 'recommendation_raised'"
    async with tenant.transaction() as conn:
        assert await conn.fetchval(announced, tenant.id) == 1
    assert first["key"] == "concentration:youtube"
    await traffic(past, "podcast", 40, 40)
    await past.credit()
    assert "concentration" not in by_rule(await generate(client, tenant))
    listed = (await client.get("/api/recommendations", headers=tenant.headers)).json()
    assert "concentration" not in by_rule(listed)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (5, 10), (10, 10), (1, 1000)])
def test_the_interval_contains_the_share_and_narrows_with_data(successes: int, trials: int) -> None:
    low, high = wilson(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    wide = high - low
    low, high = wilson(100 * successes, 100 * trials)
    assert high - low < wide


def test_the_interval_is_wilsons() -> None:
    """10 of 100, published worked example: 5.5 % to 17.4 %."""
    low, high = wilson(10, 100)
    assert (round(low, 3), round(high, 3)) == (0.055, 0.174)
    assert wilson(0, 0) == (0.0, 1.0)
