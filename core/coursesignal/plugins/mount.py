"""Mount plugins' routes: each handler is given its context, and is 404 where the tenant does not have the plugin."""

from __future__ import annotations

from typing import Any

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
from coursesignal.plugins.routing import build_router
from coursesignal.plugins.shell import DashboardShell
from coursesignal.plugins.supply import plugin_is_on
from coursesignal.web.clients import client_address, rate_key

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

    given = {"ctx": Provide(ctx)}
    return given | {"shell": Provide(shell, sync_to_thread=False)} if routes.area == "dashboard" else given


def _tenant(request: Request[Any, Any, Any]) -> Tenant:
    found = request.scope["state"].get("plugin_tenant") or provide_caller(request).tenant
    assert isinstance(found, Tenant)
    return found


def _guards(host: Host, plugin: LoadedPlugin, routes: Routes) -> list[Any]:
    if routes.area != "public":
        return []

    async def of_a_site(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """The tenant of ``?site=``; anything else is 404."""
        address = rate_key(client_address(connection, host.settings.trusted_proxies))
        bucket = f"public:{plugin.slug}:{host.keys.keyed_hash(address).hex()}"
        await host.limiter.hit(host.database, bucket, PUBLIC_CALLS, PUBLIC_WINDOW_S)
        key = connection.query_params.get("site", "")
        async with host.database.control() as conn:
            row = await conn.fetchrow("select tenant_id from door_site($1)", key.replace("\x00", ""))
            if row is None:
                raise NotFound
            tenant = await find_tenant(conn, row["tenant_id"])
        if not await plugin_is_on(host, tenant.id, plugin.slug):
            raise NotFound
        connection.scope["state"]["plugin_tenant"] = tenant

    return [of_a_site]
