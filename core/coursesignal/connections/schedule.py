"""What connections do by themselves: fetch what is new, look back once a day, take up webhooks whose task was lost."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.connections import inbox, runs
from coursesignal.connections.runs import Kind
from coursesignal.db.engine import Database
from coursesignal.jobs.crons import Cron
from coursesignal.plugin import Connector

log = logging.getLogger("coursesignal.connections")

RESCAN_EVERY = timedelta(hours=24)
_TENANTS = "select id from tenants where status = 'active'"
_DUE = """
    select c.id, c.platform, c.synced_to, c.rescanned_to, c.sync_minutes, c.rescan_days,
        greatest(c.synced_to, r.began_at) as tried_at, now() as now
    from connections c
    left join plugin_states p on p.tenant_id = c.tenant_id and p.plugin = c.platform
    left join lateral (
        select max(created_at) as began_at from sync_runs r where r.tenant_id = c.tenant_id and r.connection_id = c.id
    ) r on true
    where c.tenant_id = $1 and c.state in ('ready', 'failing') and c.platform = any($2)
      and coalesce(p.granted, true) and coalesce(p.enabled, true)"""


def crons(db: Database, connectors: Mapping[str, Connector[Any]]) -> Sequence[Cron]:
    """The schedules of connections."""
    return (
        Cron("core.sync", "*/5 * * * *", partial(_sync_due, db, connectors)),
        Cron("core.inbox", "*/10 * * * *", partial(_sweep, db)),
    )


async def _sync_due(db: Database, connectors: Mapping[str, Connector[Any]], due: datetime) -> None:
    """Begin a sync of every connection that is due; one under way goes on."""
    for tenant_id in await _tenants(db):
        async with db.tenant(tenant_id) as conn:
            await begin_due(conn, tenant_id, connectors)


async def begin_due(conn: asyncpg.Connection, tenant_id: UUID, connectors: Mapping[str, Connector[Any]]) -> int:
    """Begin the tenant's syncs that are due; returns how many."""
    begun = 0
    for row in await conn.fetch(_DUE, tenant_id, [slug for slug, one in connectors.items() if one.streams]):
        connector = connectors[row["platform"]]
        every = timedelta(minutes=row["sync_minutes"]) if row["sync_minutes"] else connector.sync_every
        kind = due_kind(row["tried_at"], row["rescanned_to"], row["now"], every)
        if kind is not None:
            rescan = timedelta(days=row["rescan_days"] or connector.rescan_days)
            await runs.start(conn, tenant_id, row["id"], kind, rescan=rescan)
            begun += 1
    return begun


def due_kind(tried_at: datetime | None, rescanned_to: datetime | None, now: datetime, every: timedelta) -> Kind | None:
    """What a connection is due for: nothing yet, what is new, or the daily look back. Pure."""
    if tried_at is not None and now - tried_at < every:
        return None
    if rescanned_to is None or now - rescanned_to >= RESCAN_EVERY:
        return "rescan"
    return "incremental"


async def _sweep(db: Database, due: datetime) -> None:
    """Webhooks that were stored and whose task is gone are taken up again."""
    for tenant_id in await _tenants(db):
        async with db.tenant(tenant_id) as conn:
            if taken := await inbox.take_up(conn, tenant_id):
                log.warning("inbox.swept tenant=%s webhooks=%d", tenant_id, taken)


async def _tenants(db: Database) -> Sequence[UUID]:
    async with db.control() as conn:
        return [row["id"] for row in await conn.fetch(_TENANTS)]
