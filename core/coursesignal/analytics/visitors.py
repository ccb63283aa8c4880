"""How many people looked: distinct visitors of a period, in all and by where they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from coursesignal.analytics.period import Period
from coursesignal.analytics.reading import Reading

_ALL = """
    select count(*) from (
        select distinct visitor_id from sessions where tenant_id = $1 and started_at >= $2 and started_at < $3
    ) seen"""

_OF_SOURCE = """
    select count(*) from (
        select distinct visitor_id from touches
        where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3 and source = $4
    ) seen"""

# A visitor counts once per group; the channel is any one of theirs, and the group's is that of most visitors.
_BY = """
    select {by}, channel, count(*) as visitors from (
        select {by}, visitor_id, min(channel) as channel from touches
        where tenant_id = $1 and occurred_at >= $2 and occurred_at < $3 {where}
        group by {by}, visitor_id
    ) seen
    group by {by}, channel"""

COLUMNS = ("source", "medium", "campaign", "content")


@dataclass(slots=True)
class Audience:
    """The visitors of one group of touches, by channel."""

    by_channel: dict[str, int] = field(default_factory=dict)

    @property
    def visitors(self) -> int:
        return sum(self.by_channel.values())

    @property
    def channel(self) -> str:
        """The one most came through."""
        return max(sorted(self.by_channel), key=self.by_channel.__getitem__, default="")


async def count_visitors(reading: Reading, period: Period, source: str = "") -> int:
    """Distinct visitors with a session begun in ``period``; of a ``source``, with a touch of it."""
    values = [reading.tenant.id, period.start_at, period.end_at]
    if source:
        return int(await reading.conn.fetchval(_OF_SOURCE, *values, source))
    return int(await reading.conn.fetchval(_ALL, *values))


async def audiences(reading: Reading, by: Sequence[str], source: str = "") -> dict[tuple[str, ...], Audience]:
    """Distinct visitors of the reading's period by columns of COLUMNS."""
    assert set(by) <= set(COLUMNS)
    sql = _BY.format(by=", ".join(by), where="and source = $4" if source else "")
    values = [reading.tenant.id, reading.period.start_at, reading.period.end_at, *([source] if source else [])]
    found: dict[tuple[str, ...], Audience] = {}
    for row in await reading.conn.fetch(sql, *values):
        key = tuple(row[name] for name in by)
        found.setdefault(key, Audience()).by_channel[row["channel"]] = row["visitors"]
    return found
