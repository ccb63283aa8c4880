"""Calendar months, weeks and days of a zone, as the instants they begin at."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from coursesignal.analytics.period import Period, midnight

Interval = Literal["day", "week", "month"]


def months(first: date, last: date) -> list[date]:
    """The first day of every month from that of ``first`` to that of ``last``."""
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    return [_month(first.year * 12 + first.month - 1 + n) for n in range(max(count, 1))]


def instants(days: list[date], zone: ZoneInfo) -> list[datetime]:
    """When each day begins."""
    return [midnight(day, zone) for day in days]


def intervals(period: Period, interval: Interval) -> list[tuple[date, date]]:
    """The first and last day of every day, week from Monday, or month of ``period``; those at its ends are cut to it."""
    starts = [period.first, *(day for day in _starts(period, interval) if period.first < day <= period.last)]
    return list(zip(starts, [*(day - timedelta(days=1) for day in starts[1:]), period.last], strict=True))


def fitting(period: Period) -> Interval:
    """The interval of which ``period`` has neither too few nor too many to draw."""
    days = len(period.days)
    return "day" if days <= 31 else "week" if days <= 182 else "month"


def _starts(period: Period, interval: Interval) -> Iterator[date]:
    if interval == "month":
        yield from months(period.first, period.last)
        return
    first = period.first - timedelta(days=period.first.weekday() if interval == "week" else 0)
    step = 7 if interval == "week" else 1
    for number in range((period.last - first).days // step + 1):
        yield first + timedelta(days=number * step)


def _month(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)
