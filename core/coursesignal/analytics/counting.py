"""Count days and keep what came out: what changed since a day was counted, and nothing else, is counted again.

The tables are the truth, what is kept is a copy; a day that was never counted is read from the tables like one that changed. So
nothing here can make a report wrong by being late, by being killed or by running twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from coursesignal.analytics.kept import KEPT
from coursesignal.analytics.period import EARLIEST, Period, midnight
from coursesignal.db.engine import Database
from coursesignal.db.locks import lock_rollups, lock_tracking, try_lock_rollups
from coursesignal.db.stale import What, mark_all

DAYS_AT_ONCE = 31
"""Per statement."""
MANY = 50
"""Notes about today, which nobody counts before it is over, are made one when there are more."""
DAY = timedelta(days=1)

# The notes go before the tables are looked at: a change that this transaction cannot see has one that it did not see either.
_TAKE = """
    delete from stale_spans where tenant_id = $1
        and (from_at < $2 or (select count(*) from stale_spans where tenant_id = $1) > $3)
    returning what, from_at, to_at"""
_PUT_BACK = "insert into stale_spans (tenant_id, what, from_at, to_at) values ($1, $2, $3, $4)"
_EXTENT: dict[What, str] = {
    "visits": """
        select least((select min(started_at) from sessions where tenant_id = $1),
                     (select min(occurred_at) from touches where tenant_id = $1)) as first,
               greatest((select max(started_at) from sessions where tenant_id = $1),
                        (select max(occurred_at) from touches where tenant_id = $1)) as last""",
    "money": """
        select min(occurred_at) as first, max(occurred_at) as last from charges where tenant_id = $1""",
}
_COUNTED = "select day, closed from rollup_days where tenant_id = $1 and what = $2"
_NOTE = """
    insert into rollup_days (tenant_id, what, day, start_at, end_at)
    select $1, $2, * from unnest($3::date[], $4::timestamptz[], $5::timestamptz[])
    on conflict (tenant_id, what, day) do update
        set start_at = excluded.start_at, end_at = excluded.end_at, built_at = excluded.built_at"""
CLEAN = """
    select day, start_at, end_at, closed from rollup_days
    where tenant_id = $1 and what = $2 and day between $3 and $4 and (closed or not coalesce(
        tstzrange(start_at, end_at) && (
            select range_agg(tstzrange(from_at, to_at)) from stale_spans where tenant_id = $1 and what = $2
        ), false))"""
"""Counted days of which nothing changed since. Whether one begins and ends when the reader's does is for the reader to see."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The tenant's zone, the database's now, and the instant the tenant's day began."""

    zone: ZoneInfo
    now: datetime

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    @property
    def today_at(self) -> datetime:
        return midnight(self.today, self.zone)


@dataclass(frozen=True, slots=True)
class Span:
    """A note: something of ``what`` changed from ``start`` until ``end``."""

    what: What
    start: datetime
    end: datetime

    @classmethod
    def of(cls, row: Any) -> Span:
        """As stored; infinity comes without a zone."""
        start, end = (
            moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in (row["from_at"], row["to_at"])
        )
        return cls(row["what"], start, end)


async def clock(conn: asyncpg.Connection, tenant_id: UUID) -> Clock:
    """The tenant's, now."""
    row = await conn.fetchrow("select time_zone, clock_timestamp() as now from tenants where id = $1", tenant_id)
    assert row is not None
    return Clock(ZoneInfo(row["time_zone"]), row["now"].astimezone(UTC))


async def refresh(db: Database, tenant_id: UUID) -> int:
    """Count again every day that is over and changed; returns how many. 0 when another worker is at it."""
    async with db.tenant(tenant_id) as conn:
        if not await try_lock_rollups(conn, tenant_id):
            return 0
        return await _refresh(conn, tenant_id)


async def refresh_everything(db: Database, tenant_id: UUID) -> int:
    """Count every day again, for whatever reason; closed ones stay. Returns how many."""
    async with db.tenant(tenant_id) as conn:
        await lock_rollups(conn, tenant_id)
        for what in get_args(What):
            await mark_all(conn, tenant_id, what)
        return await _refresh(conn, tenant_id)


async def close(db: Database, tenant_id: UUID, cutoff: datetime) -> None:
    """Count the visits of every day that began before ``cutoff`` for the last time: what they are counted from will go.

    Nobody makes or changes visits meanwhile, so no change is lost between the last count and the closing.
    """
    async with db.tenant(tenant_id) as conn:
        await lock_tracking(conn, tenant_id)
        await lock_rollups(conn, tenant_id)
        zone = (await clock(conn, tenant_id)).zone
        last = cutoff.astimezone(zone).date()
        found = await conn.fetch(CLEAN, tenant_id, "visits", EARLIEST, last)
        clean = {row["day"] for row in found if row["closed"] or is_day(row, zone)}
        extent = await conn.fetchrow(_EXTENT["visits"], tenant_id)
        if extent["first"] is not None:
            days = {day for day in _days(extent["first"], cutoff, zone) if midnight(day, zone) < cutoff}
            await _count(conn, tenant_id, "visits", days - clean, zone)
        await conn.execute(
            "update rollup_days set closed = true where tenant_id = $1 and what = 'visits' and start_at < $2 and not closed",
            tenant_id,
            cutoff,
        )


async def waiting(conn: asyncpg.Connection, tenant_id: UUID) -> int:
    """How many days of the past changed since they were counted, or never were."""
    now = await clock(conn, tenant_id)
    spans = await conn.fetch(
        "select what, from_at, to_at from stale_spans where tenant_id = $1 and from_at < $2", tenant_id, now.today_at
    )
    return sum([len(await _stale(conn, tenant_id, what, _of(spans, what), now)) for what in get_args(What)])


async def _refresh(conn: asyncpg.Connection, tenant_id: UUID) -> int:
    now = await clock(conn, tenant_id)
    spans = await conn.fetch(_TAKE, tenant_id, now.today_at, MANY)
    counted = 0
    for what in get_args(What):
        mine = _of(spans, what)
        days = await _stale(conn, tenant_id, what, mine, now)
        await _count(conn, tenant_id, what, days, now.zone)
        counted += len(days)
        later = [span for span in mine if span.end > now.today_at]
        if later:  # today is counted when it is over
            first, last = min(span.start for span in later), max(span.end for span in later)
            await conn.execute(_PUT_BACK, tenant_id, what, max(first, now.today_at), last)
    return counted


def _of(rows: Iterable[Any], what: What) -> list[Span]:
    return [Span.of(row) for row in rows if row["what"] == what]


async def _stale(conn: asyncpg.Connection, tenant_id: UUID, what: What, spans: Sequence[Span], now: Clock) -> set[date]:
    """The days before today that the spans touch: where there are rows, or were when they were last counted."""
    if not spans:
        return set()
    extent: Any = await conn.fetchrow(_EXTENT[what], tenant_id)
    counted = {row["day"]: row["closed"] for row in await conn.fetch(_COUNTED, tenant_id, what)}
    known = [moment.astimezone(now.zone).date() for moment in (extent["first"], extent["last"]) if moment is not None]
    known += [min(counted), max(counted)] if counted else []
    if not known:
        return set()
    first, end = midnight(max(min(known), EARLIEST), now.zone), min(midnight(max(known) + DAY, now.zone), now.today_at)
    days: set[date] = set()
    for span in spans:
        days |= _days(max(span.start, first), min(span.end, end), now.zone)
    return {day for day in days if not counted.get(day)}


def _days(start: datetime, end: datetime, zone: ZoneInfo) -> set[date]:
    """The days that a half-open span touches; none when it is empty."""
    if start >= end:
        return set()
    first, last = start.astimezone(zone).date() - DAY, end.astimezone(zone).date() + DAY
    near = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return {day for day in near if midnight(day, zone) < end and midnight(day + DAY, zone) > start}


async def _count(conn: asyncpg.Connection, tenant_id: UUID, what: What, days: Collection[date], zone: ZoneInfo) -> None:
    """Count these days from the tables and keep the figures."""
    for period in periods(days, zone):
        listed, begins = period.days, period.midnights
        for kept in KEPT[what]:
            columns = ", ".join(kept.columns)
            gone = f"delete from {kept.table} where tenant_id = $1 and day = any($2)"  # noqa: S608 – of constants
            await conn.execute(gone, tenant_id, listed)
            await conn.execute(
                f"insert into {kept.table} (tenant_id, day, {columns}) select $1, day, {columns} from ({kept.sql}) f",  # noqa: S608
                tenant_id, period.start_at, period.end_at, listed, begins,
            )  # fmt: skip
        await conn.execute(_NOTE, tenant_id, what, listed, begins, [*begins[1:], period.end_at])


def periods(days: Collection[date], zone: ZoneInfo) -> Iterator[Period]:
    """The days in order, those in a row together, not too many at once."""
    run: list[date] = []
    for day in sorted(days):
        if run and (day - run[-1] > DAY or len(run) == DAYS_AT_ONCE):
            yield Period.of_days(run[0], run[-1], zone)
            run = []
        run.append(day)
    if run:
        yield Period.of_days(run[0], run[-1], zone)


def is_day(row: Any, zone: ZoneInfo) -> bool:
    """Whether a day was counted from its midnight to the next."""
    return bool(row["start_at"] == midnight(row["day"], zone) and row["end_at"] == midnight(row["day"] + DAY, zone))
