"""Sync runs: pages from the platform through the same intake as webhooks, resumable after a kill at any point.

A run is a chain of tasks. Each fetches pages for a short while and then enqueues the next, so that no task outlives its lease.
The cursor moves in the transaction that books the page: a page is booked wholly or not at all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.commerce.service import Recorded
from coursesignal.connections import progress, reconcile, records, runs, trust
from coursesignal.connections.house import House
from coursesignal.connections.intake import apply, checked
from coursesignal.connections.line import open_line
from coursesignal.connections.pauses import pause_s
from coursesignal.connections.records import ConnectionRow
from coursesignal.connections.runs import SyncRow, start
from coursesignal.connections.states import move
from coursesignal.db.ids import uuid7
from coursesignal.errors import LeaseLost
from coursesignal.events import ConnectionLost, SyncCompleted
from coursesignal.jobs import outbox
from coursesignal.jobs.outbox import publish
from coursesignal.jobs.tasks import TaskRun, hold
from coursesignal.plugin import AuthFailed, Connector, Page, Tenant, Unavailable

__all__ = ["run_sync", "start"]
log = logging.getLogger("coursesignal.connections")

BUDGET_S = 15.0
"""How long one task fetches pages before it hands on to the next."""
EVENTS_WAIT = timedelta(seconds=60)
"""Plugins hear of what a run brings when it ends, or after this: thousands of calls beside it would slow it down."""
MAX_FAILURES = 20
"""How often in a row the platform may be unavailable before a run fails."""
MAX_UNREADABLE = 5
MAX_PAGES = 50_000
"""Of one stream in one run."""


async def run_sync(run: TaskRun, house: House) -> None:
    """The task ``core.sync``: a stretch of pages, then the next task, the end, or a reason in words."""
    tenant_id, run_id = run.task.tenant_id, UUID(run.task.payload["syncRunId"])
    async with house.db.tenant(tenant_id) as conn:
        sync, connection, tenant = await _load(conn, tenant_id, run_id)
    if sync is None or connection is None or sync.has_ended:
        async with run.effects():
            return
    failures = int(run.task.payload.get("failures", 0))
    try:
        progressed, finished = await _stretch(run, house, tenant, sync, connection)
    except AuthFailed as error:
        async with run.effects() as conn:
            await _lose(conn, sync, connection, str(error))
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
                await _complete(conn, sync, connection)
            else:
                await runs.go_on(conn, tenant_id, run_id, failures=0 if progressed else failures)


async def _load(
    conn: asyncpg.Connection, tenant_id: UUID, run_id: UUID
) -> tuple[SyncRow | None, ConnectionRow | None, Tenant]:
    sync = await runs.find(conn, tenant_id, run_id)
    who = await conn.fetchrow("select id, slug, name, currency, time_zone from tenants where id = $1", tenant_id)
    assert who is not None
    connection = None if sync is None else await records.find(conn, tenant_id, sync.connection_id)
    return sync, connection, Tenant(**who)


async def _stretch(
    run: TaskRun, house: House, tenant: Tenant, sync: SyncRow, connection: ConnectionRow
) -> tuple[bool, bool]:
    """Fetch and book pages until the budget is used up; returns whether there were any, and whether all streams are done."""
    connector = house.connectors.get(connection.platform)
    if connector is None:
        raise Unavailable(f"The {connection.platform} plugin is not installed.")
    began, pages = time.monotonic(), 0
    before: Page | None = None
    async with open_line(house, tenant, connector, connection) as line:
        while (place := await _next_place(house, connector, sync, tenant.id)) is not None:
            if pages and time.monotonic() - began > BUDGET_S:
                return True, False
            stream, cursor = place
            page = await line.call(partial(_page, connector, stream, cursor, sync.since))
            if before is not None and page.events and page.cursor and list(page.events) == list(before.events):
                raise ValueError(f"the pages of stream {stream!r} repeat themselves")
            await _book_page(run, house, sync, connection, connector, stream, cursor, page)
            pages, before = pages + 1, page
    return bool(pages), True


async def _page(connector: Connector[Any], stream: str, cursor: str | None, since: datetime, ctx: Any) -> Page:
    return await connector.sync_page(ctx, stream, cursor, since)


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
    events = checked(page.events)
    async with house.db.tenant(tenant_id) as conn:
        await hold(conn, task_run.task)
        run = await runs.find(conn, tenant_id, sync.id, locked=True)
        if run is None or run.has_ended:
            raise LeaseLost("the run has ended")
        await _move_cursor(conn, tenant_id, sync.id, stream, cursor, page.cursor)
        told = set(trust.ids_of(events))
        new = told - await trust.known(conn, tenant_id, connection.id, told)
        with outbox.held_back(EVENTS_WAIT):
            recorded = await apply(conn, tenant_id, connection.id, connection.platform, events, house.models)
        await trust.confirm(conn, tenant_id, connection.id, events)
        fresh, fresh_matched = await _fresh(conn, sync, tenant_id, recorded) if counts else (0, 0)
        if sync.kind != "incremental":
            await reconcile.note(conn, tenant_id, sync.id, events)
        processed, matched = run.processed + fresh, run.matched + fresh_matched
        total = page.total if counts and page.total is not None else run.total
        await conn.execute(
            "update sync_runs set status = 'running', started_at = coalesce(started_at, now()), total = $3, processed = $4, "
            "matched = $5, message = $6, found = found + $7 where tenant_id = $1 and id = $2",
            tenant_id, sync.id, total, processed, matched, progress.running(processed, total), len(new),
        )  # fmt: skip


async def _fresh(conn: asyncpg.Connection, sync: SyncRow, tenant_id: UUID, recorded: Recorded) -> tuple[int, int]:
    """How many of a page's purchases no earlier page of the run told of, and how many of those are tied to visitors."""
    ids = set(recorded.purchase_ids)
    before = await reconcile.told_of(conn, tenant_id, sync.id, ids)
    if not before:
        return len(ids), recorded.matched
    fresh = ids - before
    matched = await conn.fetchval(
        "select count(*) from purchases where tenant_id = $1 and id = any($2) and match <> 'unmatched'",
        tenant_id, list(fresh),
    )  # fmt: skip
    return len(fresh), matched


async def _move_cursor(
    conn: asyncpg.Connection, tenant_id: UUID, run_id: UUID, stream: str, was: str | None, now: str | None
) -> None:
    place = await conn.fetchrow(
        "select cursor, done, pages, anchor from sync_cursors where tenant_id = $1 and sync_run_id = $2 and stream = $3",
        tenant_id, run_id, stream,
    )  # fmt: skip
    if place is not None and (place["done"] or place["cursor"] != was):
        raise LeaseLost("another worker is ahead")
    if place is None and was is not None:
        raise LeaseLost("the cursor is gone")
    pages = 1 if place is None else place["pages"] + 1
    if pages > MAX_PAGES:
        raise ValueError(f"stream {stream!r} has no end")
    anchor = was if place is None or is_power_of_two(pages) else place["anchor"]
    if now is not None and now in (was, anchor):
        raise ValueError(f"the pages of stream {stream!r} go round in circles")
    await conn.execute(
        "insert into sync_cursors (tenant_id, sync_run_id, stream, cursor, done, pages, anchor) "
        "values ($1, $2, $3, $4, $5, $6, $7) on conflict (tenant_id, sync_run_id, stream) do update set "
        "cursor = excluded.cursor, done = excluded.done, pages = excluded.pages, anchor = excluded.anchor",
        tenant_id, run_id, stream, now, now is None, pages, anchor,
    )  # fmt: skip


def is_power_of_two(number: int) -> bool:
    """The cursor of such a page is remembered: a circle of any length then comes back to it (Brent's algorithm)."""
    return number & (number - 1) == 0


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
        if connection.state == "disconnected":
            await runs.finish(conn, tenant_id, sync.id, "failed", "The sync did not finish.", "It was disconnected.")
            return
        if failures >= most:
            await runs.finish(conn, tenant_id, sync.id, "failed", "The sync did not finish.", words)
            await move(conn, tenant_id, connection.id, "gave_up", words)
            return
        seconds = pause_s(failures, retry_after.total_seconds() if retry_after is not None else None)
        await conn.execute(
            "update sync_runs set status = 'running', started_at = coalesce(started_at, now()), message = $3 "
            "where tenant_id = $1 and id = $2",
            tenant_id, sync.id, progress.waiting(words, round(seconds)),
        )  # fmt: skip
        await runs.go_on(conn, tenant_id, sync.id, failures=failures, after_s=seconds)


async def _lose(conn: asyncpg.Connection, sync: SyncRow, connection: ConnectionRow, reason: str) -> None:
    """The credentials do not work any more: end the run and tell the tenant and, the first time, the plugins."""
    tenant_id = connection.tenant_id
    await runs.finish(conn, tenant_id, sync.id, "failed", "The sync did not finish.", reason)
    moved = await move(conn, tenant_id, connection.id, "refused", reason)
    if moved is None or not moved.entered:
        return
    await publish(
        conn,
        ConnectionLost(
            id=uuid7(), tenant_id=tenant_id, occurred_at=datetime.now(UTC), connection_id=connection.id,
            platform=connection.platform, reason=reason,
        ),
    )  # fmt: skip


async def _complete(conn: asyncpg.Connection, sync: SyncRow, connection: ConnectionRow) -> None:
    """End a run well: note it with the connection, compare the totals, tell the plugins."""
    tenant_id = connection.tenant_id
    run = await runs.find(conn, tenant_id, sync.id, locked=True)
    if run is None or run.has_ended:
        return
    await runs.finish(conn, tenant_id, run.id, "completed", progress.completed(run.processed, run.matched), None)
    await outbox.release(conn, tenant_id)
    looked_back = run.kind != "incremental"
    await records.mark_synced(conn, tenant_id, connection.id, run.created_at, rescan=looked_back)
    if looked_back:
        await reconcile.compare(
            conn, tenant_id, connection.id, run.id, since=run.since, until=run.created_at, found=run.found
        )
    await publish(
        conn,
        SyncCompleted(
            id=uuid7(), tenant_id=tenant_id, occurred_at=datetime.now(UTC), connection_id=connection.id,
            platform=connection.platform, processed=run.processed, matched=run.matched,
        ),
    )  # fmt: skip
