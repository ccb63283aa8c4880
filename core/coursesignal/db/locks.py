"""Locks on what has no row of its own, held until the transaction ends."""

from __future__ import annotations

from uuid import UUID

import asyncpg

TRACKING_KEY = "hashtextextended('tracking ' || $1::text, 0)"
ROLLUPS_KEY = "hashtextextended('rollups ' || $1::text, 0)"


async def lock_ledger(conn: asyncpg.Connection, tenant_id: UUID) -> None:
    """Be the one transaction that changes this tenant's people, purchases and credits; others wait. Asking again is free.

    Who is whom and which money belongs together are decided from what is stored: two transactions that decide at once would
    not see each other's facts. Take it before locking rows of those tables.
    """
    await conn.execute("select pg_advisory_xact_lock(hashtextextended('ledger ' || $1::text, 0))", str(tenant_id))


async def share_ledger(conn: asyncpg.Connection, tenant_id: UUID) -> None:
    """Keep everybody out who asks for :func:`lock_ledger`, together with others who only share it.

    For transactions that agree among themselves who changes what. Do not ask for the whole lock afterwards.
    """
    await conn.execute(
        "select pg_advisory_xact_lock_shared(hashtextextended('ledger ' || $1::text, 0))", str(tenant_id)
    )


async def lock_lane(conn: asyncpg.Connection, tenant_id: UUID, lane: int) -> None:
    """Be the one transaction that credits the purchases of this lane again. Take it before :func:`share_ledger`."""
    await conn.execute(
        "select pg_advisory_xact_lock(hashtextextended('recredit ' || $1::text, $2))", str(tenant_id), lane
    )


async def lock_tracking(conn: asyncpg.Connection, tenant_id: UUID) -> None:
    """Be the one transaction that makes this tenant's sessions and touches; the pipeline skips the tenant meanwhile.

    Take it before :func:`lock_ledger`.
    """
    await conn.execute(f"select pg_advisory_xact_lock({TRACKING_KEY})", str(tenant_id))


async def lock_rollups(conn: asyncpg.Connection, tenant_id: UUID) -> None:
    """Be the one transaction that counts this tenant's days. Take it after :func:`lock_tracking`."""
    await conn.execute(f"select pg_advisory_xact_lock({ROLLUPS_KEY})", str(tenant_id))


async def try_lock_rollups(conn: asyncpg.Connection, tenant_id: UUID) -> bool:
    """The same without waiting: whether it was free."""
    return bool(await conn.fetchval(f"select pg_try_advisory_xact_lock({ROLLUPS_KEY})", str(tenant_id)))
