"""Agencies, their tenants, and which plugins each tenant may use."""

from __future__ import annotations

from typing import Any

from litestar import get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from coursesignal.auth import throttle, users
from coursesignal.auth.access import agency as of_agency
from coursesignal.auth.access import user
from coursesignal.auth.callers import Caller
from coursesignal.auth.desk import Desk
from coursesignal.db.engine import Database
from coursesignal.tenancy import agencies, grants, tenants
from coursesignal.tenancy.schemas import AgencyIn, AgencyOut, Grant, GrantChange, GrantOut, TenantIn, TenantOut

GRANTS = "/{agency:str}/tenants/{tenant_slug:str}/grants"


@get("/", opt=user(), summary="The agencies you belong to", operation_id="listAgencies")
async def list_agencies(db: NamedDependency[Database], caller: NamedDependency[Caller]) -> list[AgencyOut]:
    assert caller.user_id is not None
    async with db.control() as conn:
        found = await users.agencies_of(conn, caller.user_id)
    return [AgencyOut(id=a.id, slug=a.slug, name=a.name, role=a.role) for a in found]


@post("/", opt=user(), status_code=201, summary="Found an agency", operation_id="createAgency")
async def create_agency(
    data: JSONBody[AgencyIn], desk: NamedDependency[Desk], caller: NamedDependency[Caller]
) -> AgencyOut:
    await desk.limit("new-agency", str(caller.user_id), 10, throttle.HOUR)
    return await agencies.create(desk.db, data, caller.user_id)


@get("/{agency:str}", opt=of_agency("viewer"), summary="An agency", operation_id="readAgency")
async def read_agency(db: NamedDependency[Database], caller: NamedDependency[Caller]) -> AgencyOut:
    assert caller.agency_id is not None
    async with db.control() as conn:
        return await agencies.read(conn, caller.agency_id, caller.role)


@get("/{agency:str}/tenants", opt=of_agency("viewer"), summary="The agency's tenants", operation_id="listAgencyTenants")
async def list_agency_tenants(db: NamedDependency[Database], caller: NamedDependency[Caller]) -> list[TenantOut]:
    assert caller.agency_id is not None
    async with db.control() as conn:
        return await tenants.of_agency(conn, caller.agency_id, caller.role)


@post(
    "/{agency:str}/tenants", opt=of_agency("admin"), status_code=201, summary="Open a tenant of the agency",
    operation_id="createAgencyTenant",
)  # fmt: skip
async def create_agency_tenant(
    data: JSONBody[TenantIn], desk: NamedDependency[Desk], caller: NamedDependency[Caller]
) -> TenantOut:
    await desk.limit("new-tenant", str(caller.user_id), 200, throttle.HOUR)
    tenant_id = await tenants.create(desk.db, caller, data, agency_id=caller.agency_id)
    async with desk.db.control() as conn:
        return await tenants.read(conn, tenant_id, caller.role)


@get(GRANTS, opt=of_agency("viewer"), summary="Which plugins the tenant may use", operation_id="readGrants")
async def read_grants(
    tenant_slug: FromPath[str],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    registry: NamedDependency[Any],
) -> list[GrantOut]:
    return await _grants(db, caller, tenant_slug, registry)


@put(GRANTS, opt=of_agency("admin"), summary="Grant and withdraw several plugins", operation_id="changeGrants")
async def change_grants(
    tenant_slug: FromPath[str],
    data: JSONBody[list[Grant]],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    registry: NamedDependency[Any],
) -> list[GrantOut]:
    return await _grants(db, caller, tenant_slug, registry, data)


@put(
    GRANTS + "/{plugin:str}", opt=of_agency("admin"), summary="Grant or withdraw one plugin", operation_id="changeGrant"
)
async def change_grant(
    tenant_slug: FromPath[str],
    plugin: FromPath[str],
    data: JSONBody[GrantChange],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    registry: NamedDependency[Any],
) -> list[GrantOut]:
    return await _grants(db, caller, tenant_slug, registry, [Grant(plugin=plugin, granted=data.granted)])


async def _grants(
    db: Database, caller: Caller, tenant_slug: str, registry: Any, wanted: list[Grant] | None = None
) -> list[GrantOut]:
    """The tenant's grants, after changing the ``wanted`` ones."""
    assert caller.agency_id is not None
    async with db.control() as conn:
        tenant_id = await agencies.tenant_of(conn, caller.agency_id, tenant_slug)
    grants.check(wanted or [], registry.plugins)
    async with db.tenant(tenant_id) as conn:
        await grants.write(conn, caller, tenant_id, wanted or [])
        return await grants.read(conn, tenant_id, registry.plugins)


HANDLERS = [
    list_agencies, create_agency, read_agency, list_agency_tenants, create_agency_tenant, read_grants, change_grants,
    change_grant,
]  # fmt: skip
