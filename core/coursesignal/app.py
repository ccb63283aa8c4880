"""The web application: Litestar with every area's and plugin's routes, behind the tracking endpoint's own ASGI layer."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, cast

from litestar import Litestar, Request
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import ScalarRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.types import ASGIApp, ControllerRouterHandler

from coursesignal import __version__
from coursesignal.analytics.goal_routes import ROUTES as GOALS
from coursesignal.analytics.insight_routes import ROUTES as INSIGHTS
from coursesignal.analytics.money_routes import ROUTES as MONEY
from coursesignal.analytics.routes import ROUTES as ANALYTICS
from coursesignal.analytics.self_reported_routes import ROUTES as SELF_REPORTED
from coursesignal.auth.access import check_routes, guard, provide_caller, provide_tenant
from coursesignal.auth.pages import ROUTES as PAGES
from coursesignal.auth.routes import ROUTES as AUTH
from coursesignal.commerce.routes import ROUTES as PURCHASES
from coursesignal.connections.routes import connection_routes
from coursesignal.identity.routes import ROUTES as PEOPLE
from coursesignal.jobs.routes import ROUTES as JOBS
from coursesignal.plugin import AttributionModel, ChannelRule, Exporter
from coursesignal.plugins.mount import plugin_routers
from coursesignal.plugins.routes import ROUTES as PLUGINS
from coursesignal.plugins.supply import channel_rules_of, exporters_of, models_of
from coursesignal.privacy.routes import ROUTES as PRIVACY
from coursesignal.runtime import Runtime
from coursesignal.settings import load
from coursesignal.tenancy.routes import ROUTES as TENANCY
from coursesignal.tracking.collect import CollectApp
from coursesignal.tracking.routes import ROUTES as TRACKING
from coursesignal.tracking.rule_routes import ROUTES as CHANNEL_RULES
from coursesignal.web.described import describe_refusals
from coursesignal.web.headers import security_headers
from coursesignal.web.health import ROUTES as HEALTH
from coursesignal.web.metrics import ROUTES as METRICS
from coursesignal.web.metrics import Measured
from coursesignal.web.problems import EXCEPTION_HANDLERS

MAX_BODY_BYTES = 1024 * 1024


def _value(value: object) -> Provide:
    """Hand the same object to every handler that asks for it."""

    def given() -> Any:
        return value

    return Provide(given, sync_to_thread=False, use_cache=True)


def _dependencies(runtime: Runtime) -> dict[str, Provide]:
    values: Mapping[str, object] = {
        "db": runtime.database,
        "settings": runtime.settings,
        "keys": runtime.keys,
        "limiter": runtime.limiter,
        "mailer": runtime.mailer,
        "registry": runtime.registry,
        "connectors": runtime.registry.connectors,
    }

    async def models(request: Request[Any, Any, Any]) -> Mapping[str, AttributionModel]:
        return await models_of(runtime, provide_tenant(request).id)

    async def exporters(request: Request[Any, Any, Any]) -> Mapping[str, Exporter]:
        return await exporters_of(runtime, provide_tenant(request).id)

    rules_of = channel_rules_of(runtime)

    async def plugin_channel_rules(request: Request[Any, Any, Any]) -> Sequence[ChannelRule]:
        return await rules_of(provide_tenant(request).id)

    return {
        "models": Provide(models),
        "exporters": Provide(exporters),
        "plugin_channel_rules": Provide(plugin_channel_rules),
        **{name: _value(value) for name, value in values.items()},
        "caller": Provide(provide_caller, sync_to_thread=False),
        "tenant": Provide(provide_tenant, sync_to_thread=False),
    }


def _lifespan(runtime: Runtime) -> Callable[[Litestar], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def connected(app: Litestar) -> AsyncIterator[None]:
        await runtime.start()
        try:
            yield
        finally:
            await runtime.stop()

    return connected


def create_litestar(runtime: Runtime, *, manage_runtime: bool = True) -> Litestar:
    """The Litestar application alone; ``manage_runtime`` starts and stops the runtime with it."""
    routes: list[ControllerRouterHandler] = []
    areas = (
        AUTH, PAGES, TENANCY, TRACKING, CHANNEL_RULES, ANALYTICS, INSIGHTS, MONEY, GOALS, SELF_REPORTED, PEOPLE, PURCHASES,
        PRIVACY, JOBS, PLUGINS, HEALTH, METRICS,
    )  # fmt: skip
    for area in areas:
        routes.extend(area)
    app = Litestar(
        route_handlers=[*routes, *connection_routes(runtime.registry.connectors), *plugin_routers(runtime)],
        dependencies=_dependencies(runtime),
        guards=[guard],
        middleware=[Measured()],
        before_send=[security_headers],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=[_lifespan(runtime)] if manage_runtime else [],
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=_openapi(runtime),
        debug=False,
    )
    app.state.runtime = runtime
    check_routes(app)
    describe_refusals(app)
    return app


def create_app(runtime: Runtime, *, manage_runtime: bool = True) -> ASGIApp:
    """The whole web application: tracking calls are answered before Litestar's layers, the rest inside."""
    inner = create_litestar(runtime, manage_runtime=manage_runtime)
    outer = CollectApp(inner, runtime.database, runtime.keys, runtime.settings)
    return cast(ASGIApp, outer)  # it asks of ``receive`` that it is a coroutine, as every server's is


def from_environment() -> ASGIApp:
    """The application for an ASGI server, set up from the process environment."""
    return create_app(Runtime.prepare(load(os.environ)))


def _openapi(runtime: Runtime) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="CourseSignal",
        version=__version__,
        path="/api/schema",
        render_plugins=[ScalarRenderPlugin()],
        tags=[Tag(name=plugin.slug, description=plugin.summary) for plugin in runtime.registry.plugins],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", description="Access token or API key")
            }
        ),
    )
