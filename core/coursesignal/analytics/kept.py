"""The figures that are kept per day, and how each is counted from the tables.

A query counts the days whose instants it is given; reports ask it of days that are not kept, upkeep has it write those that are.
One text for both: what is kept is what a report would count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coursesignal.db.stale import What


@dataclass(frozen=True, slots=True)
class Kept:
    """A table of figures per day.

    ``sql`` gives ``day`` and ``columns``, counted from the tables ``of``. Its values: $1 the tenant, from $2 until $3, $4 days in
    order and $5 the instant each of them begins.
    """

    what: What
    table: str
    columns: Sequence[str]
    of: frozenset[str]
    sql: str


def _day(moment: str) -> str:
    """Found by the very instants that days are made of, so no second time-zone database has a say."""
    return f"($4::date[])[width_bucket({moment}, $5::timestamptz[])]"


MONEY = Kept(
    "money",
    "daily_money",
    ("currency", "charged", "refunded", "purchases"),
    frozenset({"charges"}),
    f"""
    select day, currency,
           coalesce(sum(amount_minor) filter (where is_sale), 0) as charged,
           coalesce(-sum(amount_minor) filter (where not is_sale), 0) as refunded,
           count(distinct purchase_id) filter (where is_sale and amount_minor > 0) as purchases
    from (
        select {_day("occurred_at")} as day, currency, purchase_id, amount_minor,
               kind in ('sale', 'renewal', 'instalment') as is_sale
        from charges
        where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3
    ) sold
    group by day, currency""",  # noqa: S608 – of constants
)
"""Money by currency."""

VISITS = Kept(
    "visits",
    "daily_visits",
    ("visitors", "sessions", "pageviews", "opt_ins"),
    frozenset({"sessions", "touches"}),
    f"""
    select day, sum(visitors)::bigint as visitors, sum(visits)::bigint as sessions, sum(pageviews)::bigint as pageviews,
           sum(opt_ins)::bigint as opt_ins
    from (
        select day, count(distinct visitor_id) as visitors, count(*) as visits, sum(pageviews) as pageviews, 0 as opt_ins
        from (
            select {_day("started_at")} as day, visitor_id, pageviews from sessions
            where tenant_id = $1 and started_at >= $2 and started_at < $3
        ) begun
        group by day
        union all
        select day, 0, 0, 0, count(*)
        from (
            select {_day("occurred_at")} as day from touches
            where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3 and is_opt_in
        ) opted
        group by day
    ) seen
    group by day""",  # noqa: S608 – of constants
)
"""Visits that began on the day, and those in which an address was first given."""

SOURCES = Kept(
    "visits",
    "daily_sources",
    ("channel", "source", "medium", "campaign", "touches", "visitors", "opt_ins"),
    frozenset({"touches"}),
    f"""
    select day, channel, source, medium, campaign, count(*) as touches, count(distinct visitor_id) as visitors,
           count(*) filter (where is_opt_in) as opt_ins
    from (
        select {_day("occurred_at")} as day, channel, source, medium, campaign, visitor_id, is_opt_in from touches
        where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3
    ) came
    group by day, channel, source, medium, campaign""",  # noqa: S608 – of constants
)
"""Touches by where they came from."""

KEPT: Mapping[What, Sequence[Kept]] = {"visits": (VISITS, SOURCES), "money": (MONEY,)}
"""Everything that is kept; a new table of figures is one entry here."""
