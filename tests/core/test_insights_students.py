"""Reports on students, read back from a small history worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

FEBRUARY = {"from": "2024-02-01", "to": "2024-02-29"}
QUARTER = {"from": "2024-01-01", "to": "2024-03-31"}


def at(month: int, day: int, hour: int = 12, year: int = 2024) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


@dataclass
class School:
    """A tenant and how to ask about it."""

    http: httpx.AsyncClient
    tenant: ActingTenant
    past: History

    async def get(self, report: str, **params: object) -> Any:
        answer = await self.http.get(f"/api/analytics/{report}", params=params, headers=self.tenant.headers)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, report: str, **params: str) -> list[str]:
        """The paths of the fields that are wrong."""
        answer = await self.http.get(f"/api/analytics/{report}", params=params, headers=self.tenant.headers)
        assert 400 <= answer.status_code < 500, answer.text
        return [error["path"] for error in answer.json()["errors"]]


@pytest.fixture(scope="module")
async def school(client: httpx.AsyncClient, make_tenant: TenantMaker) -> School:
    """January: Ann pays 100.00 after youtube and direct, Bea 80.00 after google. February: Ann buys again, 50.00 after a
    newsletter, and gets 20.00 back of her first; Cid, never seen, pays 30.00; Dan pays 99.00 in euros. March: Eve pays 60.00
    after youtube, having heard of the school on a podcast four months before; Bea's subscription renews for 80.00.
    """
    tenant = await make_tenant()
    past = History(tenant)
    await past.visit("ann", at(1, 10), "youtube", channel="Organic Video", campaign="spring", email="ann@example.com")
    await past.visit("ann", at(1, 12, 9), "(direct)", channel="Direct", direct=True)
    first = await past.sale("ann@example.com", 10_000, at(1, 12))
    await past.visit("bea", at(1, 15), "google", channel="Organic Search", email="bea@example.com")
    bea = await past.sale("bea@example.com", 8_000, at(1, 20))
    await past.sale("cid@example.com", 3_000, at(2, 3))
    await past.visit("ann", at(2, 4), "newsletter", channel="Email")
    await past.sale("ann@example.com", 5_000, at(2, 5))
    await past.sale("dan@example.com", 9_900, at(2, 10), currency="EUR")
    await past.charge(first, "refund", 2_000, at(2, 20))
    await past.visit("eve", at(11, 1, year=2023), "podcast", channel="Audio", email="eve@example.com")
    await past.visit("eve", at(2, 25), "youtube", channel="Organic Video", campaign="spring")
    await past.sale("eve@example.com", 6_000, at(3, 1))
    await past.charge(bea, "renewal", 8_000, at(3, 20))
    await past.credit()
    return School(client, tenant, past)


async def test_students_of_a_month_with_what_they_were_worth_before_and_after(school: School) -> None:
    report = await school.get("students", **FEBRUARY)
    assert [item["email"] for item in report["items"]] == ["ann@example.com", "cid@example.com"]
    assert report["items"][0] == {
        "personId": str(school.past.people["ann@example.com"]),
        "email": "ann@example.com",
        "name": "Invented Person",
        "source": "youtube",
        "channel": "Organic Video",
        "campaign": "spring",
        "firstTouch": {
            "at": "2024-01-10T12:00:00Z",
            "source": "youtube",
            "channel": "Organic Video",
            "campaign": "spring",
        },
        "lifetimeValueMinor": 13_000,
        "chargedMinor": 15_000,
        "refundedMinor": 2_000,
        "purchases": 2,
        "firstPurchaseAt": "2024-01-12T12:00:00Z",
        "lastPurchaseAt": "2024-02-05T12:00:00Z",
        "periodChargedMinor": 5_000,
        "periodRefundedMinor": 2_000,
    }
    cid = report["items"][1]
    assert (cid["source"], cid["firstTouch"], cid["lifetimeValueMinor"]) == (None, None, 3_000)
    assert report["totals"] == {
        "students": 2,
        "lifetimeValueMinor": 16_000,
        "averageLifetimeValueMinor": 8_000,
        "periodChargedMinor": 8_000,
        "periodRefundedMinor": 2_000,
    }
    assert [(other["currency"], other["netRevenueMinor"]) for other in report["otherCurrencies"]] == [("EUR", 9_900)]
    assert (report["hint"], report["nextCursor"]) == (None, None)


async def test_the_first_source_is_the_models_and_the_first_touch_is_older_than_any_window(school: School) -> None:
    items = (await school.get("students", **QUARTER, sort="firstPurchase"))["items"]
    eve = items[0]
    assert (eve["source"], eve["firstTouch"]["source"]) == ("youtube", "podcast")
    last = (await school.get("students", **QUARTER, sort="firstPurchase", order="asc", model="last_touch"))["items"]
    assert [(item["email"].split("@")[0], item["source"]) for item in last] == [
        ("ann", "(direct)"), ("bea", "google"), ("cid", None), ("eve", "youtube"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sort", "wanted"),
    [
        ("lifetimeValue", ["bea", "ann", "eve", "cid"]),
        ("firstPurchase", ["eve", "cid", "bea", "ann"]),
        ("lastPurchase", ["eve", "ann", "cid", "bea"]),
    ],
)
async def test_pages_in_every_order_are_the_whole_list(school: School, sort: str, wanted: list[str]) -> None:
    for order, expected in (("desc", wanted), ("asc", wanted[::-1])):
        names, cursor = [], ""
        for _ in wanted:
            page = await school.get("students", **QUARTER, sort=sort, order=order, limit=1, cursor=cursor)
            names += [item["email"].split("@")[0] for item in page["items"]]
            cursor = page["nextCursor"] or ""
            assert page["totals"]["students"] == 4
        assert names == expected
        assert cursor == ""


async def test_students_of_one_first_source(school: School) -> None:
    report = await school.get("students", **QUARTER, source="youtube", sort="purchases")
    assert [item["email"] for item in report["items"]] == ["ann@example.com", "eve@example.com"]
    assert (report["totals"]["students"], report["totals"]["lifetimeValueMinor"]) == (2, 19_000)


async def test_a_cursor_of_another_order_and_nonsense_are_refused(school: School) -> None:
    page = await school.get("students", **QUARTER, limit=1)
    assert await school.refused("students", sort="purchases", cursor=page["nextCursor"], **QUARTER) == ["cursor"]
    assert await school.refused("students", cursor="bm90IG91cnM") == ["cursor"]
    assert await school.refused("students", limit="0") == ["limit"]
    assert await school.refused("students", sort="shoeSize") == ["sort"]


async def test_lifetime_value_by_first_source(school: School) -> None:
    report = await school.get("lifetime-value")
    assert report["from"] == "2023-11-01"
    rows = {row["name"]: row for row in report["rows"]}
    assert list(rows) == ["youtube", "google"]
    youtube = rows["youtube"]
    assert (youtube["channel"], youtube["students"], youtube["valueMinor"], youtube["averageMinor"]) == (
        "Organic Video", 2, 19_000, 9_500,
    )  # fmt: skip
    assert (youtube["purchases"], youtube["repeatStudents"], youtube["repeatRate"]) == (3, 1, 50.0)
    # Ann bought again on day 24 and got money back on day 39; Bea's subscription renewed on day 60.
    assert [(after["days"], after["students"], after["valueMinor"]) for after in youtube["after"]] == [
        (30, 2, 21_000), (60, 2, 19_000), (90, 2, 19_000), (180, 2, 19_000), (365, 2, 19_000),
    ]  # fmt: skip
    assert [after["valueMinor"] for after in rows["google"]["after"]] == [8_000, 8_000, 16_000, 16_000, 16_000]
    assert rows["google"]["repeatStudents"] == 0
    assert (report["unattributed"]["students"], report["unattributed"]["valueMinor"]) == (1, 3_000)
    assert (report["totals"]["students"], report["totals"]["valueMinor"], report["totals"]["averageMinor"]) == (
        4, 38_000, 9_500,
    )  # fmt: skip


async def test_lifetime_value_by_channel_campaign_and_model(school: School) -> None:
    channels = await school.get("lifetime-value", by="channel", model="last_touch")
    assert [(row["name"], row["valueMinor"]) for row in channels["rows"]] == [
        ("Organic Search", 16_000), ("Direct", 13_000), ("Organic Video", 6_000),
    ]  # fmt: skip
    campaigns = await school.get("lifetime-value", by="campaign")
    assert [(row["name"], row["students"]) for row in campaigns["rows"]] == [("spring", 2), ("", 1)]


async def test_only_those_who_started_in_the_period_count_and_only_the_old_enough_for_each_age(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    past, now = History(tenant), datetime.now(UTC)
    for name, days in (("old", 100), ("young", 40)):
        begun = now - timedelta(days=days)
        await past.visit(name, begun - timedelta(hours=1), "youtube", email=f"{name}@example.com")
        purchase = await past.sale(f"{name}@example.com", 1_000, begun)
        await past.charge(purchase, "instalment", 500, begun + timedelta(days=20))
        await past.charge(purchase, "instalment", 250, begun + timedelta(days=35))
    await past.credit()
    school = School(client, tenant, past)
    whole = (await school.get("lifetime-value"))["rows"][0]
    assert [(after["days"], after["students"], after["valueMinor"]) for after in whole["after"]] == [
        (30, 2, 3_000), (60, 1, 1_750), (90, 1, 1_750), (180, 0, 0), (365, 0, 0),
    ]  # fmt: skip
    assert whole["after"][3]["averageMinor"] is None
    recent = (await school.get("lifetime-value", range="90d"))["totals"]
    assert (recent["students"], recent["valueMinor"]) == (1, 1_750)


async def test_cohorts_are_a_triangle_of_months(school: School) -> None:
    report = await school.get("cohorts")
    assert [(row["month"], row["students"], row["netRevenueMinor"]) for row in report["rows"]] == [
        ("2024-01-01", 2, 29_000), ("2024-02-01", 1, 3_000), ("2024-03-01", 1, 6_000),
    ]  # fmt: skip
    january = report["rows"][0]["cells"]
    assert [
        (
            cell["monthsSince"], cell["activeStudents"], cell["activeRate"], cell["netRevenueMinor"],
            cell["cumulativeMinor"], cell["averageValueMinor"],
        )
        for cell in january[:4]
    ] == [
        (0, 2, 100.0, 18_000, 18_000, 9_000),
        (1, 1, 50.0, 3_000, 21_000, 10_500),
        (2, 1, 50.0, 8_000, 29_000, 14_500),
        (3, 0, 0.0, 0, 29_000, 14_500),
    ]  # fmt: skip
    now = datetime.now(UTC)
    assert len(january) == (now.year - 2024) * 12 + now.month
    assert [len(row["cells"]) for row in report["rows"]] == [len(january) - n for n in range(3)]
    assert (report["students"], report["netRevenueMinor"], report["longestMonths"]) == (4, 38_000, len(january))


async def test_cohorts_of_one_first_source_or_channel(school: School) -> None:
    youtube = await school.get("cohorts", source="youtube")
    assert [(row["month"], row["students"]) for row in youtube["rows"]] == [("2024-01-01", 1), ("2024-03-01", 1)]
    search = await school.get("cohorts", channel="Organic Search", **QUARTER)
    assert [(row["students"], row["netRevenueMinor"]) for row in search["rows"]] == [(1, 16_000)]
    assert (await school.get("cohorts", source="nowhere"))["rows"] == []


async def test_a_cohorts_months_are_the_tenants(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    tenant = await make_tenant(time_zone="America/Los_Angeles")
    past = History(tenant)
    await past.sale("late@example.com", 100, datetime(2024, 2, 1, 7, 59, tzinfo=UTC))
    await past.sale("later@example.com", 200, datetime(2024, 2, 1, 8, 0, tzinfo=UTC))
    await past.credit()
    report = await School(client, tenant, past).get("cohorts")
    assert [(row["month"], row["netRevenueMinor"]) for row in report["rows"]] == [
        ("2024-01-01", 100),
        ("2024-02-01", 200),
    ]


async def test_new_and_returning_students_of_a_month(school: School) -> None:
    report = await school.get("new-returning", **FEBRUARY)
    new, returning = report["totals"]["new"], report["totals"]["returning"]
    assert new == {
        "students": 1, "purchases": 1, "chargedMinor": 3_000, "refundedMinor": 0, "netRevenueMinor": 3_000,
        "averageOrderMinor": 3_000,
    }  # fmt: skip
    assert (returning["students"], returning["purchases"]) == (1, 1)
    assert (returning["chargedMinor"], returning["refundedMinor"], returning["netRevenueMinor"]) == (
        5_000,
        2_000,
        3_000,
    )
    assert report["totals"]["newRevenueShare"] == 37.5
    rows = {
        row["source"]: (row["new"]["netRevenueMinor"], row["returning"]["netRevenueMinor"]) for row in report["rows"]
    }
    assert rows == {"newsletter": (0, 5_000), "youtube": (0, -2_000)}
    assert report["unattributed"]["new"]["netRevenueMinor"] == 3_000
    assert report["interval"] == "day"
    assert len(report["intervals"]) == 29


async def test_each_month_is_a_period_of_its_own(school: School) -> None:
    report = await school.get("new-returning", **QUARTER, interval="month")
    found = [
        (part["first"], part["last"], part["new"]["netRevenueMinor"], part["returning"]["netRevenueMinor"])
        for part in report["intervals"]
    ]
    assert found == [
        ("2024-01-01", "2024-01-31", 18_000, 0),
        ("2024-02-01", "2024-02-29", 3_000, 3_000),
        ("2024-03-01", "2024-03-31", 6_000, 8_000),
    ]
    assert report["totals"]["new"]["students"] == 4
    assert report["totals"]["returning"]["students"] == 0


async def test_weeks_begin_on_monday_and_are_cut_to_the_period(school: School) -> None:
    report = await school.get("new-returning", interval="week", **{"from": "2024-02-01", "to": "2024-02-13"})
    assert [(part["first"], part["last"]) for part in report["intervals"]] == [
        ("2024-02-01", "2024-02-04"), ("2024-02-05", "2024-02-11"), ("2024-02-12", "2024-02-13"),
    ]  # fmt: skip
    assert [part["returning"]["chargedMinor"] for part in report["intervals"]] == [0, 5_000, 0]


@pytest.mark.parametrize("report", ["students", "lifetime-value", "cohorts", "new-returning"])
async def test_a_tenant_with_nothing_is_told_so(
    client: httpx.AsyncClient, make_tenant: TenantMaker, report: str
) -> None:
    school = School(client, await make_tenant(), History(await make_tenant()))
    for range_ in ("7d", "all"):
        answer = await school.get(report, range=range_)
        assert answer["hint"]
        assert not answer.get("rows")
