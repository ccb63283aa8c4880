"""Agencies: they own tenants and say which plugins each may use. Their people have their agency role on all its tenants."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from coursesignal.db.engine import Database
from coursesignal.db.ids import uuid7
from coursesignal.errors import Conflict, FieldError, Invalid, NotFound
from coursesignal.tenancy.names import another, name_problem, slug_from, slug_problem
from coursesignal.tenancy.schemas import AgencyIn, AgencyOut


async def create(db: Database, wanted: AgencyIn, owner_id: UUID | None) -> AgencyOut:
    """A new agency with its owner; raises Invalid and Conflict."""
    errors = [*name_problem(wanted.name), *(slug_problem(wanted.slug) if wanted.slug is not None else [])]
    if errors:
        raise Invalid(errors=errors)
    agency_id = uuid7()
    async with db.control() as conn:
        slug = await _insert(conn, agency_id, wanted)
        if owner_id is not None:
            await conn.execute(
                "insert into memberships (id, user_id, agency_id, role) values ($1, $2, $3, 'owner')",
                uuid7(),
                owner_id,
                agency_id,
            )
    return AgencyOut(id=agency_id, slug=slug, name=wanted.name.strip(), role="owner")


async def _insert(conn: asyncpg.Connection, agency_id: UUID, wanted: AgencyIn) -> str:
    insert = "insert into agencies (id, slug, name) values ($1, $2, $3) on conflict (slug) do nothing returning slug"
    slug = wanted.slug or slug_from(wanted.name)
    while await conn.fetchval(insert, agency_id, slug, wanted.name.strip()) is None:
        if wanted.slug:
            raise Conflict("This slug is taken. Choose another.", errors=[FieldError("slug", "It is taken.")])
        slug = another(slug_from(wanted.name))
    return slug


async def read(conn: asyncpg.Connection, agency_id: UUID, role: str) -> AgencyOut:
    """The agency; ``role`` is the reader's."""
    row = await conn.fetchrow("select id, slug, name from agencies where id = $1", agency_id)
    assert row is not None
    return AgencyOut(**dict(row), role=role)


async def tenant_of(conn: asyncpg.Connection, agency_id: UUID, slug: str) -> UUID:
    """The agency's tenant with that slug or id; raises NotFound for an absent and for somebody else's alike."""
    tenant_id: UUID | None = await conn.fetchval(
        "select id from tenants where agency_id = $1 and (slug = $2 or id::text = $2) and status = 'active'",
        agency_id, slug.replace("\x00", ""),
    )  # fmt: skip
    if tenant_id is None:
        raise NotFound
    return tenant_id
