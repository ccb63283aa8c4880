"""Does what is kept per day equal what the tables say? Asked of every day that a report would take as it is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from coursesignal.analytics.counting import CLEAN, clock, is_day, periods
from coursesignal.analytics.kept import KEPT, Kept
from coursesignal.analytics.period import EARLIEST, LATEST
from coursesignal.db.engine import Database
from coursesignal.db.stale import What

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of a day that is kept and not counted, or the other way round."""

    table: str
    day: date
    kept: Row | None
    counted: Row | None

    def __str__(self) -> str:
        return f"{self.table} {self.day}: kept {self.kept}, counted {self.counted}"


@dataclass(frozen=True, slots=True)
class Checked:
    """One tenant's days: compared, closed (which nothing can be compared with), and what differs."""

    days: int
    closed: int
    differences: tuple[Difference, ...]


async def check(db: Database, tenant_id: UUID) -> Checked:
    """Compare within one state of the database."""
    async with db.tenant(tenant_id) as conn:
        await conn.execute("set transaction isolation level repeatable read read only")
        zone = (await clock(conn, tenant_id)).zone
        days = closed = 0
        differences: list[Difference] = []
        for what in KEPT:
            rows = await conn.fetch(CLEAN, tenant_id, what, EARLIEST, LATEST)
            clean = {row["day"] for row in rows if not row["closed"] and is_day(row, zone)}
            days, closed = days + len(clean), closed + sum(row["closed"] for row in rows)
            differences += [found async for found in _differences(conn, tenant_id, what, clean, zone)]
    return Checked(days, closed, tuple(differences))


async def _differences(
    conn: asyncpg.Connection, tenant_id: UUID, what: What, days: set[date], zone: ZoneInfo
) -> AsyncIterator[Difference]:
    for period in periods(days, zone):
        for table in KEPT[what]:
            columns = ", ".join(("day", *table.columns))
            kept = await conn.fetch(
                f"select {columns} from {table.table} where tenant_id = $1 and day = any($2)",  # noqa: S608 – of constants
                tenant_id, period.days,
            )  # fmt: skip
            counted = await conn.fetch(
                f"select {columns} from ({table.sql}) f",  # noqa: S608 – of constants
                tenant_id, period.start_at, period.end_at, period.days, period.midnights,
            )  # fmt: skip
            for found in _compared(table, kept, counted):
                yield found


def _compared(table: Kept, kept: list[Any], counted: list[Any]) -> Iterator[Difference]:
    ours, theirs = {tuple(row) for row in kept}, {tuple(row) for row in counted}
    for row in sorted(ours - theirs):
        yield Difference(table.table, row[0], row[1:], None)
    for row in sorted(theirs - ours):
        yield Difference(table.table, row[0], None, row[1:])
