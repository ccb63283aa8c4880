"""How far crediting a tenant's history again has come."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg

from coursesignal.reports import Report

Status = Literal["idle", "queued", "running", "completed"]

# One of all models that still runs comes before a later one of a single model that is done.
_LAST = """
    select r.status, r.total, r.processed, r.changed, r.started_at, r.finished_at from recredit_runs r
    where r.tenant_id = $1 and r.status <> 'superseded'
    order by r.status = 'running' and exists (
            select 1 from outbox o where o.tenant_id = $1 and o.id = r.id and o.status = 'pending'
        ) desc, r.started_at desc, r.id desc limit 1"""
_QUEUED = """
    select exists (
        select 1 from outbox o where o.tenant_id = $1 and o.name = 'core.recredit' and o.kind = 'job' and o.status = 'pending'
            and not exists (select 1 from recredit_runs r where r.tenant_id = $1 and r.id = o.id and r.status = 'running')
    )"""


class RecomputeProgress(Report, frozen=True, kw_only=True):
    """The last recompute; ``queued`` when one waits to start. Until it is completed every report adds up all the same: each
    purchase is credited either as before or as it will be."""

    status: Status
    total: int = 0
    """Purchases."""
    processed: int = 0
    changed: int = 0
    """Purchases of which a credit changed."""
    started_at: datetime | None = None
    finished_at: datetime | None = None


async def progress(conn: asyncpg.Connection, tenant_id: UUID) -> RecomputeProgress:
    """Of the tenant's last recompute; idle when there was none."""
    row = await conn.fetchrow(_LAST, tenant_id)
    last = RecomputeProgress(**row) if row is not None else RecomputeProgress(status="idle")
    if last.status != "running" and await conn.fetchval(_QUEUED, tenant_id):
        return RecomputeProgress(status="queued")
    return last
