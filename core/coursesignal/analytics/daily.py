"""Revenue by day of the tenant's zone."""

from __future__ import annotations

from typing import Any

from coursesignal.analytics.reading import Reading
from coursesignal.reports import DailyReport, Day

# width_bucket finds the day by the very instants the period is made of, so no second time-zone database has a say.
_BY_DAY = """
    select width_bucket(occurred_at, $5::timestamptz[]) as number,
           coalesce(sum(amount_minor) filter (where is_sale), 0) as charged,
           coalesce(-sum(amount_minor) filter (where not is_sale), 0) as refunded,
           count(distinct purchase_id) filter (where is_sale and amount_minor > 0) as purchases
    from (
        select occurred_at, purchase_id, amount_minor, kind in ('sale', 'renewal', 'instalment') as is_sale
        from charges
        where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3 and currency = $4
    ) sold
    group by number"""


async def by_day(reading: Reading) -> DailyReport:
    """Every day of the period, those without a sale too."""
    period = reading.period
    rows = await reading.fetch(
        _BY_DAY, reading.tenant.id, period.start_at, period.end_at, reading.currency, period.midnights
    )
    found = {row["number"]: row for row in rows}
    return DailyReport(
        from_=period.first,
        to=period.last,
        time_zone=period.zone.key,
        currency=reading.currency,
        days=tuple(_day(day, found.get(number)) for number, day in enumerate(period.days, 1)),
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
