"""The page on which a tenant sets itself up: the snippet for its website, and the platforms that sell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.params import FromPath, FromQuery

from coursesignal.auth.access import browser
from coursesignal.auth.callers import Caller
from coursesignal.connections import connect as connecting
from coursesignal.connections import consent, manage, records, runs, switch
from coursesignal.connections.forms import form_schema, read_form
from coursesignal.connections.house import House
from coursesignal.connections.schemas import ConnectionLine, SyncStatus
from coursesignal.connections.states import LIVE
from coursesignal.connections.status import connection_status, detail, listing, sync_status
from coursesignal.currency import decimal_amount
from coursesignal.errors import Conflict, NotFound, Refused
from coursesignal.plugin import Connector, ConsentConnector, Tenant
from coursesignal.plugins.context import house_of
from coursesignal.plugins.fields import entered, form_fields
from coursesignal.plugins.frame import rendered
from coursesignal.plugins.host import Host
from coursesignal.plugins.limits_form import limit_fields, limits_entered
from coursesignal.plugins.own_pages import DONE, Asked, form_values, host_of, moment_of, seen, shown
from coursesignal.tracking import script, sites
from coursesignal.tracking.status import script_info


@get(
    "/app/{tenant_slug:str}/connections",
    opt=browser("viewer"),
    summary="The set-up as a page",
    operation_id="connectionsPage",
    media_type=MediaType.HTML,
    include_in_schema=False,
)
async def connections_page(
    request: Asked, caller: NamedDependency[Caller], tenant: NamedDependency[Tenant], done: FromQuery[str] = ""
) -> Response[str]:
    return await _connections(host_of(request), caller, tenant, said=DONE.get(done, ""))


@post(
    "/app/{tenant_slug:str}/connections/{platform:str}",
    opt=browser("admin"),
    summary="Connect, sync, limit or disconnect from the page",
    operation_id="changeConnectionFromPage",
    include_in_schema=False,
)
async def change_connection(
    request: Asked, caller: NamedDependency[Caller], tenant: NamedDependency[Tenant], platform: FromPath[str]
) -> Response[Any]:
    host = host_of(request)
    connector = host.registry.connectors.get(platform)
    if connector is None:
        raise NotFound
    form = dict(await request.form())
    try:
        to = await _carry_out(house_of(host), caller, tenant, connector, form)
    except NotFound:
        raise
    except Refused as error:
        return await _connections(host, caller, tenant, refused=error, about=platform, form=form)
    if to is not None:
        return await _connections(host, caller, tenant, about=platform, go_on=to)
    return seen(f"/app/{tenant.slug}/connections?done={form['do']}")


async def _carry_out(
    house: House, caller: Caller, tenant: Tenant, connector: Connector[Any], form: Mapping[str, Any]
) -> str | None:
    """Do what the form asks; the platform's consent page when it goes on there.

    That address is shown as a link: our security policy lets no form of ours end on another site.
    """
    which = _account(form)
    match form.get("do"):
        case "connect" if isinstance(connector, ConsentConnector):
            assert caller.session_id is not None and caller.user_id is not None, "pages are for people"
            return await consent.begin(house, tenant, connector, session_id=caller.session_id, user_id=caller.user_id)
        case "connect":
            async with house.db.tenant(tenant.id) as conn:
                await switch.require_granted(conn, tenant.id, connector.slug)
            values = entered(form_schema(connector.credentials), form, {})
            await connecting.connect(house, caller, tenant, connector, read_form(connector.credentials, values))
        case "sync":
            async with house.db.tenant(tenant.id) as conn:
                await runs.start(conn, tenant.id, (await records.current(conn, tenant.id, connector.slug, which)).id)
        case "check":
            async with house.db.tenant(tenant.id) as conn:
                row = await records.current(conn, tenant.id, connector.slug, which)
            if lacks := (await manage.check_webhooks(house, tenant, row.id)).lacks:
                raise Conflict(lacks)
        case "limits":
            async with house.db.tenant(tenant.id) as conn:
                row = await records.current(conn, tenant.id, connector.slug, which)
            await manage.set_limits(house, caller, tenant, row.id, limits_entered(form))
        case "disconnect":
            await connecting.disconnect(house, caller, tenant, connector, which)
        case _:
            raise NotFound
    return None


def _account(form: Mapping[str, Any]) -> UUID | None:
    """The account a form is about, where it says so; raises NotFound."""
    try:
        return UUID(str(form["connection"])) if form.get("connection") else None
    except ValueError as error:
        raise NotFound from error


async def _connections(
    host: Host,
    caller: Caller,
    tenant: Tenant,
    *,
    said: str = "",
    refused: Refused | None = None,
    about: str = "",
    form: Mapping[str, Any] | None = None,
    go_on: str = "",
) -> Response[str]:
    async with host.database.tenant(tenant.id) as conn:
        site = await sites.default_site(conn, tenant.id)
        url = script.script_url(host.settings.base_url)
        tracking = await script_info(conn, tenant, site, url, datetime.now(UTC))
    platforms = [
        found
        for connector in host.registry.connectors.values()
        if (found := await _platform(house_of(host), tenant, connector, form if connector.slug == about else None))
    ]
    content = rendered(
        "connections.html",
        tenant=tenant,
        tracking=tracking,
        snippet=script.snippet(host.settings.base_url, site),
        instructions=script.INSTRUCTIONS,
        platforms=platforms,
        moment=moment_of(tenant),
        amount=decimal_amount,
        go_on=go_on,
        sent=form or {},
        **form_values(caller, said, refused, about),
    )
    return await shown(host, caller, tenant, "connections", "Connections", content, refused)


async def _platform(
    house: House, tenant: Tenant, connector: Connector[Any], form: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """What the page shows of one platform; None for one that is not granted."""
    try:
        how = await connection_status(house, tenant, connector.slug)
    except NotFound:
        return None
    lines = [line for line in await listing(house, tenant) if line.platform == connector.slug and line.state in LIVE]
    if how.state == "off":
        lines = []
    schema = form_schema(connector.credentials)
    by_form = not isinstance(connector, ConsentConnector)
    return {
        "slug": connector.slug,
        "name": connector.name,
        "how": how,
        "accounts": [await _account_shown(house, tenant, connector, line, form or {}) for line in lines],
        "fields": form_fields(schema, form or {}) if by_form else [],
        "help": connector.help,
        "webhook_help": connector.webhook_help,
    }


async def _account_shown(
    house: House, tenant: Tenant, connector: Connector[Any], line: ConnectionLine, form: Mapping[str, Any]
) -> dict[str, Any]:
    """One account with its newest sync and its limits; ``form`` is what was just refused, of whatever account."""
    assert line.connection_id is not None
    sent = form if form.get("do") == "limits" and form.get("connection") == str(line.connection_id) else None
    async with house.db.tenant(tenant.id) as conn:
        row = await records.find(conn, tenant.id, line.connection_id)
    return {
        "how": line,
        "progress": await _progress(house, tenant, line),
        "limits": limit_fields(connector, row, sent) if row is not None else [],
        "used": (await detail(house, tenant, line.connection_id)).usage.used_this_month,
        "is_sent": sent is not None,
    }


async def _progress(house: House, tenant: Tenant, line: ConnectionLine) -> SyncStatus | None:
    """How far the connection's newest sync is."""
    async with house.db.tenant(tenant.id) as conn:
        try:
            return await sync_status(conn, tenant.id, line.platform, line.connection_id)
        except NotFound:
            return None


ROUTES = [connections_page, change_connection]
