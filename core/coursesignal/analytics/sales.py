"""What was sold in a period: in all, and what a model credits to which source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coursesignal.analytics.figures import Sales
from coursesignal.analytics.period import Period
from coursesignal.analytics.reading import Reading

_SOLD = """
    sold as (
        select c.id, c.purchase_id, c.currency, c.amount_minor, c.kind in ('sale', 'renewal', 'instalment') as is_sale,
               coalesce(p.person_id::text, lower(p.email), p.id::text) as student, p.match <> 'unmatched' as matched
        from charges c
        join purchases p on p.tenant_id = c.tenant_id and p.id = c.purchase_id
        where c.tenant_id = $1 and c.occurred_at >= $2 and c.occurred_at < $3
    )"""


def _figures(amount: str, prefix: str = "") -> str:
    """The columns of :class:`Sales` over an ``amount`` per row of ``sold``."""
    paid = f"is_sale and {amount} > 0"
    return f"""
        coalesce(sum({amount}) filter (where is_sale), 0) as {prefix}charged,
        coalesce(-sum({amount}) filter (where not is_sale), 0) as {prefix}refunded,
        count(distinct purchase_id) filter (where {paid}) as {prefix}purchases,
        count(distinct student) filter (where {paid}) as {prefix}students,
        count(distinct purchase_id) filter (where {paid} and matched) as {prefix}matched"""


_TOTALS = f"""
    with {_SOLD},
    credited as (
        select k.charge_id, sum(k.amount_minor) as amount
        from sold join credits k on k.tenant_id = $1 and k.charge_id = sold.id and k.model = $4
        group by k.charge_id
    ),
    rest as (
        select sold.*, sold.amount_minor - coalesce(credited.amount, 0) as left_over
        from sold left join credited on credited.charge_id = sold.id
    )
    select currency, {_figures("amount_minor")}, {_figures("left_over", "rest_")}
    from rest group by currency"""  # noqa: S608 – of constants

_CREDITED = """
    with {sold}
    select {by}, mode() within group (order by t.channel) as main_channel, {figures}
    from sold
    join credits k on k.tenant_id = $1 and k.charge_id = sold.id and k.model = $4
    join touches t on t.tenant_id = $1 and t.id = k.touch_id
    where {where}
    group by {by}"""

COLUMNS = {
    "currency": "sold.currency",
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
    rows = await reading.conn.fetch(_TOTALS, reading.tenant.id, period.start_at, period.end_at, reading.model)
    return {row["currency"]: Sold(_sales(row), _sales(row, "rest_")) for row in rows}


async def credited(
    reading: Reading, period: Period, by: Sequence[str], *, source: str = "", currency: str = ""
) -> list[Credited]:
    """What the model credits in ``period``, grouped by columns of COLUMNS; empty ``source`` or ``currency`` mean all of them."""
    where, values = ["true"], [reading.tenant.id, period.start_at, period.end_at, reading.model]
    for column, wanted in (("source", source), ("currency", currency)):
        if wanted:
            values.append(wanted)
            where.append(f"{COLUMNS[column]} = ${len(values)}")
    sql = _CREDITED.format(
        sold=_SOLD,
        by=", ".join(COLUMNS[name] for name in by),
        figures=_figures("k.amount_minor"),
        where=" and ".join(where),
    )
    rows = await reading.conn.fetch(sql, *values)
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
