"""Sync runs as rows: which kinds there are, how far back each reaches, and how one begins, goes on and ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.connections import progress
from coursesignal.connections.meter import close_circuit
from coursesignal.db.ids import uuid7
from coursesignal.errors import Conflict
from coursesignal.jobs.outbox import enqueue

Kind = Literal["first", "manual", "incremental", "rescan"]
HISTORY = timedelta(days=30)
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""No course platform is older."""
OVERLAP = timedelta(days=1)
"""Dates in platforms' filters may be days of an unknown zone."""
RESCAN = timedelta(days=60)


class SyncRow(msgspec.Struct, frozen=True, kw_only=True):
    """One sync run."""

    id: UUID
    connection_id: UUID
    status: str
    kind: Kind
    since: datetime
    total: int | None
    processed: int
    matched: int
    found: int
    created_at: datetime

    @property
    def has_ended(self) -> bool:
        return self.status in ("completed", "failed")


def since_of(kind: Kind, synced_to: datetime | None, now: datetime, rescan: timedelta = RESCAN) -> datetime:
    """How far back a run reaches: what is new, or 30 days, or as far as refunds come late; always all since the last. Pure."""
    overlapping = None if synced_to is None else synced_to - OVERLAP
    if kind == "incremental" and overlapping is not None:
        return overlapping
    reach = now - (max(rescan, HISTORY) if kind == "rescan" else HISTORY)
    return reach if overlapping is None else min(reach, overlapping)


async def start(
    conn: asyncpg.Connection,
    tenant_id: UUID,
    connection_id: UUID,
    kind: Kind = "manual",
    *,
    whole_history: bool = False,
    rescan: timedelta = RESCAN,
) -> UUID:
    """Begin a run, or return the one that is already under way. Raises Conflict when that one does not reach back far enough."""
    row = await conn.fetchrow(
        "select coalesce(synced_to, last_sync_at) as synced_to from connections where tenant_id = $1 and id = $2 for update",
        tenant_id, connection_id,
    )  # fmt: skip
    synced_to = None if row is None else row["synced_to"]
    since = BEGINNING if whole_history else since_of(kind, synced_to, datetime.now(UTC), rescan)
    under_way = await _under_way(conn, tenant_id, connection_id)
    if under_way is not None:
        return await _join(conn, tenant_id, under_way, since if whole_history else None)
    run_id = uuid7()
    await conn.execute(
        "insert into sync_runs (tenant_id, id, connection_id, kind, since, message) values ($1, $2, $3, $4, $5, $6)",
        tenant_id, run_id, connection_id, kind, since, progress.WAITING,
    )  # fmt: skip
    if kind in ("first", "manual"):
        await close_circuit(conn, tenant_id, connection_id)
    await go_on(conn, tenant_id, run_id, failures=0)
    return run_id


async def _join(conn: asyncpg.Connection, tenant_id: UUID, run: SyncRow, since: datetime | None) -> UUID:
    """The run under way; one that has not begun yet may still be told to reach back further."""
    if since is None or since >= run.since:
        return run.id
    if run.status != "pending":
        raise Conflict("A sync is under way.", detail="Ask for the whole history when it has ended.")
    await conn.execute(
        "update sync_runs set since = $3, kind = 'manual' where tenant_id = $1 and id = $2", tenant_id, run.id, since
    )
    return run.id


async def _under_way(conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID) -> SyncRow | None:
    """The unfinished run that still has a task; one without is dead and marked so."""
    rows = await conn.fetch(
        """
        select r.id, exists (
            select 1 from outbox o where o.tenant_id = r.tenant_id and o.status = 'pending' and o.name = 'core.sync'
                and o.payload->>'syncRunId' = r.id::text
        ) as alive
        from sync_runs r where r.tenant_id = $1 and r.connection_id = $2 and r.status in ('pending', 'running')
        """,
        tenant_id, connection_id,
    )  # fmt: skip
    for row in rows:
        if row["alive"]:
            return await find(conn, tenant_id, row["id"])
        await finish(conn, tenant_id, row["id"], "failed", "The sync stopped.", "It was interrupted; start it again.")
    return None


async def go_on(conn: asyncpg.Connection, tenant_id: UUID, run_id: UUID, *, failures: int, after_s: float = 0) -> None:
    """Have the next task of a run done."""
    run_at = datetime.now(UTC) + timedelta(seconds=after_s) if after_s else None
    payload = {"syncRunId": str(run_id), "failures": failures}
    await enqueue(conn, tenant_id, "core.sync", payload, run_at=run_at)


async def find(conn: asyncpg.Connection, tenant_id: UUID, run_id: UUID, *, locked: bool = False) -> SyncRow | None:
    """The run of that id."""
    columns = ", ".join(SyncRow.__struct_fields__)
    record = await conn.fetchrow(
        f"select {columns} from sync_runs where tenant_id = $1 and id = $2{' for update' if locked else ''}",  # noqa: S608 – of field names
        tenant_id, run_id,
    )  # fmt: skip
    return None if record is None else SyncRow(**record)


async def finish(
    conn: asyncpg.Connection, tenant_id: UUID, run_id: UUID, status: str, message: str, error: str | None
) -> None:
    """End a run."""
    await conn.execute(
        "update sync_runs set status = $3, message = $4, error = $5, finished_at = now(), "
        "started_at = coalesce(started_at, now()), total = case when $3 = 'completed' then processed else total end "
        "where tenant_id = $1 and id = $2",
        tenant_id, run_id, status, message, error,
    )  # fmt: skip
    if status == "failed":
        await conn.execute("delete from sync_listed where tenant_id = $1 and sync_run_id = $2", tenant_id, run_id)


async def latest(conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID) -> asyncpg.Record | None:
    """The newest run of a connection."""
    return await conn.fetchrow(
        "select * from sync_runs where tenant_id = $1 and connection_id = $2 order by created_at desc, id desc limit 1",
        tenant_id, connection_id,
    )  # fmt: skip
