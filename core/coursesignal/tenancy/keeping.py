"""How long a tenant keeps its raw visits."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import asyncpg
from msgspec import Meta

from coursesignal.auth.callers import Caller
from coursesignal.tenancy import audit

RetentionDays = Annotated[int, Meta(ge=30, le=3650, description="Days; at least 30.")]


async def keep_for(conn: asyncpg.Connection, caller: Caller, tenant_id: UUID, days: int | None) -> None:
    """Keep raw data that many days, None for ever; leaves an audit row when that is a change."""
    before = await conn.fetchval("select retention_days from tenants where id = $1 for update", tenant_id)
    if before == days:
        return
    await conn.execute("update tenants set retention_days = $2 where id = $1", tenant_id, days)
    await audit.record(
        conn, tenant_id, caller, "privacy.changed", "retentionDays", {"retention_days": {"from": before, "to": days}}
    )
