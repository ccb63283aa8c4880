"""What a launch brought in: the reports of its purchases, its hours and phases, its goals, and results that stay."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from coursesignal.testing.contexts import plugin_context
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History
from coursesignal_launches.rules import below_by_chance
from coursesignal_launches.suggestions import DayOfSales, above_by_chance, spikes

if TYPE_CHECKING:
    from coursesignal.runtime import Runtime

NOW = datetime.now(UTC).replace(microsecond=0)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
START = NOW - 20 * DAY
GOALS = {"revenueGoalMinor": 60_000, "salesGoal": 10}


async def made(http: httpx.AsyncClient, tenant: ActingTenant, start: datetime, days: int, **more: Any) -> Any:
    body = {"title": "Spring", "startsAt": start.isoformat(), "endsAt": (start + days * DAY).isoformat(), **more}
    answer = await http.post("/api/launches", json=body, headers=tenant.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def read(http: httpx.AsyncClient, tenant: ActingTenant, path: str, status: int = 200) -> Any:
    answer = await http.get(path, headers=tenant.headers)
    assert answer.status_code == status, answer.text
    return answer.json()


async def settle(tenant: ActingTenant) -> None:
    """As if all money had been known for an hour."""
    async with tenant.transaction() as conn:
        await conn.execute("update charges set recorded_at = now() - interval '1 hour' where tenant_id = $1", tenant.id)


@pytest.fixture(scope="module")
async def shop(make_tenant: TenantMaker) -> tuple[ActingTenant, History]:
    """Somebody from the list, a newcomer on the last day, one never seen; an instalment too late, a currency apart."""
    tenant = await make_tenant()
    past = History(tenant)
    await past.visit("ann", START - 3 * DAY, "newsletter", email="ann@example.com")
    await past.visit("ann", START + HOUR, "youtube")
    await past.visit("bob", START + 4 * DAY, "instagram", email="bob@example.com")
    plan = await past.sale("ann@example.com", 10_000, START + 90 * timedelta(minutes=1))
    await past.charge(plan, "instalment", 10_000, START + 12 * DAY)
    await past.sale("bob@example.com", 20_000, START + 4 * DAY + HOUR)
    await past.sale(None, 5_000, START + 2 * DAY)
    await past.sale("eve@example.com", 7_000, START + 2 * DAY, currency="EUR")
    await past.credit()
    return tenant, past


async def test_figures_hours_phases_days_and_sources_add_up_to_the_ledger(
    client: httpx.AsyncClient, shop: tuple[ActingTenant, History]
) -> None:
    tenant, _ = shop
    launch = await made(client, tenant, START, 5, prelaunchAt=(START - 5 * DAY).isoformat(), **GOALS)
    found = await read(client, tenant, f"/api/launches/{launch['id']}/analytics?model=first_touch")
    figures = found["figures"]
    assert (figures["revenueMinor"], figures["netRevenueMinor"], figures["laterMinor"]) == (35_000, 35_000, 10_000)
    assert (figures["purchases"], figures["students"], figures["averageOrderMinor"]) == (3, 3, 11_667)
    assert (figures["visitors"], figures["conversionRate"]) == (2, 150.0)
    assert found["otherCurrencies"] == [{"currency": "EUR", "netRevenueMinor": 7_000, "purchases": 1}]
    for parts, field in (("days", "netRevenueMinor"), ("hours", "netRevenueMinor"), ("phases", "netRevenueMinor")):
        assert sum(part[field] for part in found[parts]) == 35_000, parts
    assert (len(found["hours"]), found["hours"][1]["netRevenueMinor"]) == (120, 10_000)
    assert (found["hours"][-1]["cumulativeMinor"], found["hours"][-1]["cumulativePurchases"]) == (35_000, 3)
    assert [(p["phase"], p["netRevenueMinor"], p["visitors"]) for p in found["phases"]] == [
        ("pre_launch", 0, 1), ("cart_open", 15_000, 1), ("last_day", 20_000, 1),
    ]  # fmt: skip
    warm = found["warmUp"]
    assert [warm[group]["netRevenueMinor"] for group in ("list", "newcomers", "unseen")] == [10_000, 20_000, 5_000]
    sources = {row["source"]: row["revenueMinor"] for row in found["attribution"]["rows"] if row["revenueMinor"]}
    assert sources == {"newsletter": 10_000, "instagram": 20_000}
    assert found["attribution"]["unattributed"]["revenueMinor"] == 5_000
    last = await read(client, tenant, f"/api/launches/{launch['id']}/analytics?model=last_touch")
    assert {r["source"]: r["revenueMinor"] for r in last["attribution"]["rows"]}["youtube"] == 10_000
    assert found["goals"]["revenue"]["pace"] == "missed"
    assert (found["goals"]["sales"]["progress"], found["goals"]["sales"]["expected"]) == (30.0, 10)
    await read(client, tenant, f"/api/launches/{launch['id']}/analytics?model=astrology", 422)


async def test_a_launch_equals_the_reports_of_its_window_dated_by_order(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant, first = await make_tenant(), (NOW - 10 * DAY).date()
    midnight = datetime(first.year, first.month, first.day, tzinfo=UTC)
    past = History(tenant)
    await past.visit("ann", midnight, "youtube", email="ann@example.com")
    sale = await past.sale("ann@example.com", 9_900, midnight + HOUR)
    await past.charge(sale, "refund", 1_000, midnight + 6 * DAY)
    await past.sale("bob@example.com", 5_000, midnight + 3 * DAY)
    await past.credit()
    launch = await made(client, tenant, midnight, 3)
    figures = (await read(client, tenant, f"/api/launches/{launch['id']}/analytics"))["figures"]
    days = f"from={first}&to={first + 2 * DAY}&dateBy=order"
    summary = await read(client, tenant, f"/api/analytics/summary?{days}")
    names = ("revenueMinor", "refundedMinor", "netRevenueMinor", "purchases", "students", "visitors", "conversionRate")
    assert {name: figures[name] for name in names} == {name: summary[name] for name in names}
    assert figures["netRevenueMinor"] == 8_900


async def test_results_of_a_completed_launch_stay_and_a_later_refund_corrects_them(
    client: httpx.AsyncClient, make_tenant: TenantMaker, installation: Runtime
) -> None:
    tenant = await make_tenant()
    past = History(tenant)
    await past.visit("ann", START, "youtube", email="ann@example.com")
    sale = await past.sale("ann@example.com", 10_000, START + HOUR)
    await past.credit()
    await settle(tenant)
    launch = await made(client, tenant, START, 5)
    job = next(j for j in installation.registry.by_slug["launches"].declared.jobs if j.name == "update_status")
    await job.function(await plugin_context(installation, tenant, "launches"))
    url = f"/api/launches/{launch['id']}/analytics"
    final = await read(client, tenant, url)
    assert final["frozenAt"] is not None and final["corrections"] == []

    await past.visit("late", START + HOUR, "tiktok")
    async with tenant.transaction() as conn:
        await conn.execute("delete from credits where tenant_id = $1", tenant.id)
    same = await read(client, tenant, url)
    assert {**same, "asOf": ""} == {**final, "asOf": ""}, "neither visits nor credits of later change what is final"
    await past.credit()

    await past.charge(sale, "refund", 4_000, NOW - DAY)
    await past.credit()
    await settle(tenant)
    after = await read(client, tenant, url)
    assert (after["figures"]["revenueMinor"], after["figures"]["netRevenueMinor"]) == (10_000, 6_000)
    assert after["figures"]["visitors"] == final["figures"]["visitors"]
    assert {row["source"]: row["revenueMinor"] for row in after["attribution"]["rows"]}["youtube"] == 6_000
    (correction,) = after["corrections"]
    assert correction["reason"] == "refund"
    assert (correction["netBeforeMinor"], correction["netAfterMinor"]) == (10_000, 6_000)


async def test_up_to_three_launches_are_compared_by_the_hour_since_each_opened(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    past = History(tenant)
    ids = []
    for number in range(4):
        start = NOW - (10 - 2 * number) * DAY
        await past.sale(f"b{number}@example.com", 1_000 * (number + 1), start + HOUR)
        ids.append((await made(client, tenant, start, 1))["id"])
    found = await read(client, tenant, f"/api/launches/compare?ids={','.join(ids[:3])}")
    assert found["hours"] == 24
    assert [one["hours"][1]["netRevenueMinor"] for one in found["launches"]] == [1_000, 2_000, 3_000]
    for wrong in (",".join(ids), "", "spring"):
        await read(client, tenant, f"/api/launches/compare?ids={wrong}", 422)
    await read(client, tenant, f"/api/launches/compare?ids={tenant.id}", 404)


async def test_a_goal_says_where_an_even_pace_would_be(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    tenant = await make_tenant()
    await History(tenant).sale("a@example.com", 30_000, NOW - HOUR)
    launch = await made(client, tenant, NOW - 2 * DAY, 4, revenueGoalMinor=100_000, salesGoal=1)
    goals = (await read(client, tenant, f"/api/launches/{launch['id']}/live-stats"))["goals"]
    assert goals["revenue"]["pace"] == "behind" and abs(goals["revenue"]["expected"] - 50_000) < 1_000
    assert abs(goals["revenue"]["projected"] - 60_000) < 1_000
    assert (goals["sales"]["pace"], goals["sales"]["progress"]) == ("reached", 100.0)


async def test_a_launch_behind_its_goal_is_warned_of_and_one_on_pace_is_not(
    client: httpx.AsyncClient, make_tenant: TenantMaker, installation: Runtime
) -> None:
    tenant = await make_tenant()
    past = History(tenant)
    for number in range(12):
        await past.sale(f"b{number}@example.com", 1_000, NOW - DAY)
    await past.credit()

    async def warned(launch: Any, **goal: int) -> list[Any]:
        changed = await client.patch(f"/api/launches/{launch['id']}", json=goal, headers=tenant.headers)
        assert changed.status_code == 200
        found = await (await plugin_context(installation, tenant, "launches")).advice()
        return [advice.recommendation for advice in found if advice.rule == "launches_pace"]

    launch = await made(client, tenant, NOW - 2 * DAY, 4)
    assert await warned(launch) == []
    assert await warned(launch, salesGoal=30) == [], "twelve where fifteen were expected is chance"
    (by_sales,) = await warned(launch, salesGoal=100)
    assert "12 sales so far" in by_sales.body and by_sales.evidence["expectedSales"] == 50
    (by_revenue,) = await warned(launch, salesGoal=None, revenueGoalMinor=100_000)  # type: ignore[arg-type]
    assert by_revenue.evidence["projected"] in range(23_900, 24_100)


def test_being_behind_by_chance_is_told_from_being_behind() -> None:
    assert below_by_chance(12, 15) > 0.5 > below_by_chance(5, 15)
    assert below_by_chance(0, 10) < 1e-4
    assert below_by_chance(20, 15) == 1.0


def days_of(counts: list[int]) -> list[DayOfSales]:
    first = (NOW - len(counts) * DAY).date()
    return [DayOfSales(first + n * DAY, count, count * 100) for n, count in enumerate(counts)]


def test_a_spike_is_found_with_its_days_and_a_steady_shop_has_none() -> None:
    usual = [3, 2, 4, 3, 5, 2, 3] * 8
    (spike,) = spikes(days_of([*usual, 25, 14, 4, 30, *usual]))
    assert ((spike.last - spike.first).days, spike.purchases) == (3, 73)
    assert spikes(days_of(usual * 4)) == []
    assert spikes(days_of([0] * 60)) == spikes([]) == []


def test_noise_is_no_launch(random_counts: Callable[[int], list[int]]) -> None:
    assert [seed for seed in range(200) if spikes(days_of(random_counts(seed)))] == []


@pytest.fixture
def random_counts() -> Callable[[int], list[int]]:
    """Orders of a year at a steady rate: each of 2,000 visitors a day buys or not."""
    import random

    def counts(seed: int) -> list[int]:
        dice = random.Random(seed)
        rate = dice.choice([0.3, 1, 4, 12])
        return [sum(dice.random() < rate / 40 for _ in range(40)) for _ in range(365)]

    return counts


def test_the_bound_is_above_the_chance() -> None:
    assert above_by_chance(3, 5) == 1.0
    assert 1e-7 < above_by_chance(20, 5) < 1e-5, "the true one is 8.1e-8 times a little"


async def test_history_suggests_launches_and_one_that_was_made_is_not_suggested_again(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant(time_zone="America/New_York")
    past = History(tenant)
    assert "no orders yet" in (await read(client, tenant, "/api/launches/suggestions"))["hint"]
    for day in range(20):
        for number in range(8 if day in {9, 10} else 1):
            at = NOW - (24 - day) * DAY + number * timedelta(seconds=1)
            await past.sale(f"d{day}n{number}@example.com", 1_000, at)
    (one,) = (await read(client, tenant, "/api/launches/suggestions"))["items"]
    assert (one["purchases"], one["revenueMinor"]) == (16, 16_000)
    assert datetime.fromisoformat(one["endsAt"]) - datetime.fromisoformat(one["startsAt"]) in {
        2 * DAY, 2 * DAY + HOUR, 2 * DAY - HOUR,
    }  # fmt: skip
    body = {"title": one["title"], "startsAt": one["startsAt"], "endsAt": one["endsAt"]}
    assert (await client.post("/api/launches", json=body, headers=tenant.headers)).status_code == 201
    again = await read(client, tenant, "/api/launches/suggestions")
    assert again["items"] == [] and "is a launch already" in again["hint"]
