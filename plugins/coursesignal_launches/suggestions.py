"""Launches that history shows: stretches of days with far more orders than chance explains."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from coursesignal_launches.schemas import Suggestion, Suggestions
from coursesignal_launches.settings import Ctx

LOOKS_BACK = timedelta(days=400)
LONGEST_DAYS = 31
FEWEST = 10
"""Orders of a stretch."""
TIMES = 2.5
"""How many times what is usual."""
CHANCE = 1e-6
"""How likely so many orders may at most be in usual days: below one false suggestion in hundreds of years."""
MOST = 10


@dataclass(frozen=True, slots=True)
class DayOfSales:
    """One day."""

    day: date
    purchases: int
    revenue_minor: int


@dataclass(frozen=True, slots=True)
class Spike:
    """Consecutive days, both ends included."""

    first: date
    last: date
    purchases: int
    revenue_minor: int
    usual: float


async def suggest(ctx: Ctx) -> Suggestions:
    """Spikes of the last year that no launch covers, newest first."""
    zone = ZoneInfo(ctx.tenant.time_zone)
    today = datetime.now(zone).date()
    report = await ctx.reports.daily_revenue((today - LOOKS_BACK, today - timedelta(days=1)))
    days = [DayOfSales(day.date, day.purchases, day.revenue_minor) for day in report.days]
    found = [_suggestion(spike, zone, report.currency) for spike in spikes(days)]
    async with ctx.db.transaction() as conn:
        taken = await conn.fetch("select starts_at, ends_at from launches_launches where tenant_id = $1", ctx.tenant.id)
    free = [
        one
        for one in found
        if not any(one.starts_at < row["ends_at"] and row["starts_at"] < one.ends_at for row in taken)
    ]
    items = tuple(sorted(free, key=lambda one: one.starts_at, reverse=True)[:MOST])
    return Suggestions(items=items, hint=None if items else _hint(days, bool(found)))


def spikes(days: Sequence[DayOfSales]) -> list[Spike]:
    """Stretches above what is usual, oldest first."""
    sold = next((n for n, day in enumerate(days) if day.purchases), len(days))
    days = days[sold:]
    usual = usual_per_day([day.purchases for day in days])
    return [spike for run in _runs(days, usual) if (spike := _spike(run, usual)) is not None] if len(days) >= 14 else []


def usual_per_day(counts: Sequence[int]) -> float:
    """Orders of a day that is no launch's: the median, or where most days have none the mean below the top quarter."""
    if not counts:
        return 0.0
    quiet = sorted(counts)[: math.ceil(0.75 * len(counts))]
    return max(float(statistics.median(counts)), statistics.fmean(quiet))


def _runs(days: Sequence[DayOfSales], usual: float) -> Iterator[list[DayOfSales]]:
    """Neighbouring busy days; one quieter day between two busy ones belongs to them."""
    busy = [day.purchases > max(TIMES * usual, usual + 2 * math.sqrt(usual), 2) for day in days]
    run: list[DayOfSales] = []
    for n, day in enumerate(days):
        bridged = bool(run) and n + 1 < len(days) and busy[n + 1] and day.purchases >= usual
        if busy[n] or bridged:
            run.append(day)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _spike(run: Sequence[DayOfSales], usual: float) -> Spike | None:
    purchases, expected = sum(day.purchases for day in run), usual * len(run)
    if purchases < max(FEWEST, TIMES * expected) or len(run) > LONGEST_DAYS:
        return None
    if above_by_chance(purchases, expected) > CHANCE:
        return None
    return Spike(run[0].day, run[-1].day, purchases, sum(day.revenue_minor for day in run), expected)


def above_by_chance(count: int, expected: float) -> float:
    """An upper bound of how likely ``count`` or more are where ``expected`` are usual: Chernoff's, for a Poisson count."""
    if count <= expected:
        return 1.0
    if expected <= 0:
        return 0.0
    return math.exp(count - expected - count * math.log(count / expected))


def _suggestion(spike: Spike, zone: ZoneInfo, currency: str) -> Suggestion:
    first, after = spike.first, spike.last + timedelta(days=1)
    return Suggestion(
        starts_at=datetime.combine(first, time.min, tzinfo=zone).astimezone(UTC),
        ends_at=datetime.combine(after, time.min, tzinfo=zone).astimezone(UTC),
        purchases=spike.purchases,
        usual_purchases=round(spike.usual, 1),
        revenue_minor=spike.revenue_minor,
        currency=currency,
        title=f"Launch of {first.day} {first:%B %Y}",
    )


def _hint(days: Sequence[DayOfSales], covered: bool) -> str:
    if covered:
        return "Every busy stretch of your last year is a launch already."
    if not any(day.purchases for day in days):
        return "There are no orders yet to look at. Connect your platform, and its history comes with the first sync."
    return "No stretch of days stands out from your usual orders by more than chance."
