"""Erasures on record: asked for, looked at, lifted again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.auth.callers import Caller
from coursesignal.errors import Conflict, NotFound
from coursesignal.jobs.outbox import enqueue
from coursesignal.privacy.schemas import ErasureOut
from coursesignal.privacy.subjects import address_of, shown, subject_hash
from coursesignal.tenancy import audit

JOB = "core.erase"
LISTED = 200
# Asked for again, the same erasure runs again: it finds what came since, and is lifted no longer.
_REQUEST = """
    insert into erasures (tenant_id, email_hash) values ($1, $2)
    on conflict (tenant_id, email_hash) do update
        set status = 'pending', requested_at = now(), finished_at = null, lifted_at = null
    returning id"""
_KEY = "insert into erased_keys (tenant_id, key_hash, erasure_id) values ($1, $2, $3) on conflict do nothing"
_SELECT = (
    "select id, email_hash, status, requested_at, finished_at, lifted_at, counts from erasures where tenant_id = $1"
)


async def request(conn: asyncpg.Connection, caller: Caller, tenant_id: UUID, email: str) -> UUID:
    """Put the tombstone, which holds from this commit on, and have everything known erased; raises Invalid."""
    email_hash = subject_hash(tenant_id, address_of(email))
    erasure_id: UUID = await conn.fetchval(_REQUEST, tenant_id, email_hash)
    await conn.execute(_KEY, tenant_id, email_hash, erasure_id)
    await enqueue(conn, tenant_id, JOB, {"erasureId": str(erasure_id)})
    await audit.record(conn, tenant_id, caller, "privacy.erasure_requested", shown(email_hash))
    return erasure_id


async def listing(conn: asyncpg.Connection, tenant_id: UUID) -> Sequence[ErasureOut]:
    """The latest, newest first."""
    rows = await conn.fetch(f"{_SELECT} order by requested_at desc, id desc limit {LISTED}", tenant_id)
    return [_out(row) for row in rows]


async def read(conn: asyncpg.Connection, tenant_id: UUID, erasure_id: UUID) -> ErasureOut:
    """One; raises NotFound."""
    row = await conn.fetchrow(f"{_SELECT} and id = $2", tenant_id, erasure_id)
    if row is None:
        raise NotFound
    return _out(row)


async def lift(conn: asyncpg.Connection, caller: Caller, tenant_id: UUID, erasure_id: UUID) -> None:
    """Let the person be known again from now on, because they agreed to; what was erased stays so. Raises NotFound, Conflict."""
    row = await conn.fetchrow(f"{_SELECT} and id = $2 for update", tenant_id, erasure_id)
    if row is None:
        raise NotFound
    if row["status"] == "lifted":
        raise Conflict("This erasure was lifted before.")
    await conn.execute("delete from erased_keys where tenant_id = $1 and erasure_id = $2", tenant_id, erasure_id)
    await conn.execute(
        "update erasures set status = 'lifted', lifted_at = now() where tenant_id = $1 and id = $2",
        tenant_id, erasure_id,
    )  # fmt: skip
    await audit.record(conn, tenant_id, caller, "privacy.erasure_lifted", shown(row["email_hash"]))


def _out(row: Any) -> ErasureOut:
    fields = dict(row)
    return ErasureOut(subject=shown(fields.pop("email_hash")), **fields)
