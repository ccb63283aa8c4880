"""Enforces what routes demand (``coursesignal.web.access``): one guard on the whole application.

The tenant comes from the API key, else from the path, else from ``X-Tenant`` (slug or id), else it is the user's only one.
Membership is read on every request. Someone else's tenant is answered exactly like an absent one.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from litestar import Request
from litestar.handlers.base import BaseRouteHandler

from coursesignal.auth.callers import (
    Asking,
    Caller,
    Membership,
    Parts,
    authenticate,
    membership_of,
    memberships,
    parts_of,
    plain,
)
from coursesignal.errors import BadRequest, ConfigurationError, Forbidden, NotFound, Unauthenticated
from coursesignal.plugin import Tenant
from coursesignal.web.access import (
    ROLES,
    SCHEMA_PATH,
    Access,
    LoginNeeded,
    Role,
    agency,
    browser,
    check_routes,
    public,
    tenant,
    user,
)

__all__ = [
    "Access",
    "Role",
    "agency",
    "browser",
    "check_routes",
    "guard",
    "provide_caller",
    "provide_tenant",
    "public",
    "tenant",
    "user",
]


async def guard(connection: Asking, handler: BaseRouteHandler) -> None:
    """Let the request pass or refuse it; leaves the Caller for :func:`provide_caller`."""
    access = handler.opt.get("access")
    if access is None:
        if connection.url.path.startswith(SCHEMA_PATH) or connection.scope.get("method") == "OPTIONS":
            return
        raise ConfigurationError(f"{connection.url.path} declares no access class")
    connection.scope["state"]["caller"] = await _admit(connection, access)


async def _admit(connection: Asking, access: Access) -> Caller:
    if access.kind == "public":
        return Caller()
    parts = parts_of(connection)
    caller = await authenticate(connection, parts, cookies=True)
    if caller is None:
        raise LoginNeeded(_where(connection)) if access.kind == "browser" else Unauthenticated
    if access.kind == "user":
        return _person(caller)
    if access.kind == "agency":
        return await _of_agency(connection, parts, _person(caller), access.role)
    caller = await _of_tenant(connection, parts, caller)
    await _require(parts, caller, access)
    return caller


def _where(connection: Asking) -> str:
    query = connection.url.query
    return f"{connection.url.path}?{query}" if query else connection.url.path


def _person(caller: Caller) -> Caller:
    if caller.user_id is None:
        raise Forbidden("An API key cannot do this; log in as a user.")
    return caller


async def _of_tenant(connection: Asking, parts: Parts, caller: Caller) -> Caller:
    """The caller as a member of the tenant the request is for."""
    asked = str(connection.path_params.get("tenant_slug") or connection.headers.get("x-tenant") or "")
    if caller.tenant is not None:  # an API key knows its tenant
        if asked and asked not in {caller.tenant.slug, str(caller.tenant.id)}:
            raise NotFound
        return caller
    assert caller.user_id is not None
    async with parts.database.control() as conn:
        found = await (membership_of(conn, caller.user_id, asked) if asked else _only(conn, caller.user_id))
    if found is None:
        raise NotFound
    return msgspec.structs.replace(caller, tenant=found.tenant, role=found.role)


async def _only(conn: asyncpg.Connection, user_id: UUID) -> Membership:
    """The membership of who has one; raises BadRequest saying what to send, NotFound saying what to do."""
    found = await memberships(conn, user_id)
    if len(found) > 1:
        slugs = ", ".join(membership.tenant.slug for membership in found[:10])
        title = "You belong to several tenants: say which with the header X-Tenant (its slug or id)."
        raise BadRequest(title, detail=f"Yours are: {slugs}.", kind="tenant-needed")
    if not found:
        raise NotFound("You belong to no tenant yet.", detail="Create one with POST /api/tenants.", kind="no-tenant")
    return found[0]


async def _require(parts: Parts, caller: Caller, access: Access) -> None:
    """The plugin is on, and role or scope suffices; a plugin that is off is answered like no route at all."""
    assert caller.tenant is not None
    if access.plugin is not None and not await parts.plugin_is_on(caller.tenant.id, access.plugin):
        raise NotFound
    if caller.api_key_id is None:
        _require_role(caller.role, access.role)
    elif access.scope is None:
        raise Forbidden("An API key cannot do this; log in as a user.")
    elif access.scope not in caller.scopes:
        raise Forbidden(f"This API key lacks the scope {access.scope}.")


def _require_role(role: str, least: Role) -> None:
    if ROLES[role] < ROLES[least]:
        raise Forbidden(f"This needs the role {least}; yours is {role}.")


async def _of_agency(connection: Asking, parts: Parts, caller: Caller, least: Role) -> Caller:
    """The caller as a member of the agency in the path."""
    async with parts.database.control() as conn:
        row = await conn.fetchrow(
            "select a.id, m.role from agencies a join memberships m on m.agency_id = a.id "
            "where a.slug = $1 and m.user_id = $2",
            plain(str(connection.path_params.get("agency", ""))), caller.user_id,
        )  # fmt: skip
    if row is None:
        raise NotFound
    _require_role(row["role"], least)
    return msgspec.structs.replace(caller, agency_id=row["id"], role=row["role"])


def provide_caller(request: Request[Any, Any, Any]) -> Caller:
    """Who passed the guard."""
    caller = request.scope["state"]["caller"]
    assert isinstance(caller, Caller)
    return caller


def provide_tenant(request: Request[Any, Any, Any]) -> Tenant:
    """The tenant the caller acts for; only on routes whose access names one."""
    found = provide_caller(request).tenant
    assert found is not None, "a route without a tenant asked for one"
    return found
