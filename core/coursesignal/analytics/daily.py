"""Revenue by day of the tenant's zone."""

from __future__ import annotations

from typing import Any

from coursesignal.analytics.kept import MONEY
from coursesignal.analytics.reading import Reading
from coursesignal.analytics.rolled import parts
from coursesignal.reports import DailyReport, Day

_BY_DAY = "select day, charged, refunded, purchases from {days} d where currency = {0}"


async def by_day(reading: Reading) -> DailyReport:
    """Every day of the period, those without a sale too."""
    period = reading.period
    found: dict[Any, Any] = {}
    for part in await parts(reading, MONEY):
        rows = await reading.fetch(*part.asked(_BY_DAY, reading.currency))
        found |= {row["day"]: row for row in rows}
    return DailyReport(
        from_=period.first,
        to=period.last,
        time_zone=period.zone.key,
        currency=reading.currency,
        days=tuple(_day(day, found.get(day)) for day in period.days),
    )


def _day(day: Any, row: Any) -> Day:
    charged, refunded = (int(row["charged"]), int(row["refunded"])) if row else (0, 0)
    return Day(
        date=day,
        revenue_minor=charged,
        refunded_minor=refunded,
        net_revenue_minor=charged - refunded,
        purchases=row["purchases"] if row else 0,
    )
