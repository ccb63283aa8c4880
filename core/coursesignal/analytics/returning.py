"""Students who are new and students who come back: what each kind brought, over time and by source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from coursesignal.analytics.buyers import FIRSTS, FOLLOWED, MONEY, STUDENT
from coursesignal.analytics.figures import per, percent
from coursesignal.analytics.months import Interval, instants, intervals
from coursesignal.analytics.other_currencies import other_currencies
from coursesignal.analytics.reading import Reading
from coursesignal.analytics.sales import SALES
from coursesignal.reports import Buyers, BuyersOfInterval, BuyersOfSource, NewAndReturning, NewReturningReport

# Money is first summed per purchase and then counted, as everywhere.
_SUMS = """
    coalesce(sum(charged), 0) as charged, coalesce(sum(refunded), 0) as refunded,
    count(*) filter (where charged > 0) as purchases,
    count(distinct student) filter (where charged > 0) as students"""

# Who never paid, of whom only a refund is known, did not pay first in any period. Nothing that is computed is joined: see
# buyers.OF_ORIGIN.
_OVER_TIME = f"""
    with {MONEY}, {FOLLOWED},
    cut as (
        select student, first_at, purchase_id, 0 as number, amount, is_sale from followed
        where at >= $4 and at < $5 and $3::text is not null
        union all
        select student, first_at, purchase_id, width_bucket(at, $6::timestamptz[]), amount, is_sale from followed
        where at >= $4 and at < $5
    ),
    bought as (
        select number, student, first_at, purchase_id,
               sum(amount) filter (where is_sale) as charged, -sum(amount) filter (where not is_sale) as refunded
        from cut group by number, student, first_at, purchase_id
    )
    select number, coalesce(first_at >= case number when 0 then $4 else ($6::timestamptz[])[number] end, false) as is_new, {_SUMS}
    from bought group by 1, 2"""  # noqa: S608 – of constants

# What is credited to no touch is the money less its credits.
_BY_SOURCE = f"""
    with {MONEY}, {FIRSTS},
    credited as materialized (
        select k.touch_id, {STUDENT} as student, c.purchase_id, k.amount_minor as amount, {SALES} as is_sale
        from charges c
        join purchases p on p.tenant_id = $1 and p.id = c.purchase_id
        join credits k on k.tenant_id = $1 and k.charge_id = c.id and k.model = $3
        where c.tenant_id = $1 and c.currency = $2 and c.occurred_at >= $4 and c.occurred_at < $5
        order by k.touch_id
    ),
    shared as (
        select t.source, t.channel, c.student, c.purchase_id, c.amount, c.is_sale
        from credited c join touches t on t.tenant_id = $1 and t.id = c.touch_id
        union all
        select null, null, student, purchase_id, amount, is_sale from money where at >= $4 and at < $5
        union all
        select null, null, student, purchase_id, -amount, is_sale from credited
    ),
    bought as (
        select source, min(channel) as channel, student, purchase_id,
               (student in (select student from firsts where first_at >= $4)) is true as is_new,
               sum(amount) filter (where is_sale) as charged, -sum(amount) filter (where not is_sale) as refunded
        from shared group by source, student, purchase_id
    )
    select source, mode() within group (order by channel) as channel, is_new, {_SUMS}
    from bought group by source, is_new"""  # noqa: S608 – of constants

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
    for row in await reading.fetch(_BY_SOURCE, *about, credits_of=period):
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
