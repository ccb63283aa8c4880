"""From a visit to an e-mail address to a sale: how many people take each step, and how long it takes them.

Somebody is in a step only when in the one before. All steps lie in the period, so the numbers of a period that is over stay as
they are. An opt-in's time is that of the visit in which the address was given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from coursesignal.analytics.figures import percent
from coursesignal.analytics.reading import Reading
from coursesignal.attribution.paths import CLOSES_AT
from coursesignal.reports import FunnelReport, FunnelRow, FunnelSteps

By = Literal["source", "channel"]

# Nearly all visitors are nobody known and do no more than visit: those are only counted, in the order of an index. Whoever is
# known or opted in is taken out of that count again and looked at as a person.
_FUNNEL = """
    with firsts as (
        select distinct on (t.visitor_id) t.visitor_id, t.source, t.channel
        from touches t
        where t.tenant_id = $1 and t.occurred_at >= $2 and t.occurred_at < $3
        order by t.visitor_id, t.occurred_at, t.id
    ),
    opted as materialized (
        select t.visitor_id, min(t.occurred_at) as at from touches t
        where t.tenant_id = $1 and t.occurred_at >= $2 and t.occurred_at < $3 and t.is_opt_in
        group by t.visitor_id
    ),
    special as materialized (
        select visitor_id, (array_agg(person_id) filter (where person_id is not null))[1] as person_id, min(at) as opted_at
        from (
            select v.id as visitor_id, v.person_id, null::timestamptz as at from visitors v
            where v.tenant_id = $1 and v.person_id is not null
            union all
            select visitor_id, null, at from opted
        ) found
        group by visitor_id
    ),
    met as materialized (
        select coalesce(s.person_id, s.visitor_id) as who, s.person_id, f.at, f.source, f.channel, s.opted_at, s.visitor_id
        from special s cross join lateral (
            select t.occurred_at as at, t.source, t.channel from touches t
            where t.tenant_id = $1 and t.visitor_id = s.visitor_id and t.occurred_at >= $2 and t.occurred_at < $3
            order by t.occurred_at, t.id limit 1
        ) f
    ),
    people as materialized (
        select distinct on (who) who, person_id, at, source, channel, min(opted_at) over (partition by who) as opted_at
        from met order by who, at, visitor_id
    ),
    bought as (
        select p.person_id, p.purchased_at as at, {closes_at} as closes_at
        from purchases p
        where p.tenant_id = $1 and p.purchased_at >= $2 and p.purchased_at < $3 and p.charged_minor > 0
            and p.person_id is not null
    ),
    went as materialized (
        select m.who, m.source, m.channel, m.at, m.opted_at,
               min(b.at) filter (where b.closes_at >= m.opted_at) as sold_at,
               count(*) filter (where b.closes_at >= m.at) > 0 as has_bought
        from people m left join bought b on b.person_id = m.person_id
        group by m.who, m.source, m.channel, m.at, m.opted_at
    ),
    counted as (
        select source, channel, count(*) as visitors from firsts group by source, channel
        union all
        select source, channel, -count(*) from met group by source, channel
        union all
        select source, channel, count(*) from went group by source, channel
    )
    select {by} as name, 0 as is_total, channel, sum(visitors)::bigint as visitors, 0 as opt_ins, 0 as sales,
           0 as sales_without, null::float8 as to_opt_in, null::float8 as to_sale
    from counted group by {by}, channel
    union all
    select {by}, grouping({by}), null, null, count(opted_at), count(sold_at),
           count(*) filter (where has_bought and sold_at is null),
           percentile_cont(0.5) within group (order by extract(epoch from opted_at - at)::float8),
           percentile_cont(0.5) within group (order by greatest(extract(epoch from sold_at - opted_at), 0)::float8)
               filter (where sold_at is not null)
    from went group by grouping sets (({by}), ())"""


async def funnel(reading: Reading, by: By) -> FunnelReport:
    """The funnel of everybody with a touch in the period, by the source or channel of the first one in it."""
    period = reading.period
    sql = _FUNNEL.format(by=by, closes_at=CLOSES_AT.format(purchased_at="p.purchased_at"))
    found = await reading.fetch(sql, reading.tenant.id, period.start_at, period.end_at)
    visitors, channels = _visitors([row for row in found if row["visitors"] is not None])
    steps = {None if row["is_total"] else row["name"]: row for row in found if row["visitors"] is None}
    rows = [
        FunnelRow(name=name, channel=channels[name], **_steps(count, steps.get(name)))
        for name, count in visitors.items()
        if count
    ]
    totals = FunnelSteps(**_steps(visitors.total(), steps.get(None)))
    return FunnelReport(
        from_=period.first,
        to=period.last,
        currency=reading.currency,
        model=reading.model,
        hint=None if totals.visitors else "Nobody visited in this period. Choose a longer one, or install the tracker.",
        by=by,
        rows=tuple(sorted(rows, key=lambda row: (-row.visitors, row.name))),
        totals=totals,
    )


def _visitors(found: Sequence[Any]) -> tuple[Counter[str], dict[str, str]]:
    """How many visitors each row has, and the channel that most of them came through."""
    visitors, most = Counter[str](), dict[str, tuple[int, str]]()
    for row in found:
        visitors[row["name"]] += row["visitors"]
        most[row["name"]] = max(most.get(row["name"], (0, "")), (row["visitors"], row["channel"]))
    return visitors, {name: channel for name, (_, channel) in most.items()}


def _steps(visitors: int, row: Any) -> dict[str, Any]:
    opt_ins, sales = (row["opt_ins"], row["sales"]) if row else (0, 0)
    return {
        "visitors": visitors,
        "opt_ins": opt_ins,
        "sales": sales,
        "opt_in_rate": percent(opt_ins, visitors),
        "sale_rate": percent(sales, opt_ins),
        "overall_rate": percent(sales, visitors),
        "median_hours_to_opt_in": _hours(row and row["to_opt_in"]),
        "median_hours_to_sale": _hours(row and row["to_sale"]),
        "sales_without_opt_in": row["sales_without"] if row else 0,
    }


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / 3600, 2)
