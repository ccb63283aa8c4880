"""/api/analytics/segments: saved filters for every report."""

from __future__ import annotations

from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from coursesignal.analytics import segments
from coursesignal.analytics.segments import SegmentChange, SegmentIn, SegmentOut
from coursesignal.auth.access import tenant as of_tenant
from coursesignal.auth.callers import Caller
from coursesignal.db.engine import Database
from coursesignal.plugin import Tenant

CHANGES = of_tenant("member", scope="analytics:write")


@get("/segments", summary="The saved segments", operation_id="listSegments")
async def list_segments(db: NamedDependency[Database], tenant: NamedDependency[Tenant]) -> list[SegmentOut]:
    async with db.tenant(tenant.id) as conn:
        return await segments.list_all(conn, tenant.id)


@get("/segments/{slug:str}", summary="One saved segment", operation_id="getSegment")
async def get_segment(
    slug: FromPath[str], db: NamedDependency[Database], tenant: NamedDependency[Tenant]
) -> SegmentOut:
    async with db.tenant(tenant.id) as conn:
        return await segments.find(conn, tenant.id, slug)


@post("/segments", opt=CHANGES, status_code=201, summary="Save a segment", operation_id="createSegment")
async def create_segment(
    data: JSONBody[SegmentIn],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> SegmentOut:
    async with db.tenant(tenant.id) as conn:
        return await segments.create(conn, tenant.id, caller, data)


@patch("/segments/{slug:str}", opt=CHANGES, summary="Change a segment", operation_id="changeSegment")
async def change_segment(
    slug: FromPath[str],
    data: JSONBody[SegmentChange],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> SegmentOut:
    async with db.tenant(tenant.id) as conn:
        return await segments.change(conn, tenant.id, caller, slug, data)


@delete("/segments/{slug:str}", opt=CHANGES, summary="Delete a segment", operation_id="deleteSegment")
async def delete_segment(
    slug: FromPath[str],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> None:
    async with db.tenant(tenant.id) as conn:
        await segments.delete(conn, tenant.id, caller, slug)


HANDLERS = [list_segments, get_segment, create_segment, change_segment, delete_segment]
