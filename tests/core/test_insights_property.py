"""Invented histories: whatever happened, the reports on students and journeys add up to summary and ledger, however asked."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from coursesignal.commerce.matching import match
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

BEGIN, DAYS = datetime(2024, 3, 1, tzinfo=UTC), 150
"""The clocks of the tenant's zone change inside."""
SOURCES = {"youtube": "Organic Video", "newsletter": "Email", "google": "Organic Search", "(direct)": "Direct"}
PERIODS: list[dict[str, str]] = [
    {"range": "all"},
    {"from": "2024-03-01", "to": "2024-03-31"},
    {"from": "2024-04-20", "to": "2024-06-11"},
    {"from": "2023-01-01", "to": "2023-02-01"},
    {"from": "2024-03-20", "to": "2024-07-11", "dateBy": "order"},
    {"from": "2024-04-01", "to": "2024-07-11", "filter": "source:youtube|newsletter", "window": "7"},
]
MODELS = ("last_non_direct", "linear", "opt_in")
MONEY = ("chargedMinor", "refundedMinor", "revenueMinor")


@dataclass
class School:
    """A tenant with a past, and how to ask about it."""

    http: httpx.AsyncClient
    tenant: ActingTenant

    async def get(self, report: str, **params: object) -> Any:
        answer = await self.http.get(f"/api/analytics/{report}", params=params, headers=self.tenant.headers)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def pages(self, report: str, **params: object) -> list[Any]:
        items, cursor = list[Any](), ""
        while True:
            page = await self.get(report, limit=7, cursor=cursor, **params)
            items += page["items"]
            if not (cursor := page.get("nextCursor") or ""):
                return items


@pytest.fixture(scope="module", params=[4, 5])
async def school(request: pytest.FixtureRequest, client: httpx.AsyncClient, make_tenant: TenantMaker) -> School:
    """Forty visits and thirty purchases of a dozen people, some of whom nobody saw, with what was paid and paid back later."""
    rng = random.Random(request.param)
    past = History(await make_tenant(time_zone="America/New_York"))
    emails = [f"buyer{n}@example.com" for n in range(12)]
    owners = {f"browser{n}": rng.choice([*emails[:8], None]) for n in range(14)}
    for _ in range(40):
        visitor, source = rng.choice(list(owners)), rng.choice(list(SOURCES))
        await past.visit(
            visitor, _moment(rng), source, channel=SOURCES[source], direct=source == "(direct)", email=owners[visitor],
            campaign=rng.choice(["", "spring"]), content=rng.choice(["", "a", "b"]), opt_in=rng.random() < 0.2,
            landing_url=f"https://example.com/{rng.choice('xyz')}",
        )  # fmt: skip
    for _ in range(30):
        await _buy(rng, past, rng.choice([*emails, None]))
    await past.credit()
    async with past.tenant.transaction() as conn:
        await match(conn, past.tenant.id, past.purchases)
    return School(client, past.tenant)


async def _buy(rng: random.Random, past: History, email: str | None) -> UUID:
    at, amount, currency = _moment(rng), rng.randint(1, 20_000), rng.choice(["USD", "USD", "USD", "EUR"])
    purchase = await past.sale(email, amount, at, currency=currency)
    for kind in rng.sample(["renewal", "instalment", "refund", "dispute"], k=rng.choice([0, 0, 1, 2])):
        later = at + timedelta(days=rng.uniform(0.1, 80))
        await past.charge(purchase, kind, rng.randint(1, amount), later, currency=currency)
    return purchase


def _moment(rng: random.Random) -> datetime:
    return BEGIN + timedelta(seconds=rng.randrange(DAYS * 86_400), microseconds=rng.randrange(10**6))


each_period = pytest.mark.parametrize("period", PERIODS, ids=lambda period: "-".join(period.values()))
each_model = pytest.mark.parametrize("model", MODELS)


@each_period
async def test_students_are_those_of_the_summary_and_their_values_those_of_the_ledger(
    school: School, period: dict[str, str]
) -> None:
    summary = await school.get("summary", **period)
    report = await school.get("students", **period)
    students = await school.pages("students", **period, sort="lifetimeValue")
    assert len(students) == report["totals"]["students"] == summary["students"]
    assert sum(student["periodChargedMinor"] for student in students) == summary["revenueMinor"]
    assert sum(student["lifetimeValueMinor"] for student in students) == report["totals"]["lifetimeValueMinor"]
    assert [s["lifetimeValueMinor"] for s in students] == sorted(
        (s["lifetimeValueMinor"] for s in students), reverse=True
    )
    assert report["otherCurrencies"] == summary["otherCurrencies"]
    ledger = [i for i in await school.pages("ledger", range="all", **_wishes(period)) if i["currency"] == "USD"]
    for student in students:
        own = [item for item in ledger if item["email"] is not None and item["email"] == student["email"]]
        if own:
            assert student["lifetimeValueMinor"] == sum(item["chargesMinor"] - item["refundsMinor"] for item in own)
            assert student["purchases"] == len(own)


@each_model
async def test_lifetimes_and_cohorts_are_all_the_students_there_ever_were(school: School, model: str) -> None:
    summary = await school.get("summary", range="all", model=model)
    lifetime = await school.get("lifetime-value", model=model)
    cohorts = await school.get("cohorts", model=model)
    for column, wanted in (("students", "students"), ("valueMinor", "netRevenueMinor"), ("purchases", "purchases")):
        found = sum(row[column] for row in lifetime["rows"]) + lifetime["unattributed"][column]
        assert found == lifetime["totals"][column] == summary[wanted], column
    assert (cohorts["students"], cohorts["netRevenueMinor"]) == (summary["students"], summary["netRevenueMinor"])
    for row in cohorts["rows"]:
        assert row["cells"][0]["activeStudents"] == row["students"]
        assert row["cells"][-1]["cumulativeMinor"] == row["netRevenueMinor"]
    for row in lifetime["rows"]:
        students = await school.get("students", range="all", source=row["name"], model=model)
        assert students["totals"]["lifetimeValueMinor"] == row["valueMinor"]
        triangle = await school.get("cohorts", source=row["name"], model=model)
        assert (triangle["students"], triangle["netRevenueMinor"]) == (row["students"], row["valueMinor"])


@each_period
@each_model
async def test_new_and_returning_are_the_summary_as_a_whole_by_source_and_by_month(
    school: School, period: dict[str, str], model: str
) -> None:
    summary = await school.get("summary", **period, model=model)
    sources = await school.get("sources", **period, model=model)
    report = await school.get("new-returning", **period, model=model, interval="month")
    names = (("netRevenueMinor", "netRevenueMinor"), ("chargedMinor", "revenueMinor"), ("students", "students"),
             ("purchases", "purchases"))  # fmt: skip
    for column, wanted in names:
        assert _both(report["totals"], column) == summary[wanted], column
    rows = {row["source"]: row for row in report["rows"]}
    for row in sources["rows"]:
        if row["source"] in rows:
            assert _both(rows[row["source"]], "netRevenueMinor") == row["revenueMinor"]
            assert _both(rows[row["source"]], "purchases") == row["purchases"]
    assert _both(report["unattributed"], "netRevenueMinor") == sources["unattributed"]["revenueMinor"]
    for part in report["intervals"]:
        month = await school.get("summary", **{"from": part["first"], "to": part["last"]}, **_wishes(period))
        assert (_both(part, "netRevenueMinor"), _both(part, "students")) == (
            month["netRevenueMinor"],
            month["students"],
        )


def _wishes(period: dict[str, str]) -> dict[str, str]:
    """How it is asked for besides the period."""
    return {name: value for name, value in period.items() if name in ("dateBy", "filter", "window")}


def _both(part: Any, column: str) -> int:
    total: int = part["new"][column] + part["returning"][column]
    return total


@each_period
async def test_journeys_and_what_has_none_are_the_summary(school: School, period: dict[str, str]) -> None:
    summary = await school.get("summary", **period)
    for by, limit in (("channel", 200), ("source", 2), ("campaign", 1)):
        report = await school.get("journeys", **period, by=by, limit=limit)
        parts = [*report["paths"], report["otherPaths"], report["withoutJourney"]]
        for column, wanted in (("purchases", "purchases"), ("revenueMinor", "netRevenueMinor")):
            assert sum(part[column] for part in parts) == report["totals"][column]
            assert report["totals"][column] + report["madeEarlier"][column] == summary[wanted]
        walked = report["totals"]["purchases"] - report["withoutJourney"]["purchases"]
        assert sum(bucket["purchases"] for bucket in report["lengths"]["days"]) == walked
        assert sum(count["purchases"] for count in report["lengths"]["touches"]) == walked


@each_period
@each_model
async def test_content_adds_up_to_the_summary(school: School, period: dict[str, str], model: str) -> None:
    summary = await school.get("summary", **period, model=model)
    for by, limit in (("landing", 200), ("landing", 1), ("content", 2), ("campaign", 200), ("referrer", 200)):
        report = await school.get("content", **period, model=model, by=by, limit=limit)
        parts = [*report["rows"], report["otherRows"], report["unnamed"], report["unattributed"]]
        for column in MONEY:
            assert sum(part[column] for part in parts) == report["totals"][column], (by, column)
        assert report["totals"]["revenueMinor"] == summary["netRevenueMinor"]
        assert report["unattributed"]["revenueMinor"] == summary["unattributedMinor"]
        assert report["totals"]["visitors"] == summary["visitors"]


@each_period
@each_model
async def test_coverage_has_every_purchase_in_one_row(school: School, period: dict[str, str], model: str) -> None:
    summary = await school.get("summary", **period, model=model)
    report = await school.get("coverage", **period, model=model)
    for column, wanted in (
        ("purchases", "purchases"),
        ("netRevenueMinor", "netRevenueMinor"),
        ("chargedMinor", "revenueMinor"),
    ):
        assert sum(row[column] for row in report["rows"]) == summary[wanted], column
    assert report["matchRate"] == summary["matchRate"]
    missing = sum(row["netRevenueMinor"] for row in report["rows"] if row["reason"] != "credited")
    assert missing == summary["unattributedMinor"]
    assert len({(row["status"], row["reason"]) for row in report["rows"]}) == len(report["rows"])


@each_period
async def test_everybody_is_in_one_row_of_the_funnel(school: School, period: dict[str, str]) -> None:
    for by in ("source", "channel"):
        report = await school.get("funnel", **period, by=by)
        for step in ("visitors", "optIns", "sales", "salesWithoutOptIn"):
            assert sum(row[step] for row in report["rows"]) == report["totals"][step]
        for row in [*report["rows"], report["totals"]]:
            assert row["visitors"] >= row["optIns"] >= row["sales"]
