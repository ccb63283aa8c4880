"""Visits by day of the tenant's zone, and where they came from: figures that are kept when the visits themselves are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from coursesignal.analytics.kept import SOURCES, VISITS
from coursesignal.analytics.reading import Reading
from coursesignal.analytics.rolled import parts
from coursesignal.analytics.visit_schemas import (
    By,
    DailySources,
    DailyVisits,
    SourceDay,
    VisitDay,
    VisitRow,
    VisitTotals,
)

_BESIDE: Mapping[By, tuple[str, ...]] = {
    "channel": (),
    "source": ("channel",),
    "medium": (),
    "campaign": ("channel", "source"),
}
"""What else tells a row from the others."""
_BY = "select {columns}, sum(touches)::bigint as touches, sum(opt_ins)::bigint as opt_ins from {days} d group by {columns}"
Key = tuple[str, ...]


async def daily_visits(reading: Reading, by: By, limit: int) -> DailyVisits:
    """Every day of the period, those without a visit too, and the ``limit`` rows with the most touches."""
    period = reading.period
    found: dict[Any, Any] = {}
    for part in await parts(reading, VISITS):
        found |= {row["day"]: row for row in await reading.fetch(*part.asked("select * from {days} d"))}
    rows = await _rows(reading, by)
    days = tuple(_day(day, found.get(day)) for day in period.days)
    return DailyVisits(
        from_=period.first,
        to=period.last,
        time_zone=period.zone.key,
        by=by,
        days=days,
        rows=tuple(rows[:limit]),
        rows_left_out=max(0, len(rows) - limit),
        totals=VisitTotals(
            sessions=sum(day.sessions for day in days),
            pageviews=sum(day.pageviews for day in days),
            touches=sum(row.touches for row in rows),
            opt_ins=sum(row.opt_ins for row in rows),
        ),
    )


async def daily_sources(reading: Reading) -> DailySources:
    """All there is, for a file."""
    period = reading.period
    rows: list[SourceDay] = []
    for part in await parts(reading, SOURCES):
        found = await reading.fetch(*part.asked("select * from {days} d"))
        rows += [SourceDay(date=row["day"], **{name: row[name] for name in SOURCES.columns}) for row in found]
    rows.sort(key=lambda row: (row.date, -row.touches, row.channel, row.source, row.medium, row.campaign))
    return DailySources(from_=period.first, to=period.last, time_zone=period.zone.key, rows=tuple(rows))


async def _rows(reading: Reading, by: By) -> list[VisitRow]:
    """All rows, most touches first."""
    columns = (by, *_BESIDE[by])
    touches: Counter[Key] = Counter()
    opt_ins: Counter[Key] = Counter()
    for part in await parts(reading, SOURCES):
        sql = _BY.replace("{columns}", ", ".join(columns))
        for row in await reading.fetch(*part.asked(sql)):
            key = tuple(row[name] for name in columns)
            touches[key] += row["touches"]
            opt_ins[key] += row["opt_ins"]
    ordered = sorted(touches, key=lambda key: (-touches[key], key))
    return [_row(dict(zip(columns, key, strict=True)), by, touches[key], opt_ins[key]) for key in ordered]


def _row(key: Mapping[str, str], by: By, touches: int, opt_ins: int) -> VisitRow:
    return VisitRow(
        name=key[by],
        channel=key.get("channel"),
        source=key.get("source"),
        touches=touches,
        opt_ins=opt_ins,
    )


def _day(day: Any, row: Any) -> VisitDay:
    names = ("visitors", "sessions", "pageviews", "opt_ins")
    return VisitDay(date=day, **{name: row[name] if row else 0 for name in names})
