"""One plugin's routes as Litestar routers: prefixed, tagged, with an access class on each, and checked when it is loaded."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from litestar import Litestar, Request, Response, Router
from litestar.di import Provide
from litestar.exceptions import LitestarException
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from coursesignal.auth import access
from coursesignal.errors import Busy, Conflict, PluginLoadError
from coursesignal.plugin import PluginError, Routes, Unavailable
from coursesignal.plugins.loaded import LoadedPlugin, SettingsUnreadable
from coursesignal.web.problems import Problem, on_refused, on_unexpected

log = logging.getLogger(__name__)

PREFIXES = {"api": "/api/{slug}", "dashboard": "/app/{{tenant_slug:str}}/{slug}", "public": "/api/public/{slug}"}
CORES_DEPENDENCIES = frozenset(
    {"caller", "connectors", "db", "exporters", "keys", "limiter", "mailer", "models", "registry", "settings", "tenant"}
)
"""What the application injects into core's handlers; a plugin is given ``ctx`` instead."""
CONNECTOR_PATHS = frozenset({"/connect", "/callback", "/sync", "/sync-status", "/status", "/disconnect"})
"""What core serves below /api/<slug> for a plugin with a connector."""
READING = frozenset({"GET", "HEAD"})


def check_routes(plugin: LoadedPlugin) -> None:
    """Build the plugin's routes once to see that they fit; raises PluginLoadError."""
    stubs = {"ctx": Provide(_no_ctx, sync_to_thread=False), "shell": Provide(_no_shell, sync_to_thread=False)}
    try:
        routers = [build_router(plugin, routes, stubs) for routes in plugin.declared.routes]
        for routes, router in zip(plugin.declared.routes, routers, strict=True):
            _check_handlers(plugin, routes, router)
        if routers and not plugin.bundled:  # a bundled one that cannot be built aborts the start anyway
            Litestar(routers, openapi_config=None)
    except (LitestarException, TypeError, ValueError, NameError) as error:
        mend = "Build it in a Litestar application of your own to see more."
        raise PluginLoadError(plugin.slug, f"its routes cannot be built: {error}", mend) from error


def _no_ctx() -> None:
    return None


def _no_shell() -> None:
    return None


def build_router(
    plugin: LoadedPlugin, routes: Routes, dependencies: Mapping[str, Provide], guards: Sequence[Any] = ()
) -> Router:
    """The router of one group of the plugin's routes."""
    router = Router(
        path=PREFIXES[routes.area].format(slug=plugin.slug),
        route_handlers=list(routes.handlers),
        dependencies=dict(dependencies),
        guards=list(guards),
        tags=[plugin.slug],
        exception_handlers={
            Unavailable: _on_unavailable,
            SettingsUnreadable: _on_unreadable(plugin),
            PluginError: _on_fault(plugin),
            Exception: _on_fault(plugin),
        },
    )
    for handler in _handlers(router):
        handler.opt = {**handler.opt, **_access(plugin, routes, handler), "plugin": plugin.slug}
        if isinstance(handler.operation_id, str) and not handler.operation_id.startswith(plugin.slug):
            handler.operation_id = f"{plugin.slug}_{handler.operation_id}"
    return router


def _handlers(router: Router) -> Iterator[HTTPRouteHandler]:
    """The router's own copies of its handlers, those that Litestar adds for OPTIONS left out."""
    for route in router.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                if {str(method) for method in handler.http_methods} != {"OPTIONS"}:
                    yield handler


def _access(plugin: LoadedPlugin, routes: Routes, handler: HTTPRouteHandler) -> dict[str, Any]:
    """Who may call a handler: reading needs ``role``, changing ``write_role``; keys need <slug>:read or :write."""
    reads = {str(method) for method in handler.http_methods} <= READING
    role = routes.role if reads else routes.write_role
    match routes.area:
        case "api":
            return access.tenant(role, scope=f"{plugin.slug}:{'read' if reads else 'write'}", plugin=plugin.slug)
        case "dashboard":
            return access.browser(role, plugin=plugin.slug)
        case "public":
            return access.public()


def _check_handlers(plugin: LoadedPlugin, routes: Routes, router: Router) -> None:
    """Refuse what is not HTTP, what reaches for core's parts, and what hides core's own routes."""
    prefix = f"/api/{plugin.slug}"
    for route in router.routes:
        if not isinstance(route, HTTPRoute):
            raise PluginLoadError(plugin.slug, f"its route {route.path} is not HTTP", "Offer HTTP handlers only.")
        if plugin.declared.connectors and route.path.removeprefix(prefix) in CONNECTOR_PATHS and routes.area == "api":
            raise PluginLoadError(plugin.slug, f"core itself serves {route.path}", "Give the handler another path.")
    for handler in _handlers(router):
        asked = set(inspect.signature(handler.fn).parameters)
        for name in sorted(asked & CORES_DEPENDENCIES):
            mend = f"Take it from ctx (ctx.tenant, ctx.db, ctx.settings …), or rename the parameter {name!r}."
            raise PluginLoadError(plugin.slug, f"its handler {handler.handler_name} asks for {name!r}", mend)
        if "shell" in asked and routes.area != "dashboard":
            mend = 'Move it to Routes(area="dashboard").'
            raise PluginLoadError(plugin.slug, f"its handler {handler.handler_name} asks for the shell", mend)


# -- what goes wrong ---------------------------------------------------------------------------------------------------

ExceptionHandler = Callable[[Request[Any, Any, Any], Any], Response[Problem]]


def _on_unavailable(request: Request[Any, Any, Any], error: Unavailable) -> Response[Problem]:
    """What the plugin needs is down: the caller may try again."""
    wait_s = int(error.retry_after.total_seconds()) if error.retry_after else 30
    return on_refused(request, Busy(str(error), retry_after_s=max(1, wait_s)))


def _on_unreadable(plugin: LoadedPlugin) -> ExceptionHandler:
    """The plugin is on and its settings are not filled in, or do not fit any more."""

    def on_unreadable(request: Request[Any, Any, Any], error: SettingsUnreadable) -> Response[Problem]:
        log.warning("%s", error)
        title = f"Fill in the settings of {plugin.manifest.name} first."
        return on_refused(request, Conflict(title, kind="plugin-not-set-up"))

    return on_unreadable


def _on_fault(plugin: LoadedPlugin) -> ExceptionHandler:
    """An error of the plugin's own: logged with its name, told to nobody."""

    def on_fault(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
        log.error("plugin.error plugin=%s what=%s %s: %s", plugin.slug, request.method, request.url.path, error)
        return on_unexpected(request, error)

    return on_fault
