"""Sync runs: pages from the platform through the same intake as webhooks, resumable after a kill at any point.

A run is a chain of tasks. Each fetches pages for a short while and then enqueues the next, so that no task outlives its lease.
The cursor moves in the transaction that books the page: a page is booked wholly or not at all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.connections import progress, records
from coursesignal.connections.context import stored_context
from coursesignal.connections.house import House
from coursesignal.connections.intake import apply
from coursesignal.connections.records import ConnectionRow
from coursesignal.db.ids import uuid7
from coursesignal.errors import LeaseLost
from coursesignal.events import ConnectionLost, SyncCompleted
from coursesignal.jobs.outbox import enqueue, publish
from coursesignal.jobs.tasks import TaskRun, hold
from coursesignal.plugin import AuthFailed, Connector, Page, Tenant, Unavailable

log = logging.getLogger("coursesignal.connections")

HISTORY = timedelta(days=30)
BUDGET_S = 15.0
"""How long one task fetches pages before it hands on to the next."""
MAX_FAILURES = 20
"""How often in a row the platform may be unavailable before a run fails."""
MAX_UNREADABLE = 5
MAX_WAIT_S = 900


class SyncRow(msgspec.Struct, frozen=True, kw_only=True):
    """One sync run."""

    id: UUID
    connection_id: UUID
    status: str
    since: datetime
    total: int | None
    processed: int
    matched: int


async def start(conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID) -> UUID:
    """Begin a run, or return the one that is already under way. Reaches back 30 days, or to the last sync if that is older."""
    row = await conn.fetchrow(
        "select last_sync_at from connections where tenant_id = $1 and id = $2 for update", tenant_id, connection_id
    )
    under_way = await _under_way(conn, tenant_id, connection_id)
    if under_way is not None:
        return under_way
    since = datetime.now(UTC) - HISTORY
    if row is not None and row["last_sync_at"] is not None:
        since = min(since, row["last_sync_at"] - timedelta(days=1))
    run_id = uuid7()
    await conn.execute(
        "insert into sync_runs (tenant_id, id, connection_id, since, message) values ($1, $2, $3, $4, $5)",
        tenant_id, run_id, connection_id, since, progress.WAITING,
    )  # fmt: skip
    await _continue(conn, tenant_id, run_id, failures=0)
    return run_id


async def _under_way(conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID) -> UUID | None:
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
            return UUID(str(row["id"]))
        await _finish(conn, tenant_id, row["id"], "failed", "The sync stopped.", "It was interrupted; start it again.")
    return None


async def _continue(
    conn: asyncpg.Connection, tenant_id: UUID, run_id: UUID, *, failures: int, after_s: float = 0
) -> None:
    run_at = datetime.now(UTC) + timedelta(seconds=after_s) if after_s else None
    payload = {"syncRunId": str(run_id), "failures": failures}
    await enqueue(conn, tenant_id, "core.sync", payload, run_at=run_at)


async def run_sync(run: TaskRun, house: House) -> None:
    """The task ``core.sync``: a stretch of pages, then the next task, the end, or a reason in words."""
    tenant_id, run_id = run.task.tenant_id, UUID(run.task.payload["syncRunId"])
    async with house.db.tenant(tenant_id) as conn:
        sync, connection, tenant = await _load(conn, tenant_id, run_id)
    if sync is None or connection is None or sync.status in ("completed", "failed"):
        async with run.effects():
            return
    failures = int(run.task.payload.get("failures", 0))
    try:
        progressed, finished = await _stretch(run, house, tenant, sync, connection)
    except AuthFailed as error:
        async with run.effects() as conn:
            await _lose(conn, tenant_id, sync, connection, str(error))
    except Unavailable as error:
        await _wait(run, sync, connection, failures + 1, str(error), error.retry_after, MAX_FAILURES)
    except LeaseLost:
        raise
    except Exception as error:
        log.exception("sync.failed platform=%s run=%s", connection.platform, run_id)
        words = f"{connection.platform.title()} sent something we cannot read ({type(error).__name__})."
        await _wait(run, sync, connection, failures + 1, words, None, MAX_UNREADABLE)
    else:
        async with run.effects() as conn:
            if finished:
                await _complete(conn, tenant_id, run_id, connection)
            else:
                await _continue(conn, tenant_id, run_id, failures=0 if progressed else failures)


async def _load(
    conn: asyncpg.Connection, tenant_id: UUID, run_id: UUID
) -> tuple[SyncRow | None, ConnectionRow | None, Tenant]:
    record = await conn.fetchrow(
        "select id, connection_id, status, since, total, processed, matched from sync_runs where tenant_id = $1 and id = $2",
        tenant_id, run_id,
    )  # fmt: skip
    who = await conn.fetchrow("select id, slug, name, currency, time_zone from tenants where id = $1", tenant_id)
    assert who is not None
    sync = None if record is None else SyncRow(**record)
    connection = None if sync is None else await records.find(conn, tenant_id, sync.connection_id)
    return sync, connection, Tenant(**who)


async def _stretch(
    run: TaskRun, house: House, tenant: Tenant, sync: SyncRow, connection: ConnectionRow
) -> tuple[bool, bool]:
    """Fetch and book pages until the budget is used up; returns whether there were any, and whether all streams are done."""
    connector = house.connectors.get(connection.platform)
    if connector is None:
        raise Unavailable(f"The {connection.platform} plugin is not installed.")
    ctx = stored_context(house, tenant, connector, connection)
    began, pages = time.monotonic(), 0
    while (place := await _next_place(house, connector, sync, tenant.id)) is not None:
        if pages and time.monotonic() - began > BUDGET_S:
            return True, False
        stream, cursor = place
        page = await connector.sync_page(ctx, stream, cursor, sync.since)
        await _book_page(run, house, sync, connection, connector, stream, cursor, page)
        pages += 1
    return bool(pages), True


async def _next_place(
    house: House, connector: Connector[Any], sync: SyncRow, tenant_id: UUID
) -> tuple[str, str | None] | None:
    """The stream and cursor to fetch next; None when every stream is done."""
    async with house.db.tenant(tenant_id) as conn:
        rows = await conn.fetch(
            "select stream, cursor, done from sync_cursors where tenant_id = $1 and sync_run_id = $2",
            tenant_id,
            sync.id,
        )
    places: Mapping[str, asyncpg.Record] = {row["stream"]: row for row in rows}
    for stream in connector.streams:
        place = places.get(stream)
        if place is None or not place["done"]:
            return stream, None if place is None else place["cursor"]
    return None


async def _book_page(
    task_run: TaskRun,
    house: House,
    sync: SyncRow,
    connection: ConnectionRow,
    connector: Connector[Any],
    stream: str,
    cursor: str | None,
    page: Page,
) -> None:
    """Book a page and move the cursor, in one transaction; raises LeaseLost when another worker took the task over."""
    tenant_id = connection.tenant_id
    counts = stream == connector.streams[0]
    async with house.db.tenant(tenant_id) as conn:
        await hold(conn, task_run.task)
        run = await conn.fetchrow(
            "select total, processed, matched, status from sync_runs where tenant_id = $1 and id = $2 for update",
            tenant_id, sync.id,
        )  # fmt: skip
        if run is None or run["status"] in ("completed", "failed"):
            raise LeaseLost("the run has ended")
        await _move_cursor(conn, tenant_id, sync.id, stream, cursor, page.cursor)
        recorded = await apply(conn, tenant_id, connection.id, connection.platform, page.events, house.models)
        processed = run["processed"] + (len(set(recorded.purchase_ids)) if counts else 0)
        matched = run["matched"] + (recorded.matched if counts else 0)
        total = page.total if counts and page.total is not None else run["total"]
        await conn.execute(
            "update sync_runs set status = 'running', started_at = coalesce(started_at, now()), total = $3, processed = $4, "
            "matched = $5, message = $6 where tenant_id = $1 and id = $2",
            tenant_id, sync.id, total, processed, matched, progress.running(processed, total),
        )  # fmt: skip


async def _move_cursor(
    conn: asyncpg.Connection, tenant_id: UUID, run_id: UUID, stream: str, was: str | None, now: str | None
) -> None:
    place = await conn.fetchrow(
        "select cursor, done from sync_cursors where tenant_id = $1 and sync_run_id = $2 and stream = $3",
        tenant_id, run_id, stream,
    )  # fmt: skip
    if place is not None and (place["done"] or place["cursor"] != was):
        raise LeaseLost("another worker is ahead")
    if place is None and was is not None:
        raise LeaseLost("the cursor is gone")
    if now is not None and now == was:
        raise ValueError(f"stream {stream!r} stays on the same page")
    await conn.execute(
        "insert into sync_cursors (tenant_id, sync_run_id, stream, cursor, done) values ($1, $2, $3, $4, $5) "
        "on conflict (tenant_id, sync_run_id, stream) do update set cursor = excluded.cursor, done = excluded.done",
        tenant_id, run_id, stream, now, now is None,
    )  # fmt: skip


async def _wait(
    run: TaskRun,
    sync: SyncRow,
    connection: ConnectionRow,
    failures: int,
    words: str,
    retry_after: timedelta | None,
    most: int,
) -> None:
    """Try again later, as long as the platform asks or longer each time; give up after ``most`` failures in a row."""
    tenant_id = run.task.tenant_id
    async with run.effects() as conn:
        if failures >= most:
            await _finish(conn, tenant_id, sync.id, "failed", "The sync did not finish.", words)
            await records.mark_lost(conn, tenant_id, connection.id, "failing", words)
            return
        asked = retry_after.total_seconds() if retry_after is not None else min(2.0**failures, 300)
        seconds = min(max(asked, 1), MAX_WAIT_S)
        await conn.execute(
            "update sync_runs set status = 'running', started_at = coalesce(started_at, now()), message = $3 "
            "where tenant_id = $1 and id = $2",
            tenant_id, sync.id, progress.waiting(words, round(seconds)),
        )  # fmt: skip
        await _continue(conn, tenant_id, sync.id, failures=failures, after_s=seconds)


async def _lose(
    conn: asyncpg.Connection, tenant_id: UUID, sync: SyncRow, connection: ConnectionRow, reason: str
) -> None:
    """The credentials no longer work: end the run and tell the tenant and the plugins."""
    await _finish(conn, tenant_id, sync.id, "failed", "The sync did not finish.", reason)
    if connection.state == "disconnected":
        return
    await records.mark_lost(conn, tenant_id, connection.id, "needs_reauth", reason)
    await publish(
        conn,
        ConnectionLost(
            id=uuid7(), tenant_id=tenant_id, occurred_at=datetime.now(UTC), connection_id=connection.id,
            platform=connection.platform, reason=reason,
        ),
    )  # fmt: skip


async def _complete(conn: asyncpg.Connection, tenant_id: UUID, run_id: UUID, connection: ConnectionRow) -> None:
    row = await conn.fetchrow(
        "select processed, matched, status from sync_runs where tenant_id = $1 and id = $2 for update",
        tenant_id,
        run_id,
    )
    if row is None or row["status"] in ("completed", "failed"):
        return
    processed, matched = row["processed"], row["matched"]
    await _finish(conn, tenant_id, run_id, "completed", progress.completed(processed, matched), None)
    await records.mark_synced(conn, tenant_id, connection.id)
    await publish(
        conn,
        SyncCompleted(
            id=uuid7(), tenant_id=tenant_id, occurred_at=datetime.now(UTC), connection_id=connection.id,
            platform=connection.platform, processed=processed, matched=matched,
        ),
    )  # fmt: skip


async def _finish(
    conn: asyncpg.Connection, tenant_id: UUID, run_id: UUID, status: str, message: str, error: str | None
) -> None:
    await conn.execute(
        "update sync_runs set status = $3, message = $4, error = $5, finished_at = now(), "
        "started_at = coalesce(started_at, now()), total = case when $3 = 'completed' then processed else total end "
        "where tenant_id = $1 and id = $2",
        tenant_id, run_id, status, message, error,
    )  # fmt: skip


async def latest(conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID) -> asyncpg.Record | None:
    """The newest run of a connection."""
    return await conn.fetchrow(
        "select * from sync_runs where tenant_id = $1 and connection_id = $2 order by created_at desc, id desc limit 1",
        tenant_id, connection_id,
    )  # fmt: skip
