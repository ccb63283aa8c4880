"""What came in in currencies a report does not add up, listed beside it."""

from __future__ import annotations

from coursesignal.analytics.reading import Reading
from coursesignal.analytics.sales import SALES
from coursesignal.reports import CurrencyTotal

_OTHERS = f"""
    with bought as (
        select c.currency, c.purchase_id,
               coalesce(sum(c.amount_minor) filter (where {SALES}), 0) as charged,
               coalesce(-sum(c.amount_minor) filter (where not {SALES}), 0) as refunded
        from charges c
        where c.tenant_id = $1 and c.occurred_at >= $2 and c.occurred_at < $3 and c.currency <> $4
        group by c.currency, c.purchase_id
    )
    select currency, sum(charged) as charged, sum(refunded) as refunded, count(*) filter (where charged > 0) as purchases
    from bought group by currency order by currency"""  # noqa: S608 – of constants


async def other_currencies(reading: Reading) -> tuple[CurrencyTotal, ...]:
    """The period's money in every currency but the report's, by code."""
    period = reading.period
    rows = await reading.fetch(_OTHERS, reading.tenant.id, period.start_at, period.end_at, reading.currency)
    return tuple(
        CurrencyTotal(
            currency=row["currency"],
            revenue_minor=int(row["charged"]),
            refunded_minor=int(row["refunded"]),
            net_revenue_minor=int(row["charged"] - row["refunded"]),
            purchases=row["purchases"],
        )
        for row in rows
    )
