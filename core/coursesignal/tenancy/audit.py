"""Who did what in a tenant: written in the transaction that does it, never changed, read newest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.auth.callers import Caller
from coursesignal.db.ids import uuid7
from coursesignal.web.cursors import Place, decode_cursor, encode_cursor

OPERATOR = Caller(email="coursesignal command")
"""Who acts from the command line."""
INSERT = """
    insert into audit_log (tenant_id, id, at, actor_user_id, actor, action, subject, detail)
    values ($1, $2, clock_timestamp(), $3, $4, $5, $6, $7)
"""
PAGE = """
    select id, at, actor, action, subject, detail from audit_log
    where tenant_id = $1 and ($2::timestamptz is null or (at, id) < ($2, $3::uuid))
    order by at desc, id desc limit $4
"""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing somebody did; ``actor`` is an e-mail address, an API key or "system"."""

    id: UUID
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


class AuditPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Newest first; ``nextCursor`` is absent on the last page."""

    items: list[AuditEntry]
    next_cursor: str | None = None


async def record(
    conn: asyncpg.Connection,
    tenant_id: UUID,
    caller: Caller,
    action: str,
    subject: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write down that ``caller`` did ``action`` (``member.invited``) to ``subject``; ``detail`` holds no secrets."""
    await record_all(conn, tenant_id, caller, action, [(subject, detail or {})])


async def record_all(
    conn: asyncpg.Connection,
    tenant_id: UUID,
    caller: Caller,
    action: str,
    noted: Iterable[tuple[str, Mapping[str, Any]]],
) -> None:
    """The same of several subjects, each with its detail."""
    await conn.executemany(
        INSERT,
        [(tenant_id, uuid7(), caller.user_id, caller.name, action, subject, dict(detail)) for subject, detail in noted],
    )


async def page(conn: asyncpg.Connection, tenant_id: UUID, cursor: str, limit: int) -> AuditPage:
    """One page after ``cursor``; raises Invalid for a cursor that is none of ours."""
    place = decode_cursor(cursor)
    at, row_id = (place.at, place.id) if place else (None, None)
    rows = await conn.fetch(PAGE, tenant_id, at, row_id, limit + 1)
    items = [AuditEntry(**dict(row)) for row in rows[:limit]]
    more = len(rows) > limit
    return AuditPage(items=items, next_cursor=encode_cursor(Place(items[-1].at, items[-1].id)) if more else None)
