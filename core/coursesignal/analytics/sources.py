"""Revenue by source, and one source opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from coursesignal.analytics.figures import Sales, totals, unattributed
from coursesignal.analytics.reading import Reading
from coursesignal.analytics.sales import Credited, Sold, credited, sold_by_currency
from coursesignal.analytics.summary import other_currencies
from coursesignal.analytics.visitors import SLICE, Audience, audience_by_slice, audience_by_source, count_visitors
from coursesignal.reports import DrilldownReport, DrilldownRow, SourceRow, SourcesReport, Totals

Key = tuple[str, ...]


async def by_source(reading: Reading) -> SourcesReport:
    """Every source with a credit or a visitor in the period."""
    sold = await sold_by_currency(reading, reading.period)
    sales = _by_key(await credited(reading, reading.period, ["source"], currency=reading.currency))
    seen = await audience_by_source(reading)
    mine = sold.get(reading.currency, Sold(Sales(), Sales()))
    rows = [
        SourceRow(source=key[0], channel=_channel(key, sales, seen), **_columns(key, sales, seen))
        for key in sales.keys() | seen.keys()
    ]
    return SourcesReport(
        from_=reading.period.first,
        to=reading.period.last,
        currency=reading.currency,
        model=reading.model,
        rows=tuple(sorted(rows, key=lambda row: (*_most_first(row), row.source))),
        unattributed=unattributed(mine.rest),
        totals=totals(mine.sales, await count_visitors(reading, reading.period)),
        other_currencies=other_currencies(sold, reading.currency),
    )


async def of_source(reading: Reading, source: str) -> DrilldownReport:
    """``source`` by medium, campaign and content; without rows when it did nothing in the period."""
    sales = _by_key(await credited(reading, reading.period, SLICE, source=source, currency=reading.currency))
    whole = await credited(reading, reading.period, ["source"], source=source, currency=reading.currency)
    seen = await audience_by_slice(reading, source)
    rows = [_slice(source, key, sales, seen) for key in sales.keys() | seen.keys()]
    return DrilldownReport(
        from_=reading.period.first,
        to=reading.period.last,
        currency=reading.currency,
        model=reading.model,
        source=source,
        rows=tuple(sorted(rows, key=lambda row: (*_most_first(row), row.medium, row.campaign, row.content))),
        totals=totals(whole[0].sales if whole else Sales(), await count_visitors(reading, reading.period, source)),
    )


def _slice(source: str, key: Key, sales: Mapping[Key, Credited], seen: Mapping[Key, Audience]) -> DrilldownRow:
    medium, campaign, content = key
    return DrilldownRow(
        source=source,
        channel=_channel(key, sales, seen),
        medium=medium,
        campaign=campaign,
        content=content,
        **_columns(key, sales, seen),
    )


def _by_key(groups: Sequence[Credited]) -> dict[Key, Credited]:
    return {group.key: group for group in groups}


def _columns(key: Key, sales: Mapping[Key, Credited], seen: Mapping[Key, Audience]) -> dict[str, Any]:
    mine = sales[key].sales if key in sales else Sales()
    return msgspec.structs.asdict(totals(mine, seen[key].visitors if key in seen else 0))


def _channel(key: Key, sales: Mapping[Key, Credited], seen: Mapping[Key, Audience]) -> str:
    """The channel most of the sales came through, else one of the visitors'."""
    return sales[key].channel if key in sales else seen[key].channel


def _most_first(row: Totals) -> tuple[int, int]:
    return -row.revenue_minor, -row.visitors
