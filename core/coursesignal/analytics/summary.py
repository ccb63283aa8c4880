"""The period on one card."""

from __future__ import annotations

from collections.abc import Mapping

from coursesignal.analytics.figures import Sales, percent, trends
from coursesignal.analytics.period import Period
from coursesignal.analytics.reading import Reading
from coursesignal.analytics.sales import Sold, credited, sold_by_currency
from coursesignal.analytics.visitors import count_visitors
from coursesignal.reports import CurrencyTotal, Summary


async def summarise(reading: Reading, source: str = "") -> Summary:
    """The summary of the reading's period; with ``source`` of what the model credits to it."""
    period, before = reading.period, reading.period.before()
    sold = await _sold(reading, period, source)
    visitors = await count_visitors(reading, period, source)
    earlier = (await _sold(reading, before, source)).get(reading.currency) if before else None
    visitors_before = await count_visitors(reading, before, source) if before else 0
    mine = sold.get(reading.currency, Sold(Sales(), Sales()))
    sales = mine.sales
    return Summary(
        from_=period.first,
        to=period.last,
        time_zone=period.zone.key,
        currency=reading.currency,
        model=reading.model,
        source=source or None,
        revenue_minor=sales.charged_minor,
        refunded_minor=sales.refunded_minor,
        net_revenue_minor=sales.net_minor,
        purchases=sales.purchases,
        students=sales.students,
        average_order_minor=sales.average_minor,
        visitors=visitors,
        conversion_rate=percent(sales.purchases, visitors),
        match_rate=percent(sales.matched, sales.purchases),
        unattributed_minor=mine.rest.net_minor,
        trends=trends(sales, earlier.sales if earlier else Sales(), visitors, visitors_before),
        other_currencies=other_currencies(sold, reading.currency),
    )


def other_currencies(sold: Mapping[str, Sold], currency: str) -> tuple[CurrencyTotal, ...]:
    """What came in in any currency but ``currency``, by code."""
    return tuple(
        CurrencyTotal(
            currency=code,
            revenue_minor=found.sales.charged_minor,
            refunded_minor=found.sales.refunded_minor,
            net_revenue_minor=found.sales.net_minor,
            purchases=found.sales.purchases,
        )
        for code, found in sorted(sold.items())
        if code != currency
    )


async def _sold(reading: Reading, period: Period, source: str) -> Mapping[str, Sold]:
    if not source:
        return await sold_by_currency(reading, period)
    found = await credited(reading, period, ["currency"], source=source)
    return {group.key[0]: Sold(group.sales, Sales()) for group in found}
