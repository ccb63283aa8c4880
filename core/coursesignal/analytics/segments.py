"""Saved segments: filters with a name, for every report of their tenant. Every change is audited."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.analytics.filters import Filter, checked
from coursesignal.auth.callers import Caller
from coursesignal.errors import Conflict, FieldError, Invalid, NotFound
from coursesignal.tenancy import audit
from coursesignal.tenancy.names import name_problem, slug_from, slug_problem

MAX_SEGMENTS = 200
COLUMNS = "slug, name, filter, created_at, changed_at"


class SegmentIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Without a slug, one is made from the name."""

    name: str
    filter: Filter
    slug: str | None = None


class SegmentChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Only what is given changes; the slug never does."""

    name: str | None = None
    filter: Filter | None = None


class SegmentOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A saved segment; reports take its slug as ``segment``."""

    slug: str
    name: str
    filter: Filter
    created_at: datetime
    changed_at: datetime


async def list_all(conn: asyncpg.Connection, tenant_id: UUID) -> list[SegmentOut]:
    """By name."""
    rows = await conn.fetch(f"select {COLUMNS} from segments where tenant_id = $1 order by name, slug", tenant_id)  # noqa: S608
    return [_out(row) for row in rows]


async def find(conn: asyncpg.Connection, tenant_id: UUID, slug: str) -> SegmentOut:
    """Raises NotFound."""
    row = await conn.fetchrow(
        f"select {COLUMNS} from segments where tenant_id = $1 and slug = $2",  # noqa: S608 – of constants
        tenant_id, _plain(slug),
    )  # fmt: skip
    if row is None:
        raise NotFound("There is no such segment.")
    return _out(row)


async def filter_of(conn: asyncpg.Connection, tenant_id: UUID, slug: str) -> Filter:
    """The filter a report's ``segment`` names; raises Invalid when there is none (any more)."""
    try:
        return (await find(conn, tenant_id, slug)).filter
    except NotFound as error:
        text = "There is no segment of this slug; GET /api/analytics/segments lists those there are."
        raise Invalid("This segment does not exist.", errors=[FieldError("segment", text)]) from error


async def create(conn: asyncpg.Connection, tenant_id: UUID, caller: Caller, wanted: SegmentIn) -> SegmentOut:
    """Raises Invalid with field paths, Conflict for a slug that is taken or one segment too many."""
    slug = slug_from(wanted.name) if wanted.slug is None else wanted.slug
    _check(name_problem(wanted.name) + slug_problem(slug))
    checked(wanted.filter)
    if await conn.fetchval("select count(*) from segments where tenant_id = $1", tenant_id) >= MAX_SEGMENTS:
        raise Conflict(f"There are {MAX_SEGMENTS} segments already; delete one first.")
    row = await conn.fetchrow(
        f"insert into segments (tenant_id, slug, name, filter) values ($1, $2, $3, $4) "  # noqa: S608 – of constants
        f"on conflict (tenant_id, slug) do nothing returning {COLUMNS}",
        tenant_id, slug, wanted.name, msgspec.to_builtins(wanted.filter),
    )  # fmt: skip
    if row is None:
        raise Conflict("There is a segment of this slug.", errors=[FieldError("slug", "Choose another one.")])
    await audit.record(conn, tenant_id, caller, "segment.created", slug, {"filter": msgspec.to_builtins(wanted.filter)})
    return _out(row)


async def change(
    conn: asyncpg.Connection, tenant_id: UUID, caller: Caller, slug: str, wanted: SegmentChange
) -> SegmentOut:
    """Raises NotFound, and Invalid with field paths."""
    before = await find(conn, tenant_id, slug)
    name, kept = wanted.name or before.name, wanted.filter or before.filter
    _check(name_problem(name if wanted.name is None else wanted.name))
    checked(kept)
    row = await conn.fetchrow(
        f"update segments set name = $3, filter = $4, changed_at = now() "  # noqa: S608 – of constants
        f"where tenant_id = $1 and slug = $2 returning {COLUMNS}",
        tenant_id, slug, name, msgspec.to_builtins(kept),
    )  # fmt: skip
    await audit.record(conn, tenant_id, caller, "segment.changed", slug, msgspec.to_builtins(wanted))
    return _out(row)


async def delete(conn: asyncpg.Connection, tenant_id: UUID, caller: Caller, slug: str) -> None:
    """Raises NotFound. Reports that still name it are refused from then on."""
    before = await find(conn, tenant_id, slug)
    await conn.execute("delete from segments where tenant_id = $1 and slug = $2", tenant_id, before.slug)
    await audit.record(conn, tenant_id, caller, "segment.deleted", slug, {"name": before.name})


def _check(problems: list[FieldError]) -> None:
    if problems:
        raise Invalid(errors=problems)


def _plain(slug: str) -> str:
    """What could be a slug at all; PostgreSQL takes no other text."""
    return "" if slug_problem(slug) else slug


def _out(row: Any) -> SegmentOut:
    fields = {name: row[name] for name in ("slug", "name", "created_at", "changed_at")}
    return SegmentOut(**fields, filter=msgspec.convert(row["filter"], Filter))
