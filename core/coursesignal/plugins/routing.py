"""One plugin's routes as Litestar routers: prefixed, tagged, with an access class on each, and checked when it is loaded."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from litestar import Litestar, Request, Response, Router
from litestar.datastructures import ResponseHeader
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

PREFIXES = {
    "api": "/api/{slug}",
    "dashboard": "/app/{{tenant_slug:str}}/{slug}",
    "public": "/api/public/{slug}",
    "shared": "/api/public/{slug}/{{share_token:str}}",
    "shared_page": "/share/{slug}/{{share_token:str}}",
    "open": "/api/public",
}
UNLISTED = [
    ResponseHeader(name="x-robots-tag", value="noindex, nofollow", documentation_only=False),
    ResponseHeader(name="referrer-policy", value="no-referrer", documentation_only=False),
]
"""What a shared link leads to is for its holders: not for search engines, and no other site learns of it."""
CORES_DEPENDENCIES = frozenset(
    {"caller", "connectors", "db", "exporters", "keys", "limiter", "mailer", "models", "registry", "settings", "tenant"}
)
"""What the application injects into core's handlers; a plugin is given ``ctx`` instead."""
CONNECTOR_PATHS = frozenset({"/connect", "/callback", "/sync", "/sync-status", "/status", "/disconnect"})
"""What core serves below /api/<slug> for a plugin with a connector."""
READING = frozenset({"GET", "HEAD"})
GIVEN_IN = {
    "shell": ("dashboard",),
    "share": ("shared", "shared_page"),
    "notices": ("open",),
    "ctx": ("api", "dashboard", "public", "shared", "shared_page"),
}
"""What handlers may ask for, and the areas that have it."""
OPEN_PATH = re.compile(r"/api/public/[a-z][a-z0-9-]*")


def check_routes(plugin: LoadedPlugin) -> None:
    """Build the plugin's routes once to see that they fit; raises PluginLoadError."""
    stubs = {name: Provide(_nothing(), sync_to_thread=False) for name in GIVEN_IN}
    try:
        routers = [build_router(plugin, routes, stubs) for routes in plugin.declared.routes]
        for routes, router in zip(plugin.declared.routes, routers, strict=True):
            _check_handlers(plugin, routes, router)
        if routers and not plugin.bundled:  # a bundled one that cannot be built aborts the start anyway
            Litestar(routers, openapi_config=None)
    except (LitestarException, TypeError, ValueError, NameError) as error:
        mend = "Build it in a Litestar application of your own to see more."
        raise PluginLoadError(plugin.slug, f"its routes cannot be built: {error}", mend) from error


def _nothing() -> Callable[[], None]:
    """A stand-in of its own for each name: Litestar takes one provider for one."""
    return lambda: None


def build_router(
    plugin: LoadedPlugin, routes: Routes, dependencies: Mapping[str, Provide], guards: Sequence[Any] = ()
) -> Router:
    """The router of one group of the plugin's routes."""
    router = Router(
        path=PREFIXES[routes.area].format(slug=plugin.slug),
        route_handlers=list(routes.handlers),
        dependencies=dict(dependencies),
        guards=list(guards),
        response_headers=UNLISTED if routes.area in {"shared", "shared_page"} else (),
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
        case "public" | "shared" | "shared_page" | "open":
            return access.public()


def _check_handlers(plugin: LoadedPlugin, routes: Routes, router: Router) -> None:
    """Refuse what is not HTTP, what reaches for core's parts, and what hides core's own routes."""
    prefix = f"/api/{plugin.slug}"
    for route in router.routes:
        if not isinstance(route, HTTPRoute):
            raise PluginLoadError(plugin.slug, f"its route {route.path} is not HTTP", "Offer HTTP handlers only.")
        if routes.area == "open" and not OPEN_PATH.fullmatch(route.path):
            raise PluginLoadError(
                plugin.slug, f"its open route {route.path} is not one word", "Use /name, without more."
            )
        if plugin.declared.connectors and route.path.removeprefix(prefix) in CONNECTOR_PATHS and routes.area == "api":
            raise PluginLoadError(plugin.slug, f"core itself serves {route.path}", "Give the handler another path.")
    for handler in _handlers(router):
        asked = set(inspect.signature(handler.fn).parameters)
        for name in sorted(asked & CORES_DEPENDENCIES):
            mend = f"Take it from ctx (ctx.tenant, ctx.db, ctx.settings …), or rename the parameter {name!r}."
            raise PluginLoadError(plugin.slug, f"its handler {handler.handler_name} asks for {name!r}", mend)
        for name, areas in GIVEN_IN.items():
            if name in asked and routes.area not in areas:
                mend = f"Move it to Routes(area={areas[0]!r})."
                raise PluginLoadError(plugin.slug, f"its handler {handler.handler_name} asks for the {name}", mend)


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
