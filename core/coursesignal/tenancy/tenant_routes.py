"""Tenants and their audit log."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from coursesignal.auth import throttle, users
from coursesignal.auth.access import tenant as of_tenant
from coursesignal.auth.access import user
from coursesignal.auth.callers import Caller
from coursesignal.auth.desk import Desk
from coursesignal.db.engine import Database
from coursesignal.plugin import Tenant
from coursesignal.tenancy import audit, tenants
from coursesignal.tenancy.audit import AuditPage
from coursesignal.tenancy.schemas import TenantChange, TenantIn, TenantOut


@get("/", opt=user(), summary="The tenants you belong to", operation_id="listTenants")
async def list_tenants(db: NamedDependency[Database], caller: NamedDependency[Caller]) -> list[TenantOut]:
    assert caller.user_id is not None
    async with db.control() as conn:
        return await tenants.of_memberships(conn, await users.tenants_of(conn, caller.user_id))


@post("/", opt=user(), status_code=201, summary="Open a tenant of your own", operation_id="createTenant")
async def create_tenant(
    data: JSONBody[TenantIn], desk: NamedDependency[Desk], caller: NamedDependency[Caller]
) -> TenantOut:
    await desk.limit("new-tenant", str(caller.user_id), 20, throttle.HOUR)
    tenant_id = await tenants.create(desk.db, caller, data, owner_id=caller.user_id)
    async with desk.db.control() as conn:
        return await tenants.read(conn, tenant_id, "owner")


@get(
    "/{tenant_slug:str}", opt=of_tenant("viewer", scope="tenant:read"), summary="A tenant and its settings",
    operation_id="readTenant",
)  # fmt: skip
async def read_tenant(
    db: NamedDependency[Database], caller: NamedDependency[Caller], tenant: NamedDependency[Tenant]
) -> TenantOut:
    async with db.control() as conn:
        return await tenants.read(conn, tenant.id, _role(caller))


@patch(
    "/{tenant_slug:str}", opt=of_tenant("admin", scope="tenant:write"), summary="Change a tenant's settings",
    operation_id="changeTenant",
)  # fmt: skip
async def change_tenant(
    data: JSONBody[TenantChange],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
    models: NamedDependency[Any],
) -> TenantOut:
    async with db.tenant(tenant.id) as conn:
        await tenants.change(conn, caller, tenant.id, data, models)
        return await tenants.read(conn, tenant.id, _role(caller))


@get("/", opt=of_tenant("admin"), summary="Who did what, newest first", operation_id="readAudit")
async def read_audit(
    db: NamedDependency[Database],
    tenant: NamedDependency[Tenant],
    cursor: Annotated[str, QueryParameter(max_length=500, description="nextCursor of the page before")] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
) -> AuditPage:
    async with db.tenant(tenant.id) as conn:
        return await audit.page(conn, tenant.id, cursor, limit)


def _role(caller: Caller) -> str:
    return "" if caller.api_key_id else caller.role


HANDLERS = [list_tenants, create_tenant, read_tenant, change_tenant]
