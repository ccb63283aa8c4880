"""Students who are new and students who come back: what each kind brought, over time and by source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from coursesignal.analytics.buyers import FIRSTS, MONEY
from coursesignal.analytics.figures import per, percent
from coursesignal.analytics.insight_schemas import (
    Buyers,
    BuyersOfInterval,
    BuyersOfSource,
    NewAndReturning,
    NewReturningReport,
)
from coursesignal.analytics.months import Interval, instants, intervals
from coursesignal.analytics.other_currencies import other_currencies
from coursesignal.analytics.reading import Reading

# Money is first summed per purchase and then counted, as everywhere.
_SUMS = """
    coalesce(sum(b.charged), 0) as charged, coalesce(sum(b.refunded), 0) as refunded,
    count(*) filter (where b.charged > 0) as purchases,
    count(distinct b.student) filter (where b.charged > 0) as students"""

# Who never paid, of whom only a refund is known, did not pay first in any period.
_OVER_TIME = f"""
    with {MONEY}, {FIRSTS},
    whole as (
        select m.student, m.purchase_id, 0 as number, $4::timestamptz as start_at,
               sum(m.amount) filter (where m.is_sale) as charged, -sum(m.amount) filter (where not m.is_sale) as refunded
        from money m where m.at >= $4 and m.at < $5 and $3::text is not null
        group by m.student, m.purchase_id
    ),
    cut as (
        select m.student, m.purchase_id, width_bucket(m.at, $6::timestamptz[]) as number,
               sum(m.amount) filter (where m.is_sale) as charged, -sum(m.amount) filter (where not m.is_sale) as refunded
        from money m where m.at >= $4 and m.at < $5
        group by m.student, m.purchase_id, number
    ),
    bought as (
        select * from whole
        union all
        select student, purchase_id, number, ($6::timestamptz[])[number], charged, refunded from cut
    )
    select b.number, coalesce(f.first_at >= b.start_at, false) as is_new, {_SUMS}
    from bought b left join firsts f on f.student = b.student
    group by 1, 2"""  # noqa: S608 – of constants

_BY_SOURCE = f"""
    with {MONEY}, {FIRSTS},
    credited as materialized (
        select k.touch_id, m.charge_id, m.student, m.purchase_id, k.amount_minor as amount, m.is_sale
        from money m join credits k on k.tenant_id = $1 and k.charge_id = m.charge_id and k.model = $3
        where m.at >= $4 and m.at < $5
        order by k.touch_id
    ),
    of_charge as (
        select charge_id, sum(amount) as amount from credited group by charge_id
    ),
    bought as (
        select t.source, min(t.channel) as channel, c.student, c.purchase_id,
               sum(c.amount) filter (where c.is_sale) as charged, -sum(c.amount) filter (where not c.is_sale) as refunded
        from credited c join touches t on t.tenant_id = $1 and t.id = c.touch_id
        group by t.source, c.student, c.purchase_id
        union all
        select null, null, m.student, m.purchase_id,
               sum(m.amount - coalesce(o.amount, 0)) filter (where m.is_sale),
               -sum(m.amount - coalesce(o.amount, 0)) filter (where not m.is_sale)
        from money m left join of_charge o on o.charge_id = m.charge_id
        where m.at >= $4 and m.at < $5
        group by m.student, m.purchase_id
    )
    select b.source, mode() within group (order by b.channel) as channel, coalesce(f.first_at >= $4, false) as is_new, {_SUMS}
    from bought b left join firsts f on f.student = b.student
    group by 1, 3"""  # noqa: S608 – of constants

Kinds = Mapping[bool, Any]
"""A row by whether it is of new students."""


async def new_and_returning(reading: Reading, interval: Interval) -> NewReturningReport:
    """New: whose first purchase lies in the period, or for one interval in that interval; returning: everybody else who paid."""
    period = reading.period
    about = (reading.tenant.id, reading.currency, reading.model, period.start_at, period.end_at)
    cuts = intervals(period, interval)
    starts = [period.start_at, *instants([first for first, _ in cuts[1:]], period.zone)]
    over_time: dict[int, dict[bool, Any]] = defaultdict(dict)
    for row in await reading.fetch(_OVER_TIME, *about, starts):
        over_time[row["number"]][row["is_new"]] = row
    by_source: dict[str | None, dict[bool, Any]] = defaultdict(dict)
    for row in await reading.fetch(_BY_SOURCE, *about):
        by_source[row["source"]][row["is_new"]] = row
    totals = NewAndReturning(**_split(over_time[0]))
    return NewReturningReport(
        from_=period.first,
        to=period.last,
        currency=reading.currency,
        model=reading.model,
        hint=None if over_time[0] else "No money moved in this period. Choose a longer one, or connect your platform.",
        interval=interval,
        totals=totals,
        intervals=tuple(
            BuyersOfInterval(first=first, last=last, **_split(over_time.get(number, {})))
            for number, (first, last) in enumerate(cuts, 1)
        ),
        rows=_rows(by_source),
        unattributed=NewAndReturning(**_split(by_source.get(None, {}))),
        other_currencies=await other_currencies(reading),
    )


def _rows(by_source: Mapping[str | None, Kinds]) -> tuple[BuyersOfSource, ...]:
    """Most revenue first."""
    rows = [
        BuyersOfSource(source=source, channel=_channel(found), **_split(found))
        for source, found in by_source.items()
        if source is not None
    ]
    return tuple(
        sorted(rows, key=lambda row: (-(row.new.net_revenue_minor + row.returning.net_revenue_minor), row.source))
    )


def _channel(found: Kinds) -> str:
    """That of the kind with more purchases."""
    channel: str = max(found.values(), key=lambda row: (row["purchases"], row["is_new"]))["channel"]
    return channel


def _split(found: Kinds) -> dict[str, Any]:
    new, returning = _buyers(found.get(True)), _buyers(found.get(False))
    share = percent(new.charged_minor, new.charged_minor + returning.charged_minor)
    return {"new": new, "returning": returning, "new_revenue_share": share}


def _buyers(row: Any) -> Buyers:
    charged, refunded = (int(row["charged"]), int(row["refunded"])) if row else (0, 0)
    purchases = row["purchases"] if row else 0
    return Buyers(
        students=row["students"] if row else 0,
        purchases=purchases,
        charged_minor=charged,
        refunded_minor=refunded,
        net_revenue_minor=charged - refunded,
        average_order_minor=per(charged, purchases),
    )
