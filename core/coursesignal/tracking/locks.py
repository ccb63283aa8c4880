"""The lock under which one worker turns one tenant's events into visits."""

from __future__ import annotations

from uuid import UUID

import asyncpg


async def lock_tracking(conn: asyncpg.Connection, tenant_id: UUID) -> None:
    """Wait until no pipeline works on this tenant and keep it waiting until the transaction ends.

    The pipeline takes this lock before the ledger's: whoever needs both takes it first, too.
    """
    await conn.execute("select pg_advisory_xact_lock(hashtextextended('tracking ' || $1::text, 0))", str(tenant_id))
