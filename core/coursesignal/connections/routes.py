"""/api/{platform}/… for every connector plugin, served by core: connect, sync, status, disconnect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Router, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter
from litestar.routes import HTTPRoute

from coursesignal.auth.access import tenant as tenant_access
from coursesignal.auth.callers import Caller
from coursesignal.connections import connect as connecting
from coursesignal.connections import records, runs, status, switch
from coursesignal.connections.consent_routes import begin_consent, end_consent
from coursesignal.connections.forms import form_schema, read_form
from coursesignal.connections.given import operation, provide_house
from coursesignal.connections.house import House
from coursesignal.connections.inbox_routes import INBOX_ROUTES
from coursesignal.connections.manage_routes import MANAGE_ROUTES
from coursesignal.connections.schemas import (
    ConnectedAnswer,
    ConnectForm,
    ConnectionStatus,
    PlatformReconciliation,
    SyncStarted,
    SyncStatus,
    Tested,
)
from coursesignal.connections.webhook_routes import WEBHOOK_ROUTES
from coursesignal.plugin import Connector, ConsentConnector, Tenant

READ, CHANGE = "connections:read", "connections:write"
Platform = Connector[Any]
Which = Annotated[
    UUID | None,
    QueryParameter(name="connection", description="Which account, where several of one platform are connected."),
]
History = Annotated[
    Literal["recent", "all"],
    QueryParameter(description="How far back: what the last sync left and 30 days, or everything there is."),
]


def connection_routes(connectors: Mapping[str, Platform]) -> list[Router | HTTPRouteHandler]:
    """Every route about connections; each platform has its own under /api/<slug>."""
    routes: list[Router | HTTPRouteHandler] = [*WEBHOOK_ROUTES, *INBOX_ROUTES, *MANAGE_ROUTES]
    for connector in connectors.values():
        # One router for all methods of /connect: each router adds its own OPTIONS to a path.
        asking = CONSENT if isinstance(connector, ConsentConnector) else FORM
        routes += [_router(connector, (*asking, *OPEN)), _gated(connector)]
    return routes


def _router(connector: Platform, handlers: Sequence[HTTPRouteHandler]) -> Router:
    def given() -> Platform:
        return connector

    return Router(
        path=f"/api/{connector.slug}",
        route_handlers=list(handlers),
        tags=[connector.slug],
        dependencies={
            "house": Provide(provide_house, sync_to_thread=False),
            "connector": Provide(given, sync_to_thread=False),
        },
    )


def _gated(connector: Platform) -> Router:
    """The routes that are 404 for a tenant that does not have the plugin on."""
    router = _router(connector, GATED)
    for route in router.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            access = handler.opt.get("access")
            if access is not None:
                gated = msgspec.structs.replace(access, plugin=connector.slug)
                handler.opt = {**handler.opt, "access": gated, "plugin": connector.slug}
    return router


@get(
    "/connect",
    summary="How to connect this platform",
    operation_id=operation("connectForm"),
    opt=tenant_access("viewer", scope=READ),
)
async def connect_form(
    tenant: NamedDependency[Tenant], house: NamedDependency[House], connector: NamedDependency[Platform]
) -> ConnectForm:
    async with house.db.tenant(tenant.id) as conn:
        await switch.require_granted(conn, tenant.id, connector.slug)
    return ConnectForm(
        kind="credentials",
        name=connector.name,
        schema=form_schema(connector.credentials),
        help=connector.help,
        webhook_help=connector.webhook_help,
    )


@post(
    "/connect",
    status_code=200,
    summary="Connect this platform and start the first sync",
    operation_id=operation("connect"),
    opt=tenant_access("admin", scope=CHANGE),
)
async def connect(
    data: JSONBody[dict[str, Any]],
    tenant: NamedDependency[Tenant],
    caller: NamedDependency[Caller],
    house: NamedDependency[House],
    connector: NamedDependency[Platform],
    history: History = "recent",
) -> ConnectedAnswer:
    async with house.db.tenant(tenant.id) as conn:
        await switch.require_granted(conn, tenant.id, connector.slug)
    credentials = read_form(connector.credentials, data)
    return await connecting.connect(house, caller, tenant, connector, credentials, whole_history=history == "all")


@post(
    "/test",
    status_code=200,
    summary="Try credentials without storing them",
    operation_id=operation("test"),
    opt=tenant_access("admin", scope=CHANGE),
)
async def try_credentials(
    data: JSONBody[dict[str, Any]],
    tenant: NamedDependency[Tenant],
    house: NamedDependency[House],
    connector: NamedDependency[Platform],
) -> Tested:
    async with house.db.tenant(tenant.id) as conn:
        await switch.require_granted(conn, tenant.id, connector.slug)
    return Tested(account=await connecting.test(house, tenant, connector, read_form(connector.credentials, data)))


@post(
    "/sync",
    status_code=202,
    summary="Fetch what is new from this platform",
    operation_id=operation("sync"),
    opt=tenant_access("member", scope=CHANGE),
)
async def start_sync(
    tenant: NamedDependency[Tenant],
    house: NamedDependency[House],
    connector: NamedDependency[Platform],
    connection: Which = None,
    history: History = "recent",
) -> SyncStarted:
    async with house.db.tenant(tenant.id) as conn:
        row = await records.current(conn, tenant.id, connector.slug, connection)
        run_id = await runs.start(conn, tenant.id, row.id, whole_history=history == "all")
    return SyncStarted(sync_run_id=run_id)


@get(
    "/sync-status",
    summary="How far the newest sync is",
    operation_id=operation("syncStatus"),
    opt=tenant_access("viewer", scope=READ),
)
async def get_sync_status(
    tenant: NamedDependency[Tenant],
    house: NamedDependency[House],
    connector: NamedDependency[Platform],
    connection: Which = None,
) -> SyncStatus:
    async with house.db.tenant(tenant.id) as conn:
        return await status.sync_status(conn, tenant.id, connector.slug, connection)


@get(
    "/reconciliation",
    summary="Our totals against the platform's",
    operation_id=operation("reconciliation"),
    opt=tenant_access("viewer", scope=READ),
)
async def get_reconciliation(
    tenant: NamedDependency[Tenant],
    house: NamedDependency[House],
    connector: NamedDependency[Platform],
    connection: Which = None,
) -> PlatformReconciliation:
    return await status.reconciliation(house, tenant, connector.slug, connection)


@get(
    "/status",
    summary="How the connection fares",
    operation_id=operation("connectionStatus"),
    opt=tenant_access("viewer", scope=READ),
)
async def get_status(
    tenant: NamedDependency[Tenant],
    house: NamedDependency[House],
    connector: NamedDependency[Platform],
    connection: Which = None,
) -> ConnectionStatus:
    return await status.connection_status(house, tenant, connector.slug, connection)


@delete(
    "/disconnect",
    summary="Disconnect this platform; its history stays",
    operation_id=operation("disconnect"),
    opt=tenant_access("admin", scope=CHANGE),
)
async def disconnect(
    tenant: NamedDependency[Tenant],
    caller: NamedDependency[Caller],
    house: NamedDependency[House],
    connector: NamedDependency[Platform],
    connection: Which = None,
) -> None:
    await connecting.disconnect(house, caller, tenant, connector, connection)


FORM = (connect_form,)
CONSENT = (begin_consent, end_consent)
OPEN = (connect, try_credentials, get_status)
"""Need the plugin only granted: connecting is what turns it on."""
GATED = (start_sync, get_sync_status, get_reconciliation, disconnect)
