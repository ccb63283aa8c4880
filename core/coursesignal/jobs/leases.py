"""Leases on outbox rows, on the database's clock: who may run a task, and until when.

A relay leases due rows and hands out slips. Starting exchanges the slip's token for a new one, so that a slip delivered twice
starts once; whoever holds an old token can neither start nor take effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from coursesignal.db.engine import Database
from coursesignal.jobs.outbox import CHANNEL
from coursesignal.jobs.tasks import Task

LEASE = "select tenant_id, id, lease_token from door_lease_outbox($1, $2)"
BEGIN = """
    update outbox set attempts = attempts + 1, lease_token = gen_random_uuid(),
        lease_until = clock_timestamp() + make_interval(secs => $4)
    where tenant_id = $1 and id = $2 and lease_token = $3 and status = 'pending'
    returning tenant_id, id, lease_token, kind, plugin, name, payload, attempts, max_attempts,
        last_error is not null as failed_before
"""
# A row that the task's own transaction has locked is left alone: nobody else can lease it meanwhile.
EXTEND = """
    with mine as (
        select id from outbox where tenant_id = $1 and id = $2 and lease_token = $3 and status = 'pending'
    ), free as (
        select o.id from outbox o join mine on mine.id = o.id where o.tenant_id = $1 for update of o skip locked
    ), extended as (
        update outbox set lease_until = clock_timestamp() + make_interval(secs => $4)
        where tenant_id = $1 and id in (select id from free)
    )
    select exists (select from mine)
"""
HAND_BACK = """
    update outbox set lease_token = null, lease_until = null, attempts = greatest(0, attempts - $4),
        run_at = clock_timestamp() + make_interval(secs => $5)
    where tenant_id = $1 and id = $2 and lease_token = $3 and status = 'pending'
"""
FAIL = """
    update outbox set lease_token = null, lease_until = null, last_error = $4,
        status = case when $5 then 'dead' else 'pending' end, done_at = case when $5 then clock_timestamp() end,
        run_at = clock_timestamp() + make_interval(secs => $6)
    where tenant_id = $1 and id = $2 and lease_token = $3 and status = 'pending'
"""


class Slip(msgspec.Struct, frozen=True):
    """What travels through the queue: which row, and the token that may start it."""

    tenant_id: UUID
    id: UUID
    lease_token: UUID


async def lease_due(db: Database, how_many: int, lease_s: float) -> Sequence[Slip]:
    """Lease up to ``how_many`` rows that are due and nobody's; of two callers at once each row goes to one."""
    async with db.control() as conn:
        rows = await conn.fetch(LEASE, how_many, lease_s)
    return [Slip(row["tenant_id"], row["id"], row["lease_token"]) for row in rows]


async def begin(db: Database, slip: Slip, lease_s: float) -> Task | None:
    """Count an attempt and return the task; None when the slip was used, or its lease ran out and went to another."""
    async with db.tenant(slip.tenant_id) as conn:
        row = await conn.fetchrow(BEGIN, slip.tenant_id, slip.id, slip.lease_token, lease_s)
    return None if row is None else Task(**dict(row))


async def extend(db: Database, task: Task, lease_s: float) -> bool:
    """Move the end of the lease; False when the task is no longer ours, or done."""
    async with db.tenant(task.tenant_id) as conn:
        return bool(await conn.fetchval(EXTEND, task.tenant_id, task.id, task.lease_token, lease_s))


async def hand_back(db: Database, held: Slip | Task, *, after_s: float = 0.0) -> None:
    """Let somebody else have it, from ``after_s`` on; an attempt that was begun does not count."""
    begun = 1 if isinstance(held, Task) else 0
    async with db.tenant(held.tenant_id) as conn:
        await conn.execute(HAND_BACK, held.tenant_id, held.id, held.lease_token, begun, after_s)
        await conn.execute(f"notify {CHANNEL}")


async def fail(db: Database, task: Task, why: str, *, dead: bool, after_s: float) -> None:
    """Keep why an attempt failed; the next is due ``after_s`` from now, unless there is none."""
    async with db.tenant(task.tenant_id) as conn:
        await conn.execute(FAIL, task.tenant_id, task.id, task.lease_token, why, dead, after_s)
