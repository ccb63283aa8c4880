"""/api/connections: every connection of a tenant, of whatever platform, and what can be changed about one that stands."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from litestar import Router, get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody

from coursesignal.auth.access import tenant as tenant_access
from coursesignal.auth.callers import Caller
from coursesignal.connections import manage, status
from coursesignal.connections.given import provide_house
from coursesignal.connections.house import House
from coursesignal.connections.schemas import ConnectionDetail, ConnectionLine, LimitsChange, NewAddress, WebhookCheck
from coursesignal.plugin import Tenant

READ, CHANGE = "connections:read", "connections:write"


@get(
    "/",
    summary="Every connection of the tenant",
    operation_id="listConnections",
    opt=tenant_access("viewer", scope=READ),
)
async def list_connections(tenant: NamedDependency[Tenant], house: NamedDependency[House]) -> list[ConnectionLine]:
    return await status.listing(house, tenant)


@get(
    "/{connection_id:uuid}",
    summary="One connection with its journal and limits",
    operation_id="getConnection",
    opt=tenant_access("viewer", scope=READ),
)
async def get_connection(
    connection_id: FromPath[UUID], tenant: NamedDependency[Tenant], house: NamedDependency[House]
) -> ConnectionDetail:
    return await status.detail(house, tenant, connection_id)


@patch(
    "/{connection_id:uuid}",
    summary="Limit what a connection asks of its platform, and when",
    operation_id="changeConnection",
    opt=tenant_access("admin", scope=CHANGE),
)
async def change_connection(
    connection_id: FromPath[UUID],
    data: JSONBody[LimitsChange],
    tenant: NamedDependency[Tenant],
    caller: NamedDependency[Caller],
    house: NamedDependency[House],
) -> ConnectionDetail:
    await manage.set_limits(house, caller, tenant, connection_id, data)
    return await status.detail(house, tenant, connection_id)


@post(
    "/{connection_id:uuid}/new-address",
    status_code=200,
    summary="Give a connection another webhook address",
    operation_id="renewWebhookAddress",
    opt=tenant_access("admin", scope=CHANGE),
)
async def renew_address(
    connection_id: FromPath[UUID],
    data: JSONBody[NewAddress],
    tenant: NamedDependency[Tenant],
    caller: NamedDependency[Caller],
    house: NamedDependency[House],
) -> ConnectionDetail:
    await manage.new_address(house, caller, tenant, connection_id, timedelta(hours=data.keep_old_hours))
    return await status.detail(house, tenant, connection_id)


@post(
    "/{connection_id:uuid}/check-webhooks",
    status_code=200,
    summary="Whether webhooks that were set up by hand come",
    operation_id="checkWebhooks",
    opt=tenant_access("member", scope=CHANGE),
)
async def check_webhooks(
    connection_id: FromPath[UUID], tenant: NamedDependency[Tenant], house: NamedDependency[House]
) -> WebhookCheck:
    """Asks the platform too, where it tells."""
    return await manage.check_webhooks(house, tenant, connection_id)


MANAGE_ROUTES = [
    Router(
        path="/api/connections",
        route_handlers=[list_connections, get_connection, change_connection, renew_address, check_webhooks],
        tags=["connections"],
        dependencies={"house": Provide(provide_house, sync_to_thread=False)},
    )
]
