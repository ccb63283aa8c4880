"""Note, in the transaction that changes a row, of which time the figures kept per day are no longer right.

Instants and no days, so that nobody has to know the tenant's time zone. Every call adds rows of its own: no transaction waits for
another, and none can take another's note for its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import asyncpg

What = Literal["visits", "money"]
"""``visits``: sessions and touches; ``money``: charges."""
HOUR = timedelta(hours=1)
EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
"""From minus infinity to infinity, as the driver has it."""

_MARK = """
    insert into stale_spans (tenant_id, what, from_at, to_at)
    select $1, $2, * from unnest($3::timestamptz[], $4::timestamptz[])"""


async def mark(conn: asyncpg.Connection, tenant_id: UUID, what: What, moments: Iterable[datetime]) -> None:
    """Something of ``what`` changed at these moments: of a row that moved in time, give where it was and where it is."""
    spans = hours(moments)
    if spans:
        await conn.execute(_MARK, tenant_id, what, [span[0] for span in spans], [span[1] for span in spans])


async def mark_all(conn: asyncpg.Connection, tenant_id: UUID, what: What) -> None:
    """Everything of ``what`` may have changed."""
    await conn.execute(_MARK, tenant_id, what, [EVER[0]], [EVER[1]])


def hours(moments: Iterable[datetime]) -> list[tuple[datetime, datetime]]:
    """The hours that the moments lie in, those in a row as one span; half-open, in order."""
    spans: list[tuple[datetime, datetime]] = []
    for start in sorted({moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0) for moment in moments}):
        if spans and spans[-1][1] == start:
            spans[-1] = (spans[-1][0], start + HOUR)
        else:
            spans.append((start, start + HOUR))
    return spans
