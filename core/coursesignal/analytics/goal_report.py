"""Who reached which goal in the period, and where they had come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from coursesignal.analytics.figures import percent
from coursesignal.analytics.flatten import Cell
from coursesignal.analytics.goal_schemas import GoalOut
from coursesignal.analytics.reading import Reading
from coursesignal.analytics.visitors import Audience, audience_by_source, count_visitors
from coursesignal.errors import NotFound
from coursesignal.reports import GoalReport, GoalRow, GoalSource

FOREVER_DAYS = 36_500

_GOALS = """
    select id, name, kind, target, counted_at is null as counting, created_at from goals
    where tenant_id = $1 and ($2::uuid is null or id = $2) order by created_at, id"""

# An opt-in is somebody's first. A purchase is its buyer's; one whose buyer is unknown is somebody of its own. Who is known is
# named by their person, else by their visitor.
_CONVERTED = """
    with hit as (
        select goal_id, visitor_id, min(occurred_at) as at, count(*) as times from goal_hits
        where tenant_id = $1 and goal_id = any($4) and occurred_at >= $2 and occurred_at < $3
        group by goal_id, visitor_id
    ),
    reached as (
        select h.goal_id, coalesce(v.person_id, v.id) as who, v.person_id is not null as known, h.at, h.times
        from hit h join visitors v on v.tenant_id = $1 and v.id = h.visitor_id
        join goals g on g.tenant_id = $1 and g.id = h.goal_id
        where g.kind <> 'opt_in' or not exists (
            select from goal_hits x where x.tenant_id = $1 and x.goal_id = h.goal_id and x.visitor_id = h.visitor_id
                and x.occurred_at < $2
        )
        union all
        select g.id, coalesce(p.person_id, p.id), true, p.purchased_at, 1
        from goals g join purchases p on p.tenant_id = $1 and p.purchased_at >= $2 and p.purchased_at < $3
            and p.charged_minor > 0 and (p.product = g.target or exists (
                select from purchase_items i where i.tenant_id = $1 and i.purchase_id = p.id
                    and (i.title = g.target or i.external_id = g.target)
            ))
        where g.tenant_id = $1 and g.id = any($4) and g.kind = 'purchase'
    ),
    converted as materialized (
        select goal_id, who, known, min(at) as at, sum(times) as completions from reached group by goal_id, who, known
    ),
    devices as (
        select goal_id, who, at, who as visitor_id from converted where not known
        union all
        select c.goal_id, c.who, c.at, v.id from converted c join visitors v on v.tenant_id = $1 and v.person_id = c.who
        where c.known
    ),
    came as (
        select d.goal_id, d.who, array_agg(t.source order by t.occurred_at, t.id) as sources,
            array_agg(t.channel order by t.occurred_at, t.id) as channels
        from devices d join touches t on t.tenant_id = $1 and t.visitor_id = d.visitor_id
            and t.occurred_at <= d.at and t.occurred_at >= d.at - make_interval(days => $5)
        group by d.goal_id, d.who
    )
    select c.goal_id, w.sources[1] as first_source, w.channels[1] as first_channel,
        w.sources[cardinality(w.sources)] as last_source, w.channels[cardinality(w.channels)] as last_channel,
        count(*) as conversions, sum(c.completions)::bigint as completions
    from converted c left join came w using (goal_id, who)
    group by 1, 2, 3, 4, 5"""


async def report(reading: Reading, goal_id: UUID | None = None) -> GoalReport:
    """Every goal of the tenant, or one; raises NotFound for one that is not there."""
    goals = [GoalOut(**row) for row in await reading.fetch(_GOALS, reading.tenant.id, goal_id)]
    if goal_id is not None and not goals:
        raise NotFound
    visitors = await count_visitors(reading, reading.period)
    seen = await audience_by_source(reading) if goals else {}
    ways = await _ways(reading, [goal.id for goal in goals])
    return GoalReport(
        from_=reading.period.first,
        to=reading.period.last,
        visitors=visitors,
        rows=[_row(goal, [way for way in ways if way["goal_id"] == goal.id], visitors, seen) for goal in goals],
    )


async def _ways(reading: Reading, goals: Sequence[UUID]) -> Sequence[Any]:
    """Conversions by goal, first source and last source."""
    if not goals:
        return []
    period = reading.period
    days = _lookback_days(reading)
    values = (reading.tenant.id, period.start_at, period.end_at, goals, days)
    return await reading.fetch(_CONVERTED, *values)


def _lookback_days(reading: Reading) -> int:
    """The window that was asked for, else the tenant's."""
    wishes = reading.wishes
    return (wishes.days or FOREVER_DAYS) if wishes.window else reading.lookback_days


def _row(goal: GoalOut, ways: Sequence[Any], visitors: int, seen: Mapping[tuple[str, ...], Audience]) -> GoalRow:
    conversions = sum(way["conversions"] for way in ways)
    return GoalRow(
        id=goal.id,
        name=goal.name,
        kind=goal.kind,
        target=goal.target,
        counting=goal.counting,
        visitors=visitors,
        conversions=conversions,
        completions=sum(way["completions"] for way in ways),
        rate=percent(conversions, visitors),
        unattributed=sum(way["conversions"] for way in ways if way["first_source"] is None),
        first_touch=_by_source("first", ways, seen),
        last_touch=_by_source("last", ways, seen),
    )


def _by_source(end: str, ways: Sequence[Any], seen: Mapping[tuple[str, ...], Audience]) -> Sequence[GoalSource]:
    """The conversions by the source at one end of the way, most first."""
    count: Counter[str] = Counter()
    channel: dict[str, str] = {}
    for way in ways:
        if (source := way[f"{end}_source"]) is not None:
            count[source] += way["conversions"]
            channel[source] = min(channel.get(source, way[f"{end}_channel"]), way[f"{end}_channel"])
    rows = []
    for source, conversions in count.items():
        visitors = seen[(source,)].visitors if (source,) in seen else 0
        rows.append(
            GoalSource(
                source=source, channel=channel[source], visitors=visitors, conversions=conversions,
                rate=percent(conversions, visitors),
            )
        )  # fmt: skip
    return sorted(rows, key=lambda row: (-row.conversions, row.source))


def lines(answer: msgspec.Struct) -> list[Sequence[Cell]]:
    """The report as a table: a line per goal, then one per source and end of the way."""
    assert isinstance(answer, GoalReport)
    table: list[Sequence[Cell]] = [
        ("goal", "kind", "target", "touch", "source", "channel", "visitors", "conversions", "completions", "rate")
    ]
    for row in answer.rows:
        goal = (row.name, row.kind, row.target)
        table.append((*goal, "", "", "", row.visitors, row.conversions, row.completions, row.rate))
        for touch, sources in (("first", row.first_touch), ("last", row.last_touch)):
            table += [(*goal, touch, s.source, s.channel, s.visitors, s.conversions, None, s.rate) for s in sources]
    return table
