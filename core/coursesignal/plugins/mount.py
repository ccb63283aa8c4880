"""Mount plugins' routes: each handler is given its context, and is 404 where the tenant does not have the plugin."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Router
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers.base import BaseRouteHandler

from coursesignal.auth.access import provide_caller
from coursesignal.errors import NotFound
from coursesignal.plugin import Routes, Tenant
from coursesignal.plugins.context import find_tenant, open_context
from coursesignal.plugins.host import Host
from coursesignal.plugins.loaded import LoadedPlugin
from coursesignal.plugins.notices import PluginNotices
from coursesignal.plugins.routing import GIVEN_IN, build_router
from coursesignal.plugins.shares import follow
from coursesignal.plugins.shell import DashboardShell
from coursesignal.plugins.supply import plugin_is_on
from coursesignal.web.clients import client_address, rate_key

Asking = ASGIConnection[Any, Any, Any, Any]
PUBLIC_CALLS, PUBLIC_WINDOW_S = 300, 60
"""How often one address may call the public area of one plugin."""


def plugin_routers(host: Host) -> list[Router]:
    """The routers of every loaded plugin."""
    return [
        build_router(plugin, routes, _dependencies(host, plugin, routes), _guards(host, plugin, routes))
        for plugin in host.registry.plugins
        for routes in plugin.declared.routes
    ]


def _dependencies(host: Host, plugin: LoadedPlugin, routes: Routes) -> dict[str, Provide]:
    async def ctx(request: Request[Any, Any, Any]) -> Any:
        return await open_context(host, _tenant(request).id, plugin.slug)

    def shell(request: Request[Any, Any, Any]) -> Any:
        return DashboardShell(host, provide_caller(request), _tenant(request), plugin.slug)

    def share(request: Request[Any, Any, Any]) -> Any:
        return request.scope["state"]["plugin_share"]

    def notices(request: Request[Any, Any, Any]) -> Any:
        tenant = request.scope["state"].get("plugin_tenant")
        return PluginNotices(host, plugin, tenant.id if tenant else None)

    given: dict[str, Any] = {"ctx": ctx, "shell": shell, "share": share, "notices": notices}
    return {
        name: Provide(given[name]) if name == "ctx" else Provide(given[name], sync_to_thread=False)
        for name, areas in GIVEN_IN.items()
        if routes.area in areas
    }


def _tenant(request: Request[Any, Any, Any]) -> Tenant:
    found = request.scope["state"].get("plugin_tenant") or provide_caller(request).tenant
    assert isinstance(found, Tenant)
    return found


def _guards(host: Host, plugin: LoadedPlugin, routes: Routes) -> list[Any]:
    """What stands before routes without a login: a limit per address, and whose they are."""
    find = {"public": _of_site, "open": _of_site_or_all, "shared": _of_link, "shared_page": _of_link}.get(routes.area)
    if find is None:
        return []

    async def known(connection: Asking, handler: BaseRouteHandler) -> None:
        """The tenant that is asked for, which has the plugin on; anything else is 404."""
        address = host.keys.keyed_hash(rate_key(client_address(connection, host.settings.trusted_proxies))).hex()
        await host.limiter.hit(host.database, f"public:{plugin.slug}:{address}", PUBLIC_CALLS, PUBLIC_WINDOW_S)
        tenant_id = await find(host, plugin, connection, address)
        if tenant_id is None:
            return
        async with host.database.control() as conn:
            tenant = await find_tenant(conn, tenant_id)
        if not await plugin_is_on(host, tenant.id, plugin.slug):
            raise NotFound
        connection.scope["state"]["plugin_tenant"] = tenant

    return [known]


async def _of_site(host: Host, plugin: LoadedPlugin, connection: Asking, address: str) -> UUID:
    """The tenant of ``?site=``."""
    key = connection.query_params.get("site", "")
    async with host.database.control() as conn:
        found: UUID | None = await conn.fetchval("select tenant_id from door_site($1)", key.replace("\x00", ""))
    if found is None:
        raise NotFound
    return found


async def _of_site_or_all(host: Host, plugin: LoadedPlugin, connection: Asking, address: str) -> UUID | None:
    """The tenant of ``?site=``; without, nobody's in particular."""
    return await _of_site(host, plugin, connection, address) if "site" in connection.query_params else None


async def _of_link(host: Host, plugin: LoadedPlugin, connection: Asking, address: str) -> UUID:
    """The tenant of the link in the path, which the handler is given as ``share``."""
    token = str(connection.path_params["share_token"])
    tenant_id, connection.scope["state"]["plugin_share"] = await follow(host, plugin.slug, token, address)
    return tenant_id
