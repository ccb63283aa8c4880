"""The ways people took to a purchase: which are common, how long they are, how many days they took.

A journey is what the linear model shares a purchase among: every touch of the buyer's browsers within the window, up to the
purchase.
"""

from __future__ import annotations

from typing import Any, Literal

from coursesignal.analytics.buyers import MONEY
from coursesignal.analytics.figures import percent
from coursesignal.analytics.other_currencies import other_currencies
from coursesignal.analytics.reading import Reading
from coursesignal.reports import JourneyBucket, JourneyLengths, JourneyPath, JourneysReport, PurchaseSum, TouchCount

By = Literal["channel", "source", "campaign"]
WHOLE_PATH_MODEL = "linear"
LONGEST_STEPS = 12
"""Of one path as it is told; the ends of longer ones are kept."""
DAYS = (0, 1, 3, 7, 14, 30, 60, 90)
"""Where the buckets of the days to buy begin."""
TOUCHES = 10
"""Touches that are counted one by one; above, together."""

_BOUGHT = f"""
    {MONEY},
    bought as (
        select purchase_id, min(at) filter (where is_sale and amount > 0) as bought_at,
               (array_agg(charge_id order by at, charge_id) filter (where is_sale and amount > 0))[1] as charge_id,
               coalesce(sum(amount) filter (where at >= $4 and at < $5), 0) as net,
               coalesce(sum(amount) filter (where is_sale and at >= $4 and at < $5), 0) as charged
        from money group by purchase_id
    )"""  # noqa: S608 – of constants

_BUCKETS = ",\n".join(
    f"count(*) filter (where days >= {low}{f' and days < {high}' if high else ''}) as days_{low}"
    for low, high in zip(DAYS, (*DAYS[1:], None), strict=True)
)
_TOUCHES = ",\n".join(
    f"count(*) filter (where touches {'>=' if count == TOUCHES else '='} {count}) as touches_{count}"
    for count in range(1, TOUCHES + 1)
)
# A purchase and its way are put together by grouping, not joined: see buyers.OF_ORIGIN.
_JOURNEYS = f"""
    with {_BOUGHT},
    made as materialized (
        select * from bought where bought_at >= $4 and bought_at < $5
    ),
    walked as materialized (
        select c.purchase_id, k.touch_id
        from charges c join credits k on k.tenant_id = $1 and k.charge_id = c.id and k.model = $3
        where c.tenant_id = $1 and (c.id in (select charge_id from made)) is true
        order by k.touch_id
    ),
    stepped as (
        select w.purchase_id, t.{{by}} as step, t.occurred_at, t.id,
               lag(t.{{by}}) over (partition by w.purchase_id order by t.occurred_at, t.id) as before
        from walked w join touches t on t.tenant_id = $1 and t.id = w.touch_id
    ),
    ways as (
        select purchase_id, max(net) as net, max(bought_at) as bought_at, min(occurred_at) as first_at,
               nullif(count(id), 0) as touches,
               array_agg(step order by occurred_at, id) filter (where step is distinct from before) as steps
        from (
            select purchase_id, net, bought_at, null::uuid as id, null as step, null as before, null::timestamptz as occurred_at
            from made
            union all
            select purchase_id, null, null, id, step, before, occurred_at from stepped
        ) found
        group by purchase_id
    ),
    told as (
        select net, touches, cardinality(steps) as length,
               case when touches > 0
                   then greatest(extract(epoch from bought_at - first_at)::float8 / 86400, 0) end as days,
               case when cardinality(steps) > {LONGEST_STEPS}
                   then steps[:{LONGEST_STEPS // 2}] || '…'::text || steps[cardinality(steps) - {LONGEST_STEPS // 2 - 2}:]
                   else steps end as steps
        from ways
    )
    select steps, grouping(steps) as is_total, count(*) as purchases, coalesce(sum(net), 0) as net,
           avg(touches)::float8 as average_touches, avg(length)::float8 as average_steps,
           percentile_cont(0.5) within group (order by touches) as median_touches,
           percentile_cont(array[0.25, 0.5, 0.75]) within group (order by days) as quartiles, {_BUCKETS}, {_TOUCHES}
    from told
    group by grouping sets ((steps), ())
    order by is_total desc, steps is null desc, purchases desc, net desc, steps limit $6"""  # noqa: S608 – of constants

_EARLIER = f"""
    with {_BOUGHT}
    select count(*) filter (where charged > 0) as purchases, coalesce(sum(net), 0) as net
    from bought where $3::text is not null and (bought_at >= $4 and bought_at < $5) is not true"""  # noqa: S608 – of constants


async def journeys(reading: Reading, by: By, limit: int) -> JourneysReport:
    """The most common ways to the purchases first paid in the period; ``limit`` of them."""
    period = reading.period
    about = (reading.tenant.id, reading.currency, WHOLE_PATH_MODEL, period.start_at, period.end_at)
    total, *found = await reading.fetch(_JOURNEYS.format(by=by), *about, limit + 2, credits_of=period)
    earlier = await reading.fetchrow(_EARLIER, *about)
    alone = _sum(next((row for row in found if row["steps"] is None), None))
    ways = [row for row in found if row["steps"] is not None][:limit]
    walked = total["purchases"] - alone.purchases
    return JourneysReport(
        from_=period.first,
        to=period.last,
        currency=reading.currency,
        model=WHOLE_PATH_MODEL,
        hint=None if total["purchases"] else "Nobody bought in this period. Choose a longer one.",
        by=by,
        paths=tuple(_path(row, walked) for row in ways),
        other_paths=PurchaseSum(
            purchases=walked - sum(row["purchases"] for row in ways),
            revenue_minor=int(total["net"]) - alone.revenue_minor - sum(int(row["net"]) for row in ways),
        ),
        without_journey=alone,
        totals=_sum(total),
        made_earlier=_sum(earlier),
        lengths=_lengths(total),
        other_currencies=await other_currencies(reading),
    )


def _sum(row: Any) -> PurchaseSum:
    return PurchaseSum(purchases=row["purchases"] if row else 0, revenue_minor=int(row["net"]) if row else 0)


def _path(row: Any, walked: int) -> JourneyPath:
    return JourneyPath(
        steps=tuple(row["steps"]),
        purchases=row["purchases"],
        share=percent(row["purchases"], walked),
        revenue_minor=int(row["net"]),
        average_touches=round(row["average_touches"], 2),
        median_days=round(row["quartiles"][1], 2),
    )


def _lengths(row: Any) -> JourneyLengths:
    low, middle, high = row["quartiles"] or (None, None, None)
    return JourneyLengths(
        average_touches=_rounded(row["average_touches"]),
        median_touches=_rounded(row["median_touches"]),
        average_steps=_rounded(row["average_steps"]),
        first_quartile_days=_rounded(low),
        median_days=_rounded(middle),
        third_quartile_days=_rounded(high),
        days=tuple(
            JourneyBucket(from_days=begin, to_days=end, purchases=row[f"days_{begin}"])
            for begin, end in zip(DAYS, (*DAYS[1:], None), strict=True)
        ),
        touches=tuple(TouchCount(touches=count, purchases=row[f"touches_{count}"]) for count in range(1, TOUCHES + 1)),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
