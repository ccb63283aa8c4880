"""/api/people: who is who, why, and how to change it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from coursesignal.auth.access import tenant as of_tenant
from coursesignal.auth.callers import Caller
from coursesignal.db.engine import Database
from coursesignal.identity import merging, people
from coursesignal.identity.people import MergeOut, PeoplePage, PersonOut
from coursesignal.plugin import Tenant

READ = of_tenant("viewer", scope="analytics:read")
WRITE = of_tenant("member", scope="people:write")


class MergeIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to become part of."""

    into: UUID


@get("/", opt=READ, summary="People, the newest first", operation_id="listPeople")
async def list_people(
    db: NamedDependency[Database],
    tenant: NamedDependency[Tenant],
    search: Annotated[str, QueryParameter(description="Part of a name or of an e-mail address.")] = "",
    limit: Annotated[int, QueryParameter(description="1 to 200.")] = 50,
    cursor: Annotated[str, QueryParameter(description="nextCursor of the page before.")] = "",
) -> PeoplePage:
    async with db.tenant(tenant.id) as conn:
        return await people.page(conn, tenant.id, search, cursor, limit)


@get("/{person_id:uuid}", opt=READ, summary="A person with all evidence", operation_id="readPerson")
async def read_person(
    person_id: FromPath[UUID], db: NamedDependency[Database], tenant: NamedDependency[Tenant]
) -> PersonOut:
    async with db.tenant(tenant.id) as conn:
        return await people.person(conn, tenant.id, person_id)


@get("/merges", opt=READ, summary="What was joined, the newest first", operation_id="listMerges")
async def list_merges(db: NamedDependency[Database], tenant: NamedDependency[Tenant]) -> list[MergeOut]:
    async with db.tenant(tenant.id) as conn:
        return await people.merges(conn, tenant.id)


@post("/{person_id:uuid}/merge", opt=WRITE, status_code=200, summary="Join two people", operation_id="mergePeople")
async def merge_people(
    person_id: FromPath[UUID],
    data: JSONBody[MergeIn],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> PersonOut:
    """Everything of the person in the path becomes that of ``into``, whose purchases are credited again. It can be undone."""
    async with db.tenant(tenant.id) as conn:
        await merging.merge(conn, tenant.id, caller, person_id, data.into)
        return await people.person(conn, tenant.id, data.into)


@post(
    "/merges/{merge_id:uuid}/undo",
    opt=WRITE,
    status_code=200,
    summary="Take two people apart",
    operation_id="undoMerge",
)
async def undo_merge(
    merge_id: FromPath[UUID],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> list[MergeOut]:
    """Each gets back what was its own, and what came since by what it names. They are not joined again but by hand."""
    async with db.tenant(tenant.id) as conn:
        await merging.undo(conn, tenant.id, caller, merge_id)
        return await people.merges(conn, tenant.id)


ROUTES = [
    Router(
        "/api/people",
        route_handlers=[list_people, read_person, list_merges, merge_people, undo_merge],
        tags=["people"],
    )
]
