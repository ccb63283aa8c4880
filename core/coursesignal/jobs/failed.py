"""Dead letters: tasks that failed at every attempt, to look at and to try again."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.errors import NotFound
from coursesignal.jobs.outbox import CHANNEL
from coursesignal.web.cursors import Place, decode_cursor, encode_cursor

PAGE = """
    select id, kind, plugin, name, coalesce(last_error, '') as error, attempts, created_at, coalesce(done_at, run_at) as failed_at
    from outbox
    where tenant_id = $1 and status = 'dead' and ($2::timestamptz is null or (created_at, id) < ($2, $3::uuid))
    order by created_at desc, id desc limit $4
"""
RETRY = """
    update outbox set status = 'pending', attempts = 0, run_at = clock_timestamp(), lease_token = null, lease_until = null,
        done_at = null
    where tenant_id = $1 and id = $2 and status = 'dead'
"""


class FailedTask(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A task that is not tried any more."""

    id: UUID
    kind: Literal["event", "hook", "job"]
    plugin: str
    """Empty for core's own work."""
    name: str
    """Of the event, the hook or the job."""
    error: str
    """What its last attempt ended with."""
    attempts: int
    created_at: datetime
    failed_at: datetime


class FailedPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Newest first; ``nextCursor`` is absent on the last page."""

    items: list[FailedTask]
    next_cursor: str | None = None


async def page(conn: asyncpg.Connection, tenant_id: UUID, cursor: str, limit: int) -> FailedPage:
    """One page after ``cursor``; raises Invalid for a cursor that is none of ours."""
    place = decode_cursor(cursor)
    at, row_id = (place.at, place.id) if place else (None, None)
    rows = await conn.fetch(PAGE, tenant_id, at, row_id, limit + 1)
    items = [FailedTask(**dict(row)) for row in rows[:limit]]
    last = items[-1] if len(rows) > limit else None
    return FailedPage(items=items, next_cursor=encode_cursor(Place(last.created_at, last.id)) if last else None)


async def retry(conn: asyncpg.Connection, tenant_id: UUID, task_id: UUID) -> None:
    """Give a dead letter all its attempts again; raises NotFound for a task that is absent or not dead."""
    if await conn.execute(RETRY, tenant_id, task_id) != "UPDATE 1":
        raise NotFound
    await conn.execute(f"notify {CHANNEL}")
