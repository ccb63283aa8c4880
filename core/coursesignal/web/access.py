"""What a route demands of its caller, declared on every handler as ``opt=…``.

    public()                                  nobody needs to be known
    user()                                    somebody is logged in
    tenant("viewer", scope="analytics:read")  a member of the tenant with at least that role, or an API key with that scope
    agency("member")                          a member of the agency named in the path
    browser("viewer")                         a page: a cookie session, the tenant in the path; strangers are sent to /login

``coursesignal.auth.access`` enforces it.
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from coursesignal.errors import ConfigurationError, Refused

Role = Literal["viewer", "member", "admin", "owner"]
Kind = Literal["public", "user", "tenant", "agency", "browser"]
ROLES = {"viewer": 0, "member": 1, "admin": 2, "owner": 3}
"""Each may do what those before it may."""
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
    """A page of the tenant in the path parameter ``tenant_slug``, for a cookie session."""
    return {"access": Access(kind="browser", role=role, plugin=plugin)}


def check_routes(app: Litestar) -> None:
    """Raise ConfigurationError naming every route that declares no access."""
    missing = []
    for route in app.routes:
        if not isinstance(route, HTTPRoute) or route.path == SCHEMA_PATH or route.path.startswith(SCHEMA_PATH + "/"):
            continue
        for handler in route.route_handlers:
            methods = sorted(str(method) for method in handler.http_methods if str(method) != "OPTIONS")
            if methods and not isinstance(handler.opt.get("access"), Access):
                missing.append(f"{'/'.join(methods)} {route.path} ({handler})")
    if missing:
        raise ConfigurationError(
            "These routes declare no access class (opt=public(), tenant(…), …): " + "; ".join(missing)
        )
