"""How a connection and its syncs fare, for people."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from coursesignal.connections import records, switch, sync
from coursesignal.connections.house import House
from coursesignal.connections.records import ConnectionRow
from coursesignal.connections.schemas import ConnectionStatus, SyncStatus
from coursesignal.connections.vault import open_webhook_key, webhook_url
from coursesignal.errors import NotFound
from coursesignal.plugin import Tenant

LIVE = ("ready", "needs_reauth", "failing")


async def connection_status(house: House, tenant: Tenant, platform: str) -> ConnectionStatus:
    """The connection a person means by the platform's name; "off" when there never was one, or the plugin is off."""
    async with house.db.tenant(tenant.id) as conn:
        state = await switch.read(conn, tenant.id, platform)
        rows = await records.of_platform(conn, tenant.id, platform)
    if not state.granted:
        raise NotFound
    if not rows or state.decided is False:
        return ConnectionStatus(connected=False, state="off")
    return _status(house, rows[0])


def _status(house: House, row: ConnectionRow) -> ConnectionStatus:
    live = row.state in LIVE
    key = open_webhook_key(house.keys.box, row.tenant_id, row.id, row.sealed_key) if live else ""
    return ConnectionStatus(
        connected=row.state == "ready",
        state=row.state,  # type: ignore[arg-type]  # the column's check has the same values
        account=row.account,
        webhook_url=webhook_url(house.settings.base_url, row.platform, key) if live else None,
        webhooks=row.webhooks if live else None,  # type: ignore[arg-type]
        last_sync_at=row.last_sync_at,
        last_webhook_at=row.last_webhook_at,
        problem=row.problem,
    )


async def sync_status(conn: asyncpg.Connection, tenant_id: UUID, platform: str) -> SyncStatus:
    """The newest sync run; raises NotFound when there never was one."""
    rows = await records.of_platform(conn, tenant_id, platform)
    run = await sync.latest(conn, tenant_id, rows[0].id) if rows else None
    if run is None:
        raise NotFound(
            "Nothing was synced yet.", detail=f"Connect the platform, or start with POST /api/{platform}/sync."
        )
    return SyncStatus(
        sync_run_id=run["id"],
        status=run["status"],
        total=run["total"],
        processed=run["processed"],
        matched=run["matched"],
        message=run["message"],
        started_at=run["started_at"],
        finished_at=run["finished_at"],
        error=run["error"],
    )
