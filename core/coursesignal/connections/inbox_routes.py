"""/api/connections/inbox: the stored webhooks of a tenant, to look at and to process again."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, QueryParameter

from coursesignal.auth.access import tenant as tenant_access
from coursesignal.connections import inbox
from coursesignal.connections.given import provide_house
from coursesignal.connections.house import House
from coursesignal.connections.schemas import InboxDetail, InboxPage, InboxState, Replayed
from coursesignal.db.engine import Database
from coursesignal.errors import NotFound
from coursesignal.plugin import Tenant

Status = Annotated[InboxState | None, QueryParameter(description="Only webhooks in this state.")]
PlatformName = Annotated[str, QueryParameter(description="Only webhooks of this platform.")]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="1 to 200.")]
Cursor = Annotated[UUID | None, QueryParameter(description="nextCursor of the page before.")]


@get(
    "/",
    summary="Webhooks, newest first",
    operation_id="listInbox",
    opt=tenant_access("member", scope="connections:read"),
)
async def list_inbox(
    db: NamedDependency[Database],
    tenant: NamedDependency[Tenant],
    status: Status = None,
    platform: PlatformName = "",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> InboxPage:
    async with db.tenant(tenant.id) as conn:
        return await inbox.listing(conn, tenant.id, status=status or "", platform=platform, limit=limit, before=cursor)


@get(
    "/{inbox_id:uuid}",
    summary="One webhook with what was in it",
    operation_id="getInbox",
    opt=tenant_access("admin", scope="connections:read"),
)
async def get_inbox(
    inbox_id: FromPath[UUID], house: NamedDependency[House], tenant: NamedDependency[Tenant]
) -> InboxDetail:
    async with house.db.tenant(tenant.id) as conn:
        return await inbox.detail(conn, house, tenant.id, inbox_id)


@post(
    "/{inbox_id:uuid}/replay",
    status_code=202,
    summary="Process a webhook again",
    operation_id="replayInbox",
    opt=tenant_access("admin", scope="connections:write"),
)
async def replay_one(
    inbox_id: FromPath[UUID], db: NamedDependency[Database], tenant: NamedDependency[Tenant]
) -> Replayed:
    async with db.tenant(tenant.id) as conn:
        queued = await inbox.replay(conn, tenant.id, inbox_id=inbox_id)
    if not queued:
        raise NotFound
    return Replayed(queued=queued)


@post(
    "/replay",
    status_code=202,
    summary="Process every webhook of a state again",
    operation_id="replayQuarantined",
    opt=tenant_access("admin", scope="connections:write"),
)
async def replay_quarantined(
    db: NamedDependency[Database],
    tenant: NamedDependency[Tenant],
    status: Annotated[
        Literal["quarantined", "ignored", "done"],
        QueryParameter(description="Which ones; by default those in quarantine."),
    ] = "quarantined",
    platform: PlatformName = "",
) -> Replayed:
    async with db.tenant(tenant.id) as conn:
        return Replayed(queued=await inbox.replay(conn, tenant.id, status=status, platform=platform))


INBOX_ROUTES = [
    Router(
        path="/api/connections/inbox",
        route_handlers=[list_inbox, get_inbox, replay_one, replay_quarantined],
        tags=["connections"],
        dependencies={"house": Provide(provide_house, sync_to_thread=False)},
    )
]
