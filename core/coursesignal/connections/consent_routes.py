"""Connecting through the platform's own consent page: the way there, and the way back."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from coursesignal.auth.access import public
from coursesignal.auth.access import tenant as tenant_access
from coursesignal.auth.callers import ROLES, Caller, authenticate, membership_of, parts_of
from coursesignal.connections import connect as connecting
from coursesignal.connections import consent, switch
from coursesignal.connections.given import operation
from coursesignal.connections.house import House
from coursesignal.connections.schemas import ConnectedAnswer, ConnectForm
from coursesignal.errors import BadRequest, Forbidden, NotFound
from coursesignal.plugin import ConsentConnector, Tenant

Platform = ConsentConnector[Any]


@get(
    "/connect",
    summary="Where to allow this connection on the platform's own page",
    operation_id=operation("connectForm"),
    opt=tenant_access("admin"),
)
async def begin_consent(
    tenant: NamedDependency[Tenant],
    caller: NamedDependency[Caller],
    house: NamedDependency[House],
    connector: NamedDependency[Any],
) -> ConnectForm:
    async with house.db.tenant(tenant.id) as conn:
        await switch.require_granted(conn, tenant.id, connector.slug)
    assert caller.session_id is not None and caller.user_id is not None, "keys were refused"
    url = await consent.begin(house, tenant, connector, session_id=caller.session_id, user_id=caller.user_id)
    return ConnectForm(
        kind="consent",
        name=connector.name,
        authorize_url=url,
        help=connector.help,
        webhook_help=connector.webhook_help,
    )


@get(
    "/callback",
    summary="Where the platform sends a person back to after consent",
    operation_id=operation("callback"),
    opt=public(),
)
async def end_consent(
    request: Request[Any, Any, Any],
    house: NamedDependency[House],
    connector: NamedDependency[Any],
    sent_state: Annotated[str, QueryParameter(name="state", description="As it was sent to the consent page.")] = "",
    code: Annotated[str, QueryParameter(description="What the platform gives for the consent.")] = "",
    error: Annotated[str, QueryParameter(description="Why the platform gives nothing.")] = "",
    iss: Annotated[str, QueryParameter(description="Who sends the person back, where the platform tells.")] = "",
) -> ConnectedAnswer:
    """Anyone may arrive here; only the session that started the flow, still an admin of its tenant, gets further."""
    parts = parts_of(request)
    caller = await authenticate(request, parts, cookies=True) or Caller()
    started = await consent.take(house, connector.slug, sent_state, caller.session_id)
    if connector.issuer and iss and iss != connector.issuer:
        raise BadRequest(consent.REFUSED, kind="consent-refused")
    if error or not code:
        detail = f"{connector.name} says: {error[:200] or 'there is no code'}."
        raise BadRequest(consent.REFUSED, detail=detail, kind="consent-refused")
    tenant = await _tenant_of(house, started)
    credentials = await consent.exchange(house, tenant, connector, started.request, code)
    return await connecting.connect(house, caller, tenant, connector, credentials)


async def _tenant_of(house: House, started: consent.Started) -> Tenant:
    """The tenant the flow was started for, if who started it may still connect."""
    async with house.db.control() as conn:
        membership = await membership_of(conn, started.user_id, str(started.tenant_id))
    if membership is None:
        raise NotFound
    if ROLES[membership.role] < ROLES["admin"]:
        raise Forbidden
    return membership.tenant
