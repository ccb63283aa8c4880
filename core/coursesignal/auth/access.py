"""What a route demands of its caller, declared on every handler as ``opt=…`` and enforced by one guard.

    public()                                nobody needs to be known
    user()                                  somebody is logged in
    tenant("viewer", scope="analytics:read")  a member of the tenant with at least that role, or an API key with that scope
    agency("member")                        a member of the agency named in the path
    browser("viewer")                       a page: a cookie session, the tenant in the path; strangers are sent to /login

The tenant comes from the API key, else from the path, else from ``X-Tenant`` (slug or id), else it is the user's only one.
Membership is read on every request. Someone else's tenant is answered exactly like an absent one.
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote

import msgspec
from litestar import Litestar, Request
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.routes import HTTPRoute

from coursesignal.auth.callers import ROLES, Caller, Parts, authenticate, membership_of, only_membership, parts_of
from coursesignal.errors import BadRequest, ConfigurationError, Forbidden, NotFound, Refused, Unauthenticated
from coursesignal.plugin import Tenant

Role = Literal["viewer", "member", "admin", "owner"]
Kind = Literal["public", "user", "tenant", "agency", "browser"]
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SCHEMA_PATH = "/api/schema"


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """One route's demand."""

    kind: Kind
    role: Role = "viewer"
    scope: str | None = None
    """What an API key needs; None refuses keys."""
    plugin: str | None = None
    """The plugin that must be on for the tenant."""


class LoginNeeded(Refused):
    """A page was asked for by nobody; they are sent to log in and come back."""

    status = 401
    default_kind = "login-needed"
    default_title = "Log in to see this page."

    def __init__(self, path: str) -> None:
        super().__init__()
        self.location = f"/login?next={quote(path, safe='/')}"


def public() -> dict[str, Any]:
    """Anybody may call."""
    return {"access": Access(kind="public")}


def user() -> dict[str, Any]:
    """Somebody who is logged in may call; API keys may not."""
    return {"access": Access(kind="user")}


def tenant(role: Role, scope: str | None = None, plugin: str | None = None) -> dict[str, Any]:
    """A member of the tenant with at least ``role``, or an API key with ``scope``."""
    return {"access": Access(kind="tenant", role=role, scope=scope, plugin=plugin)}


def agency(role: Role) -> dict[str, Any]:
    """A member of the agency in the path parameter ``agency`` with at least ``role``."""
    return {"access": Access(kind="agency", role=role)}


def browser(role: Role = "viewer", plugin: str | None = None) -> dict[str, Any]:
    """A page of the tenant in the path parameter ``tenant``, for a cookie session."""
    return {"access": Access(kind="browser", role=role, plugin=plugin)}


def check_routes(app: Litestar) -> None:
    """Raise ConfigurationError naming every route that declares no access."""
    missing = []
    for route in app.routes:
        if isinstance(route, HTTPRoute) and not route.path.startswith(SCHEMA_PATH):
            for handler in route.route_handlers:
                methods = sorted(str(method) for method in handler.http_methods if str(method) != "OPTIONS")
                if methods and not isinstance(handler.opt.get("access"), Access):
                    missing.append(f"{'/'.join(methods)} {route.path} ({handler})")
    if missing:
        raise ConfigurationError("These routes declare no access class (opt=public(), tenant(…), …): " + "; ".join(missing))


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let the request pass or refuse it; leaves the Caller for :func:`provide_caller`."""
    access = handler.opt.get("access")
    if access is None:
        if connection.url.path.startswith(SCHEMA_PATH) or connection.scope.get("method") == "OPTIONS":
            return
        raise ConfigurationError(f"{connection.url.path} declares no access class")
    connection.scope["state"]["caller"] = await _admit(connection, access)


async def _admit(connection: ASGIConnection[Any, Any, Any, Any], access: Access) -> Caller:
    if access.kind == "public":
        return Caller()
    parts = parts_of(connection)
    caller = await authenticate(connection, parts, cookies=access.kind == "browser" or _cookie_allowed(connection))
    if caller is None:
        raise LoginNeeded(connection.url.path) if access.kind == "browser" else Unauthenticated
    if access.kind == "user":
        return _person(caller)
    if access.kind == "agency":
        return await _of_agency(connection, parts, caller, access)
    caller = await _of_tenant(connection, parts, caller)
    await _require(connection, parts, caller, access)
    return caller


def _cookie_allowed(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """A page's own scripts may read the API by cookie; what changes something also needs the CSRF token, checked with the cookie."""
    return connection.headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}


def _person(caller: Caller) -> Caller:
    if caller.user_id is None:
        raise Forbidden("An API key cannot do this; log in as a user.")
    return caller


async def _of_tenant(connection: ASGIConnection[Any, Any, Any, Any], parts: Parts, caller: Caller) -> Caller:
    """The caller as a member of the tenant the request is for."""
    asked = connection.path_params.get("tenant") or connection.headers.get("x-tenant")
    if caller.tenant is not None:  # an API key knows its tenant
        if asked and asked not in {caller.tenant.slug, str(caller.tenant.id)}:
            raise NotFound
        return caller
    assert caller.user_id is not None
    async with parts.database.control() as conn:
        if asked:
            found = await membership_of(conn, caller.user_id, str(asked))
            if found is None:
                raise NotFound
        else:
            found, several = await only_membership(conn, caller.user_id)
            if several:
                raise BadRequest("You belong to several tenants: say which with the header X-Tenant (its slug or id).")
            if found is None:
                raise NotFound("You belong to no tenant yet.", detail="Create one with POST /api/tenants.")
    return msgspec.structs.replace(caller, tenant=found.tenant, role=found.role)


async def _require(connection: ASGIConnection[Any, Any, Any, Any], parts: Parts, caller: Caller, access: Access) -> None:
    """The plugin is on, and role or scope suffices; a plugin that is off is answered like no route at all."""
    assert caller.tenant is not None
    plugin = access.plugin
    if plugin is not None and not await parts.plugin_is_on(caller.tenant.id, plugin):
        raise NotFound
    if caller.api_key_id is not None:
        if access.scope is None:
            raise Forbidden("An API key cannot do this; log in as a user.")
        if access.scope not in caller.scopes:
            raise Forbidden(f"This API key lacks the scope {access.scope}.")
    elif ROLES[caller.role] < ROLES[access.role]:
        raise Forbidden(f"This needs the role {access.role}; yours is {caller.role}.")


async def _of_agency(
    connection: ASGIConnection[Any, Any, Any, Any], parts: Parts, caller: Caller, access: Access
) -> Caller:
    _person(caller)
    async with parts.database.control() as conn:
        row = await conn.fetchrow(
            "select a.id, m.role from agencies a join memberships m on m.agency_id = a.id "
            "where a.slug = $1 and m.user_id = $2",
            str(connection.path_params.get("agency", "")), caller.user_id,
        )  # fmt: skip
    if row is None:
        raise NotFound
    if ROLES[row["role"]] < ROLES[access.role]:
        raise Forbidden(f"This needs the role {access.role}; yours is {row['role']}.")
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
