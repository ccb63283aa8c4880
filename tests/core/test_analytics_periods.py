"""Which days a report covers: named ranges, dates, the tenant's zone, clock changes, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from coursesignal.analytics.period import Period, asked
from coursesignal.errors import Invalid
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

NEW_YORK = ZoneInfo("America/New_York")
NOW = datetime(2026, 7, 24, 3, 30, tzinfo=UTC)
"""Still 23 July in New York."""


def period(
    range_: str | None = None, first: str | None = None, last: str | None = None, zone: ZoneInfo = NEW_YORK
) -> Period:
    found = asked(range_, first, last, zone, NOW)
    assert isinstance(found, Period)
    return found


def test_a_named_range_ends_with_today_in_the_tenants_zone() -> None:
    week = period("7d")
    assert (week.first, week.last) == (date(2026, 7, 17), date(2026, 7, 23))
    assert week.start_at == datetime(2026, 7, 17, 4, tzinfo=UTC)
    assert week.end_at == datetime(2026, 7, 24, 4, tzinfo=UTC)


def test_nothing_asked_is_thirty_days() -> None:
    assert len(period().days) == 30
    assert asked("all", None, None, NEW_YORK, NOW) == "all"


def test_dates_are_both_included() -> None:
    found = period(first="2026-02-28", last="2026-03-01")
    assert found.days == [date(2026, 2, 28), date(2026, 3, 1)]


def test_without_a_last_day_it_is_today() -> None:
    assert period(first="2026-07-20").last == date(2026, 7, 23)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-11-02", 24)])
def test_a_day_on_which_the_clocks_change_has_23_or_25_hours(day: str, hours: int) -> None:
    found = period(first=day, last=day)
    assert found.end_at - found.start_at == timedelta(hours=hours)


def test_a_day_that_begins_at_one_because_midnight_is_skipped_begins_there() -> None:
    """Cairo goes from 23:59:59 on 23 April 2026 to 01:00 on the 24th."""
    cairo = ZoneInfo("Africa/Cairo")
    before, after = (period(first=day, last=day, zone=cairo) for day in ("2026-04-23", "2026-04-24"))
    assert before.end_at == after.start_at
    assert after.start_at.astimezone(cairo).hour == 1
    assert after.end_at - after.start_at == timedelta(hours=23)


def test_the_period_before_has_as_many_days_and_ends_where_this_begins() -> None:
    found = period(first="2026-03-01", last="2026-03-31")
    before = found.before()
    assert before is not None
    assert (before.first, before.last) == (date(2026, 1, 29), date(2026, 2, 28))
    assert before.end_at == found.start_at


def test_a_window_of_instants_has_a_window_of_the_same_length_before_it() -> None:
    start = datetime(2026, 3, 1, 9, tzinfo=UTC)
    before = Period.of_instants(start, start + timedelta(hours=36), NEW_YORK).before()
    assert before is not None
    assert (before.start_at, before.end_at) == (start - timedelta(hours=36), start)


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"range": "8d"}, "range"),
        ({"range": ""}, "range"),
        ({"range": "7d", "from": "2026-01-01"}, "range"),
        ({"to": "2026-01-01"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-13-01"}, "from"),
        ({"from": "20260101"}, "from"),
        ({"from": "0001-01-01", "to": "0001-01-02"}, "from"),
        ({"from": "2026-01-02", "to": "2026-01-01"}, "to"),
        ({"from": "2026-01-01", "to": "9999-12-31"}, "to"),
        ({"from": "2010-01-01", "to": "2026-01-01"}, "from"),
    ],
)
async def test_nonsense_is_refused_with_the_parameter_that_is_wrong(
    client: httpx.AsyncClient, tenant: ActingTenant, query: Mapping[str, str], path: str
) -> None:
    for report in ("summary", "sources", "daily-revenue", "ledger", "reconciliation", "export", "recent-purchases"):
        answer = await client.get(f"/api/analytics/{report}", params=query, headers=tenant.headers)
        assert answer.status_code == 422, report
        assert [error["path"] for error in answer.json()["errors"]] == [path]


def test_ten_years_are_the_most() -> None:
    assert len(period(first="2016-07-24", last="2026-07-23").days) == 3652
    with pytest.raises(Invalid):
        period(first="2016-07-20", last="2026-07-23")


@pytest.fixture(scope="module")
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant(time_zone="America/New_York")


async def test_every_day_of_the_range_is_there_and_money_is_on_the_local_day(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    past = History(tenant)
    # 1 November 2026 has 25 hours in New York: 04:00 UTC on the 1st to 05:00 UTC on the 2nd.
    for moment, amount in (
        (datetime(2026, 11, 1, 3, 59, 59, tzinfo=UTC), 1),
        (datetime(2026, 11, 1, 4, tzinfo=UTC), 10),
        (datetime(2026, 11, 1, 5, 30, tzinfo=UTC), 100),
        (datetime(2026, 11, 1, 6, 30, tzinfo=UTC), 1_000),
        (datetime(2026, 11, 2, 4, 59, 59, tzinfo=UTC), 10_000),
        (datetime(2026, 11, 2, 5, tzinfo=UTC), 100_000),
    ):
        await past.sale("a@example.com", amount, moment)
    query = {"from": "2026-10-31", "to": "2026-11-03"}
    report = (await client.get("/api/analytics/daily-revenue", params=query, headers=tenant.headers)).json()
    assert [(day["date"], day["revenueMinor"], day["purchases"]) for day in report["days"]] == [
        ("2026-10-31", 1, 1),
        ("2026-11-01", 11_110, 4),
        ("2026-11-02", 100_000, 1),
        ("2026-11-03", 0, 0),
    ]
    one_day = {"from": "2026-11-01", "to": "2026-11-01"}
    summary = (await client.get("/api/analytics/summary", params=one_day, headers=tenant.headers)).json()
    assert summary["revenueMinor"] == 11_110


async def test_all_reaches_from_the_first_to_the_last_charge(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    past = History(tenant)
    await past.sale("a@example.com", 500, datetime(2019, 5, 6, 7, tzinfo=UTC))
    await past.sale("b@example.com", 700, datetime.now(UTC) + timedelta(days=3))
    summary = (await client.get("/api/analytics/summary", params={"range": "all"}, headers=tenant.headers)).json()
    assert summary["from"] == "2019-05-06"
    assert summary["revenueMinor"] == 1_200
    assert summary["trends"]["revenue"] is None


async def test_an_unknown_model_is_refused_with_those_that_exist(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    for report in ("summary", "sources", "drilldown/x", "recent-purchases", "ledger", "reconciliation", "export"):
        answer = await client.get(f"/api/analytics/{report}", params={"model": "guess"}, headers=tenant.headers)
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["path"] == "model"
        assert "last_non_direct" in error["message"]
