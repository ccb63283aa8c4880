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
from coursesignal.connections.schemas import LimitsChange
from coursesignal.connections.states import LIVE
from coursesignal.connections.vault import WebhookKey, new_webhook_key, open_webhook_key
from coursesignal.errors import Conflict, NotFound
from coursesignal.plugin import AuthFailed, Tenant
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
