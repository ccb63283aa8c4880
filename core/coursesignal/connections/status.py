"""How a tenant's connections and their syncs fare, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.connections import reconcile, records, refusals, runs, switch, trust
from coursesignal.connections.house import House
from coursesignal.connections.line import limits_of
from coursesignal.connections.records import ConnectionRow
from coursesignal.connections.schemas import (
    Change,
    ConnectionDetail,
    ConnectionLine,
    ConnectionStatus,
    PlatformReconciliation,
    SyncStatus,
    Usage,
)
from coursesignal.connections.states import LIVE
from coursesignal.connections.vault import open_webhook_key, webhook_url
from coursesignal.errors import NotFound
from coursesignal.plugin import Connector, Tenant

CHANGES_SHOWN = 50
_CHANGES = """
    select at, happened, from_state, to_state, reason from connection_changes
    where tenant_id = $1 and connection_id = $2 order by at desc, id desc limit $3"""
_USED = """
    select used from connection_meters
    where tenant_id = $1 and connection_id = $2 and month = date_trunc('month', now() at time zone 'UTC')::date"""


async def connection_status(
    house: House, tenant: Tenant, platform: str, connection_id: UUID | None = None
) -> ConnectionStatus:
    """The connection a person means by the platform's name; "off" when there never was one, or the plugin is off."""
    async with house.db.tenant(tenant.id) as conn:
        state = await switch.read(conn, tenant.id, platform)
        if not state.granted:
            raise NotFound
        rows = await _meant(conn, tenant.id, platform, connection_id)
        if not rows or state.decided is False:
            return ConnectionStatus(connected=False, state="off")
        return ConnectionStatus(**await _fields(conn, house, rows[0]))


async def _meant(
    conn: asyncpg.Connection, tenant_id: UUID, platform: str, connection_id: UUID | None
) -> Sequence[ConnectionRow]:
    """The platform's connections, or the one of that id; raises NotFound for an id that leads nowhere."""
    rows = await records.of_platform(conn, tenant_id, platform)
    if connection_id is None:
        return rows
    found = [row for row in rows if row.id == connection_id and row.state != "connecting"]
    if not found:
        raise NotFound
    return found


async def _fields(conn: asyncpg.Connection, house: House, row: ConnectionRow) -> dict[str, Any]:
    live = row.state in LIVE
    key = open_webhook_key(house.keys.box, row.tenant_id, row.id, row.sealed_key) if live else ""
    return {
        "connected": row.state == "ready",
        "state": row.state,
        "connection_id": row.id,
        "account": row.account,
        "webhook_url": webhook_url(house.settings.base_url, row.platform, key) if live else None,
        "webhooks": row.webhooks if live else None,
        "last_sync_at": row.last_sync_at,
        "last_webhook_at": row.last_webhook_at,
        "problem": row.problem,
        "state_since": row.state_changed_at,
        "unverified": await trust.unverified(conn, row.tenant_id, row.id),
        "left_out": dict(await refusals.lately(conn, row.tenant_id, row.id)),
        "reconciliation": await reconcile.latest(conn, row.tenant_id, row.id, name_of(house, row.platform)),
    }


def name_of(house: House, platform: str) -> str:
    """What people call the platform."""
    connector = house.connectors.get(platform)
    return platform.title() if connector is None else connector.name


async def listing(house: House, tenant: Tenant) -> list[ConnectionLine]:
    """Every connection the tenant has or had, of every platform whose plugin is installed and granted."""
    async with house.db.tenant(tenant.id) as conn:
        rows = [row for row in await records.all_of(conn, tenant.id) if await _shown(conn, house, row)]
        return [ConnectionLine(**await _line(conn, house, house.connectors[row.platform], row)) for row in rows]


async def _shown(conn: asyncpg.Connection, house: House, row: ConnectionRow) -> bool:
    return row.platform in house.connectors and (await switch.read(conn, row.tenant_id, row.platform)).granted


async def _line(
    conn: asyncpg.Connection, house: House, connector: Connector[Any], row: ConnectionRow
) -> dict[str, Any]:
    return {
        **await _fields(conn, house, row),
        "platform": row.platform,
        "name": connector.name,
        "signed_webhooks": connector.capabilities.signed_push,
        "old_webhook_url_until": row.previous_key_until,
    }


async def detail(house: House, tenant: Tenant, connection_id: UUID) -> ConnectionDetail:
    """One connection; raises NotFound."""
    async with house.db.tenant(tenant.id) as conn:
        row = await records.find(conn, tenant.id, connection_id)
        if row is None or row.state == "connecting" or not await _shown(conn, house, row):
            raise NotFound
        connector = house.connectors[row.platform]
        limits = limits_of(connector, row)
        changes = await conn.fetch(_CHANGES, tenant.id, connection_id, CHANGES_SHOWN)
        return ConnectionDetail(
            **await _line(conn, house, connector, row),
            usage=Usage(
                requests_per_minute=limits.per_minute,
                monthly_requests=limits.monthly,
                used_this_month=await conn.fetchval(_USED, tenant.id, connection_id) or 0,
                sync_minutes=row.sync_minutes or round(connector.sync_every.total_seconds() / 60),
                rescan_days=row.rescan_days or connector.rescan_days,
            ),
            changes=[Change(**change) for change in changes],
        )


async def reconciliation(
    house: House, tenant: Tenant, platform: str, connection_id: UUID | None
) -> PlatformReconciliation:
    """The last comparison with the platform's totals; raises NotFound before the first."""
    async with house.db.tenant(tenant.id) as conn:
        rows = await _meant(conn, tenant.id, platform, connection_id)
        found = await reconcile.latest(conn, tenant.id, rows[0].id, name_of(house, platform)) if rows else None
    if found is None:
        raise NotFound("Nothing was compared yet.", detail="The first sync compares the totals when it has ended.")
    return found


async def sync_status(
    conn: asyncpg.Connection, tenant_id: UUID, platform: str, connection_id: UUID | None = None
) -> SyncStatus:
    """The newest sync run; raises NotFound when there never was one."""
    rows = await _meant(conn, tenant_id, platform, connection_id)
    run = await runs.latest(conn, tenant_id, rows[0].id) if rows else None
    if run is None:
        raise NotFound(
            "Nothing was synced yet.", detail=f"Connect the platform, or start with POST /api/{platform}/sync."
        )
    return SyncStatus(
        sync_run_id=run["id"],
        connection_id=run["connection_id"],
        status=run["status"],
        kind=run["kind"],
        total=run["total"],
        processed=run["processed"],
        matched=run["matched"],
        message=run["message"],
        started_at=run["started_at"],
        finished_at=run["finished_at"],
        error=run["error"],
    )
