"""The background work of privacy, by task name, and its schedules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from coursesignal.auth.callers import Caller
from coursesignal.connections.house import House, Process, house
from coursesignal.db.engine import Database
from coursesignal.jobs.crons import Cron
from coursesignal.jobs.outbox import enqueue
from coursesignal.jobs.tasks import Handler, TaskRun
from coursesignal.privacy import exports, retention
from coursesignal.privacy.collecting import collect
from coursesignal.privacy.erasures import JOB as ERASE
from coursesignal.privacy.exports import JOB as EXPORT
from coursesignal.privacy.forgetting import forget_people
from coursesignal.privacy.subjects import shown
from coursesignal.privacy.sweep import sweep
from coursesignal.tenancy import audit

RETAIN = "core.retention"


def handlers(runtime: Process) -> dict[str, Handler]:
    """``core.erase``, ``core.privacy_export`` and ``core.retention``."""
    parts = house(runtime)
    return {ERASE: partial(_erase, parts), EXPORT: partial(_export, parts), RETAIN: _retain}


def crons(db: Database) -> Sequence[Cron]:
    """Retention every night, and exports away when their day is over."""
    return (
        Cron("core.retention", "37 2 * * *", partial(_retain_all, db)),
        Cron("core.privacy_exports", "53 * * * *", partial(_expire_all, db)),
    )


async def erase(parts: House, tenant_id: UUID) -> dict[str, int]:
    """Apply every tombstone of the tenant to all it has; returns how many rows of what changed."""
    async with parts.db.tenant(tenant_id) as conn:
        counts = await forget_people(conn, tenant_id)
    counts.update(await sweep(parts, tenant_id))
    return {name: n for name, n in sorted(counts.items()) if n}


async def _erase(parts: House, run: TaskRun) -> None:
    tenant_id, erasure_id = run.task.tenant_id, UUID(run.task.payload["erasureId"])
    counts = await erase(parts, tenant_id)
    async with run.effects() as conn:
        email_hash = await conn.fetchval(
            "update erasures set status = 'done', finished_at = now(), counts = $3 "
            "where tenant_id = $1 and id = $2 and status = 'pending' returning email_hash",
            tenant_id, erasure_id, counts,
        )  # fmt: skip
        if email_hash is not None:
            await audit.record(conn, tenant_id, Caller(), "privacy.erased", shown(email_hash), {"counts": counts})


async def _export(parts: House, run: TaskRun) -> None:
    tenant_id, export_id = run.task.tenant_id, UUID(run.task.payload["exportId"])
    async with parts.db.tenant(tenant_id) as conn:
        email = await exports.wanted(conn, parts.keys, tenant_id, export_id)
    if email is None:
        return
    found = await collect(parts, tenant_id, email)
    async with run.effects() as conn:
        await exports.keep(conn, parts.keys, tenant_id, export_id, found)


async def _retain(run: TaskRun) -> None:
    tenant_id, started = run.task.tenant_id, datetime.now(UTC)
    async with run.db.tenant(tenant_id) as conn:
        cutoff = await retention.cutoff_of(conn, tenant_id)
    if cutoff is None:
        return
    counts = await retention.clear(run.db, tenant_id, cutoff)
    async with run.effects() as conn:
        await retention.note(conn, tenant_id, cutoff, started, counts)


async def _retain_all(db: Database, due: datetime) -> None:
    async with db.control() as conn:
        rows = await conn.fetch("select id from tenants where retention_days is not null")
    for row in rows:
        async with db.tenant(row["id"]) as conn:
            await enqueue(conn, row["id"], RETAIN, {}, key=f"cron:{RETAIN}:{due.isoformat()}")


async def _expire_all(db: Database, due: datetime) -> None:
    async with db.control() as conn:
        rows = await conn.fetch("select id from tenants")
    for row in rows:
        async with db.tenant(row["id"]) as conn:
            await exports.expire(conn, row["id"])
