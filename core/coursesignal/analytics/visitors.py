"""How many people looked: distinct visitors of a period, in all and by where they came from."""

from __future__ import annotations

from dataclasses import dataclass

from coursesignal.analytics.period import Period
from coursesignal.analytics.reading import Reading

# Counted in the order of an index over (…, visitor_id, time), so that nothing needs sorting or hashing.
_ALL = """
    select count(distinct visitor_id) from sessions
    where tenant_id = $1 and started_at >= $2 and started_at < $3"""

_OF_SOURCE = """
    select count(distinct visitor_id) from touches
    where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3 and source = $4"""

_BY_SOURCE = """
    select source, min(channel) as channel, count(distinct visitor_id) as visitors from touches
    where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3
    group by source"""

# No index has this order; hashing the pairs is faster than sorting them.
_BY_SLICE = """
    select medium, campaign, content, min(channel) as channel, count(*) as visitors
    from (
        select medium, campaign, content, visitor_id, min(channel) as channel from touches
        where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3 and source = $4
        group by medium, campaign, content, visitor_id
    ) seen
    group by medium, campaign, content"""

SLICE = ("medium", "campaign", "content")
"""What a source is opened by."""


@dataclass(frozen=True, slots=True)
class Audience:
    """The visitors of one group of touches; ``channel`` is one they came through, the first by name."""

    visitors: int
    channel: str


async def count_visitors(reading: Reading, period: Period, source: str = "") -> int:
    """Distinct visitors with a session begun in ``period``; of a ``source``, with a touch of it."""
    values = [reading.tenant.id, period.start_at, period.end_at]
    if source:
        return int(await reading.fetchval(_OF_SOURCE, *values, source))
    return int(await reading.fetchval(_ALL, *values))


async def audience_by_source(reading: Reading) -> dict[tuple[str, ...], Audience]:
    """Distinct visitors of the reading's period by (source,)."""
    period = reading.period
    rows = await reading.fetch(_BY_SOURCE, reading.tenant.id, period.start_at, period.end_at)
    return {(row["source"],): Audience(row["visitors"], row["channel"]) for row in rows}


async def audience_by_slice(reading: Reading, source: str) -> dict[tuple[str, ...], Audience]:
    """Distinct visitors of one source by (medium, campaign, content)."""
    period = reading.period
    rows = await reading.fetch(_BY_SLICE, reading.tenant.id, period.start_at, period.end_at, source)
    return {tuple(row[name] for name in SLICE): Audience(row["visitors"], row["channel"]) for row in rows}
