"""The plugins of a tenant over HTTP."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from coursesignal.auth.access import tenant as of_tenant
from coursesignal.auth.callers import Caller, parts_of
from coursesignal.plugin import Tenant
from coursesignal.plugins.connections_page import ROUTES as CONNECTIONS_PAGE
from coursesignal.plugins.frame import ROUTES as FRAME
from coursesignal.plugins.home_page import ROUTES as HOME_PAGE
from coursesignal.plugins.host import Host
from coursesignal.plugins.lines import PluginLine, line_of, lines_of
from coursesignal.plugins.plugins_page import ROUTES as PLUGINS_PAGE
from coursesignal.plugins.service import Wish, change

TAGS = ["plugins"]


class PluginChange(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """What to change; settings replace the former ones, except secrets, which stay when they are left out."""

    enabled: bool | None = None
    settings: dict[str, Any] | None = None


@get(
    "/api/plugins",
    operation_id="list_plugins",
    summary="The plugins of this installation, as this tenant has them",
    tags=TAGS,
    opt=of_tenant("viewer", scope="plugins:read"),
)
async def list_plugins(request: Request[Any, Any, Any], tenant: NamedDependency[Tenant]) -> list[PluginLine]:
    return await lines_of(_host(request), tenant)


@get(
    "/api/plugins/{slug:str}",
    operation_id="get_plugin",
    summary="One plugin, as this tenant has it",
    tags=TAGS,
    opt=of_tenant("viewer", scope="plugins:read"),
)
async def get_plugin(
    request: Request[Any, Any, Any], tenant: NamedDependency[Tenant], slug: FromPath[str]
) -> PluginLine:
    return await line_of(_host(request), tenant, slug)


@put(
    "/api/plugins/{slug:str}",
    operation_id="change_plugin",
    summary="Turn a plugin on or off, or save its settings; they are tested before they are saved",
    tags=TAGS,
    opt=of_tenant("admin", scope="plugins:write"),
)
async def change_plugin(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
    slug: FromPath[str],
    data: JSONBody[PluginChange],
) -> PluginLine:
    host = _host(request)
    await change(host, caller, tenant, slug, Wish(data.enabled, data.settings))
    return await line_of(host, tenant, slug)


ROUTES = [list_plugins, get_plugin, change_plugin, *FRAME, *HOME_PAGE, *CONNECTIONS_PAGE, *PLUGINS_PAGE]


def _host(request: Request[Any, Any, Any]) -> Host:
    """The process's parts, left by the application."""
    host: Any = parts_of(request)
    found: Host = host
    return found
