"""A tenant's API keys."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from coursesignal.auth.access import tenant as of_tenant
from coursesignal.auth.callers import Caller
from coursesignal.db.engine import Database
from coursesignal.plugin import Tenant
from coursesignal.tenancy import api_keys
from coursesignal.tenancy.schemas import ApiKeyIn, ApiKeyOut, NewApiKey
from coursesignal.tenancy.scopes import check_scopes, known_scopes


@get("/", opt=of_tenant("admin"), summary="The keys that work", operation_id="listApiKeys")
async def list_keys(db: NamedDependency[Database], tenant: NamedDependency[Tenant]) -> list[ApiKeyOut]:
    async with db.tenant(tenant.id):
        return await api_keys.list_keys(tenant.id)


@get("/scopes", opt=of_tenant("admin"), summary="What a key can be allowed", operation_id="listScopes")
async def list_scopes(registry: NamedDependency[Any]) -> list[str]:
    return known_scopes(registry.plugins)


@post(
    "/",
    opt=of_tenant("admin"),
    status_code=201,
    summary="Make a key; it is shown this once",
    operation_id="createApiKey",
)
async def create_key(
    data: JSONBody[ApiKeyIn],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
    registry: NamedDependency[Any],
) -> NewApiKey:
    scopes = check_scopes(data.scopes, registry.plugins)
    async with db.tenant(tenant.id) as conn:
        return await api_keys.create(conn, caller, tenant.id, data.name, scopes)


@delete("/{key_id:uuid}", opt=of_tenant("admin"), summary="End a key at once", operation_id="revokeApiKey")
async def revoke_key(
    key_id: FromPath[UUID],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> None:
    async with db.tenant(tenant.id) as conn:
        await api_keys.revoke(conn, caller, tenant.id, key_id)


HANDLERS = [list_keys, list_scopes, create_key, revoke_key]
