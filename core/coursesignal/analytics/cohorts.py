"""Students by the month of their first purchase, and what they did in every month since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from coursesignal.analytics.buyers import FIRSTS, FOLLOWED, MONEY, OF_ORIGIN, ORIGINS
from coursesignal.analytics.figures import per, percent
from coursesignal.analytics.months import instants, months
from coursesignal.analytics.other_currencies import other_currencies
from coursesignal.analytics.reading import Reading
from coursesignal.reports import CohortCell, CohortReport, CohortRow

# Months by the very instants that the tenant's zone gives them; a refund told for before the first purchase counts in its month.
_COHORTS = """
    with {money}, {origins} {followed},
    numbered as (
        select student, amount, is_sale, width_bucket(first_at, $6::timestamptz[]) as cohort,
               width_bucket(at, $6::timestamptz[]) as month
        from followed
        where first_at >= $4 and first_at < $5 and $3::text is not null {where}
    )
    select cohort, greatest(month - cohort, 0) as months_since,
           count(distinct student) filter (where is_sale and amount > 0) as students, sum(amount) as net
    from numbered group by 1, 2"""


async def cohorts(reading: Reading, *, source: str = "", channel: str = "") -> CohortReport:
    """The students whose first purchase lies in the period, followed up to now; narrowed to where that purchase came from."""
    period = reading.period
    today = datetime.now(UTC).astimezone(period.zone).date()
    calendar = months(period.first, max(period.last, today))
    found = await _cells(reading, calendar, source, channel)
    rows = tuple(_row(calendar, number, found[number]) for number in sorted(found))
    return CohortReport(
        from_=period.first,
        to=period.last,
        currency=reading.currency,
        model=reading.model,
        hint=None if rows else "Nobody bought for the first time in this period. Choose a longer one.",
        time_zone=period.zone.key,
        source=source or None,
        channel=channel or None,
        rows=rows,
        students=sum(row.students for row in rows),
        net_revenue_minor=sum(row.net_revenue_minor for row in rows),
        longest_months=max((len(row.cells) for row in rows), default=0),
        other_currencies=await other_currencies(reading),
    )


async def _cells(reading: Reading, calendar: list[date], source: str, channel: str) -> Mapping[int, Mapping[int, Any]]:
    """What was found by number of the month in ``calendar``, from 1, and months since."""
    period = reading.period
    values: list[object] = [
        reading.tenant.id, reading.currency, reading.model, period.start_at, period.end_at,
        instants(calendar, period.zone),
    ]  # fmt: skip
    where = ""
    for column, wanted in (("source", source), ("channel", channel)):
        if wanted:
            values.append(wanted)
            where += f" and {OF_ORIGIN.format(column=column, number=len(values))}"
    sql = _COHORTS.format(
        money=MONEY, origins=f"{FIRSTS}, {ORIGINS}," if where else "", followed=FOLLOWED, where=where
    )  # fmt: skip
    found: dict[int, dict[int, Any]] = defaultdict(dict)
    for row in await reading.fetch(sql, *values):
        found[row["cohort"]][row["months_since"]] = row
    return found


def _row(calendar: list[date], number: int, found: Mapping[int, Any]) -> CohortRow:
    size = found[0]["students"]
    cells, cumulative = [], 0
    for since in range(len(calendar) - number + 1):
        row = found.get(since)
        net = int(row["net"]) if row else 0
        cumulative += net
        active = row["students"] if row else 0
        cells.append(
            CohortCell(
                months_since=since,
                active_students=active,
                active_rate=percent(active, size),
                net_revenue_minor=net,
                cumulative_minor=cumulative,
                average_value_minor=per(cumulative, size),
            )
        )
    return CohortRow(month=calendar[number - 1], students=size, net_revenue_minor=cumulative, cells=tuple(cells))
