"""What was sold in a period: in all, and what a model credits to which source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coursesignal.analytics.figures import Sales
from coursesignal.analytics.period import Period
from coursesignal.analytics.reading import Reading

SALES = "c.kind in ('sale', 'renewal', 'instalment')"
"""Charges that count as charged; all others count as refunded, with the sign turned."""

# Money is first summed per purchase and then counted: a distinct count over charges would sort them once per figure.
_FIGURES = """
    coalesce(sum(b.{prefix}charged), 0) as {prefix}charged,
    coalesce(sum(b.{prefix}refunded), 0) as {prefix}refunded,
    count(*) filter (where b.{prefix}charged > 0) as {prefix}purchases,
    count(distinct coalesce(p.person_id, md5(lower(p.email))::uuid, p.id))
        filter (where b.{prefix}charged > 0) as {prefix}students,
    count(*) filter (where b.{prefix}charged > 0 and p.match <> 'unmatched') as {prefix}matched"""

_TOTALS = f"""
    with credited as (
        select k.charge_id, sum(k.amount_minor) as amount
        from charges c join credits k on k.tenant_id = $1 and k.charge_id = c.id and k.model = $4
        where c.tenant_id = $1 and c.occurred_at >= $2 and c.occurred_at < $3
        group by k.charge_id
    ),
    bought as (
        select c.currency, c.purchase_id,
               sum(c.amount_minor) filter (where {SALES}) as charged,
               -sum(c.amount_minor) filter (where not {SALES}) as refunded,
               sum(c.amount_minor - coalesce(k.amount, 0)) filter (where {SALES}) as rest_charged,
               -sum(c.amount_minor - coalesce(k.amount, 0)) filter (where not {SALES}) as rest_refunded
        from charges c left join credited k on k.charge_id = c.id
        where c.tenant_id = $1 and c.occurred_at >= $2 and c.occurred_at < $3
        group by c.currency, c.purchase_id
    )
    select b.currency, {_FIGURES.format(prefix="")}, {_FIGURES.format(prefix="rest_")}
    from bought b join purchases p on p.tenant_id = $1 and p.id = b.purchase_id
    group by b.currency"""  # noqa: S608 – of constants

# The credits are put in the order of their touches, so that these are read from one end to the other and not back and forth.
_CREDITED = """
    with credited as materialized (
        select k.touch_id, c.purchase_id, c.currency, k.amount_minor, {sales} as is_sale
        from charges c join credits k on k.tenant_id = $1 and k.charge_id = c.id and k.model = $4
        where c.tenant_id = $1 and c.occurred_at >= $2 and c.occurred_at < $3
        order by k.touch_id
    ),
    bought as (
        select {inner}, c.purchase_id, min(t.channel) as channel,
               sum(c.amount_minor) filter (where c.is_sale) as charged,
               -sum(c.amount_minor) filter (where not c.is_sale) as refunded
        from credited c join touches t on t.tenant_id = $1 and t.id = c.touch_id
        where true {where}
        group by {inner}, c.purchase_id
    )
    select {outer}, mode() within group (order by b.channel) as main_channel, {figures}
    from bought b join purchases p on p.tenant_id = $1 and p.id = b.purchase_id
    group by {outer}"""

COLUMNS = {
    "currency": "c.currency",
    "source": "t.source",
    "medium": "t.medium",
    "campaign": "t.campaign",
    "content": "t.content",
}
"""What credited sales can be grouped by."""


@dataclass(frozen=True, slots=True)
class Credited:
    """Sales credited to one group of touches."""

    key: tuple[str, ...]
    channel: str
    sales: Sales


@dataclass(frozen=True, slots=True)
class Sold:
    """One currency's sales, and the part of them that the model credits to no touch."""

    sales: Sales
    rest: Sales


async def sold_by_currency(reading: Reading, period: Period) -> Mapping[str, Sold]:
    """Everything charged and refunded in ``period``."""
    about = (reading.tenant.id, period.start_at, period.end_at, reading.model)
    rows = await reading.fetch(_TOTALS, *about, credits_of=period)
    return {row["currency"]: Sold(_sales(row), _sales(row, "rest_")) for row in rows}


async def credited(
    reading: Reading, period: Period, by: Sequence[str], *, source: str = "", currency: str = ""
) -> list[Credited]:
    """What the model credits in ``period``, grouped by columns of COLUMNS; empty ``source`` or ``currency`` mean all of them."""
    where, values = "", [reading.tenant.id, period.start_at, period.end_at, reading.model]
    for column, wanted in (("source", source), ("currency", currency)):
        if wanted:
            values.append(wanted)
            where += f" and {COLUMNS[column]} = ${len(values)}"
    sql = _CREDITED.format(
        inner=", ".join(COLUMNS[name] for name in by),
        outer=", ".join(f"b.{name}" for name in by),
        sales=SALES,
        where=where,
        figures=_FIGURES.format(prefix=""),
    )
    rows = await reading.fetch(sql, *values, credits_of=period)
    return [Credited(tuple(row[name] for name in by), row["main_channel"], _sales(row)) for row in rows]


def _sales(row: Any, prefix: str = "") -> Sales:
    """Sums come as numeric, so that no sum of bigints overflows."""
    return Sales(
        charged_minor=int(row[f"{prefix}charged"]),
        refunded_minor=int(row[f"{prefix}refunded"]),
        purchases=row[f"{prefix}purchases"],
        students=row[f"{prefix}students"],
        matched=row[f"{prefix}matched"],
    )
