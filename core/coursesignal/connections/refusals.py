"""Webhooks that were turned away at the door, counted by day and reason where the tenant sees it; nothing of them is kept."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from uuid import UUID

import asyncpg

DAYS = 7
UNREADABLE = "unreadable"
"""Taken in, but nobody can read it: those are kept in quarantine, and can be processed again."""


class Refusal(StrEnum):
    """Why a webhook at a connection's address was not taken in."""

    WRONG_SIGNATURE = "wrong_signature"
    TOO_LARGE = "too_large"
    COMPRESSED = "compressed"
    ADDRESS_CLOSED = "address_closed"
    """An old address after its time, or that of a connection or plugin that is off."""


async def count(conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, reason: Refusal, hits: int = 1) -> None:
    """Count refusals of one reason."""
    await conn.execute(
        "insert into webhook_refusals (tenant_id, connection_id, reason, hits) values ($1, $2, $3, $4) "
        "on conflict (tenant_id, connection_id, day, reason) do update set hits = webhook_refusals.hits + excluded.hits",
        tenant_id, connection_id, reason.value, hits,
    )  # fmt: skip


async def lately(conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID) -> Mapping[str, int]:
    """What became of nothing in the last days, by reason."""
    rows = await conn.fetch(
        """
        select reason, sum(hits)::bigint as hits from webhook_refusals
        where tenant_id = $1 and connection_id = $2 and day > (now() at time zone 'UTC')::date - $3::int group by reason
        union all
        select $4, count(*) from inbox where tenant_id = $1 and connection_id = $2 and status = 'quarantined'
            and received_at > now() - make_interval(days => $3) having count(*) > 0
        order by 1
        """,
        tenant_id, connection_id, DAYS, UNREADABLE,
    )  # fmt: skip
    return {row["reason"]: row["hits"] for row in rows}
