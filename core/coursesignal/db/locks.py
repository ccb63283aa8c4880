"""Locks on what has no row of its own, held until the transaction ends."""

from __future__ import annotations

from uuid import UUID

import asyncpg


async def lock_ledger(conn: asyncpg.Connection, tenant_id: UUID) -> None:
    """Be the one transaction that changes this tenant's people, purchases and credits; others wait. Asking again is free.

    Who is whom and which money belongs together are decided from what is stored: two transactions that decide at once would
    not see each other's facts. Take it before locking rows of those tables.
    """
    await conn.execute("select pg_advisory_xact_lock(hashtextextended('ledger ' || $1::text, 0))", str(tenant_id))
