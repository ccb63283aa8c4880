"""The figures of a reading's days: of days that are kept and unchanged from what is kept, of all others from the tables.

This is the one place where a report meets the roll-ups. It answers queries to put together; a reading that sees other rows than
the tables have – a segment, another date, another currency – gets the tables alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from coursesignal.analytics.counting import CLEAN, is_day
from coursesignal.analytics.kept import Kept
from coursesignal.analytics.period import Period, midnight
from coursesignal.analytics.reading import Reading

DAY = timedelta(days=1)
MANY = 4
"""Stretches of days read from the tables one by one; when there are more, all from the first to the last at once."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the days: ``sql`` gives ``day`` and the columns of the figures."""

    sql: str
    values: tuple[object, ...]

    def asked(self, sql: str, *values: object) -> tuple[Any, ...]:
        """``sql`` about ``{days}``, with ``values`` in it as ``{0}``, ``{1}`` …; statement and values."""
        numbers = [f"${len(self.values) + n}" for n in range(1, len(values) + 1)]
        return (sql.format(*numbers, days=f"({self.sql})"), *self.values, *values)


async def parts(reading: Reading, kept: Kept) -> list[Part]:
    """Queries that together give the figures of every day of the reading's period, each day once."""
    period = reading.period
    days = await _usable(reading, kept)
    found = [_from_tables(reading, kept, stretch) for stretch in _stretches(period, days)]
    if days:
        columns = ", ".join(kept.columns)
        sql = f"select day, {columns} from {kept.table} where tenant_id = $1 and day = any($2::date[])"  # noqa: S608
        found.append(Part(sql, (reading.tenant.id, sorted(days))))
    return found


def _from_tables(reading: Reading, kept: Kept, days: Sequence[date]) -> Part:
    period = reading.period
    start_at = max(midnight(days[0], period.zone), period.start_at)
    end_at = min(midnight(days[-1] + DAY, period.zone), period.end_at)
    sql = f"select * from ({kept.sql}) counted where day = any($6::date[])"  # noqa: S608 – of constants
    return Part(sql, (reading.tenant.id, start_at, end_at, period.days, period.midnights, list(days)))


async def _usable(reading: Reading, kept: Kept) -> set[date]:
    """Days that are kept as they are, from their midnight to the next, and lie in the period whole."""
    if kept.of & reading.view.tables.keys():
        return set()
    period = reading.period
    rows = await reading.fetch(CLEAN, reading.tenant.id, kept.what, period.first, period.last)
    return {row["day"] for row in rows if _fits(row["day"], row, period)}


def _fits(day: date, row: Any, period: Period) -> bool:
    begin, end = midnight(day, period.zone), midnight(day + DAY, period.zone)
    if begin < period.start_at or end > period.end_at:
        return False
    # A closed day stays as it was counted, even if the tenant's zone is another by now: there is nothing to count it from.
    return bool(row["closed"] or is_day(row, period.zone))


def _stretches(period: Period, kept: set[date]) -> Iterator[list[date]]:
    """The days of the period that are not kept, those in a row together; all together when there are many such rows."""
    rest = [day for day in period.days if day not in kept]
    rows: list[list[date]] = []
    for day in rest:
        if rows and day - rows[-1][-1] == DAY:
            rows[-1].append(day)
        else:
            rows.append([day])
    yield from rows if len(rows) <= MANY else [rest]
