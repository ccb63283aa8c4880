"""What an admin changes about a connection that stands: its webhook address, its limits."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec

from coursesignal.auth.callers import Caller
from coursesignal.connections import records
from coursesignal.connections.connect import ask, best_effort
from coursesignal.connections.context import Place, platform_context, stored_context
from coursesignal.connections.house import House
from coursesignal.connections.records import ConnectionRow
from coursesignal.connections.schemas import LimitsChange, WebhookCheck
from coursesignal.connections.states import LIVE
from coursesignal.connections.vault import WebhookKey, new_webhook_key, open_webhook_key
from coursesignal.errors import Busy, Conflict, NotFound
from coursesignal.plugin import AuthFailed, Tenant, Unavailable
from coursesignal.tenancy import audit

_NEW_KEY = """
    update connections set key_hash = $3, sealed_key = $4, previous_key_hash = $5, previous_key_until = now() + $6
    where tenant_id = $1 and id = $2 and key_hash = $5 returning 1"""
_OLD_KEY = """
    update connections set key_hash = $3, sealed_key = $4, previous_key_hash = null, previous_key_until = null
    where tenant_id = $1 and id = $2"""
_MEMO = "update connections set memo = $3, webhooks = $4 where tenant_id = $1 and id = $2"
_LIMITS = """
    update connections set requests_per_minute = $3, monthly_requests = $4, sync_minutes = $5, rescan_days = $6
    where tenant_id = $1 and id = $2"""
LIMITS = ("requests_per_minute", "monthly_requests", "sync_minutes", "rescan_days")


async def new_address(house: House, caller: Caller, tenant: Tenant, connection_id: UUID, keep_old: timedelta) -> None:
    """Give a connection another webhook address; the old one goes on working for ``keep_old``.

    Where we register the platform's hooks ourselves they are moved; elsewhere a person pastes the new address. Raises NotFound,
    Conflict for one that is not ready, Busy or Invalid when the platform does not take the new address: the old one stays.
    """
    row = await _live(house, tenant, connection_id)
    key = new_webhook_key(house.keys.box, tenant.id, row.id)
    async with house.db.tenant(tenant.id) as conn:
        if not await conn.fetchval(_NEW_KEY, tenant.id, row.id, key.hash, key.sealed, row.key_hash, keep_old):
            raise Conflict("The address was changed by someone else a moment ago.")
        await audit.record(
            conn, tenant.id, caller, "connection.address_changed", row.platform, {"connectionId": str(row.id)}
        )
    if row.webhooks == "registered":
        await _move_hooks(house, tenant, row, key)


async def _live(house: House, tenant: Tenant, connection_id: UUID) -> ConnectionRow:
    async with house.db.tenant(tenant.id) as conn:
        row = await records.find(conn, tenant.id, connection_id)
    if row is None or row.state not in LIVE or row.platform not in house.connectors:
        raise NotFound
    return row


async def _move_hooks(house: House, tenant: Tenant, row: ConnectionRow, key: WebhookKey) -> None:
    """Register hooks to the new address, then remove those to the old one."""
    connector = house.connectors[row.platform]
    try:
        old = stored_context(house, tenant, connector, row)
    except AuthFailed as error:
        raise Conflict("Connect again first.", detail=str(error)) from error
    try:
        connected = await ask(
            house, connector, platform_context(house, tenant, Place(connector, key.plain, row.memo), old.credentials)
        )
    except BaseException:
        async with house.db.tenant(tenant.id) as conn:
            await conn.execute(_OLD_KEY, tenant.id, row.id, row.key_hash, row.sealed_key)
        raise
    async with house.db.tenant(tenant.id) as conn:
        await conn.execute(_MEMO, tenant.id, row.id, dict(connected.memo), connected.webhooks)
    plain = open_webhook_key(house.keys.box, tenant.id, row.id, row.sealed_key)
    with best_effort(connector, tenant):
        await connector.disconnect(platform_context(house, tenant, Place(connector, plain, row.memo), old.credentials))


async def check_webhooks(house: House, tenant: Tenant, connection_id: UUID) -> WebhookCheck:
    """Whether webhooks that a person set up come, and what the platform tells of them.

    Raises NotFound, Conflict for one that must be connected again, Busy when the platform does not answer.
    """
    row = await _live(house, tenant, connection_id)
    connector = house.connectors[row.platform]
    try:
        lacks = await connector.check_webhooks(stored_context(house, tenant, connector, row))
    except AuthFailed as error:
        raise Conflict("Connect again first.", detail=str(error)) from error
    except Unavailable as error:
        raise Busy(f"{connector.name} cannot be reached now.", detail=str(error), retry_after_s=30) from error
    if not lacks and row.last_webhook_at is None:
        lacks = f"No webhook has come yet. It will with the next sale, or with a test that {connector.name} can send."
    return WebhookCheck(is_set_up=not lacks, arrived_at=row.last_webhook_at, lacks=lacks)


async def set_limits(house: House, caller: Caller, tenant: Tenant, connection_id: UUID, change: LimitsChange) -> None:
    """Set the tenant's own limits and schedule of a connection; raises NotFound."""
    row = await _live(house, tenant, connection_id)
    told = {name: value for name in LIMITS if (value := getattr(change, name)) is not msgspec.UNSET}
    now = {name: told.get(name, getattr(row, name)) for name in LIMITS}
    async with house.db.tenant(tenant.id) as conn:
        await conn.execute(_LIMITS, tenant.id, row.id, *(now[name] for name in LIMITS))
        await audit.record(
            conn, tenant.id, caller, "connection.limits_changed", row.platform, {"connectionId": str(row.id), **told}
        )
