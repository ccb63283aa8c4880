"""Goals: which events reach one. An event is looked at when it is processed, the whole history when a goal is defined.

What is found is kept, so that a report reads the goal's own rows and never the events.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from uuid import UUID

from coursesignal.db.engine import Database
from coursesignal.db.locks import lock_tracking
from coursesignal.jobs.tasks import Handler, TaskRun
from coursesignal.tracking.batch import Batch, Connection

JOB = "core.goal_history"
# What follows the host, as far as the query, without a slash at its end but for the root's.
_PATH = """coalesce(nullif(rtrim(substr(place, strpos(place || '/', '/')), '/'), ''), '/')"""
_PLACE = "split_part(split_part(split_part(e.url, '://', 2), '?', 1), '#', 1)"
_REACHES = {
    "opt_in": "e.type = 'identify'",
    "event": "e.type = 'custom' and e.name = g.target",
    "path": f"e.type = 'pageview' and {_PATH} like g.pattern",
}
"""What reaches a goal of each kind; purchases are read from the ledger instead."""
_KEEP = f"""
    insert into goal_hits (tenant_id, goal_id, visitor_id, occurred_at, event_id)
    select $1, g.id, e.visitor_id, e.occurred_at, e.event_id
    from goals g join events e on e.tenant_id = $1 cross join lateral (select {_PLACE} as place) p
    where g.tenant_id = $1 and e.verdict = 'ok' and e.occurred_at >= $2 and e.occurred_at <= $3 and {{wanted}}
    on conflict do nothing"""  # noqa: S608 – of constants
_OF_BATCH = _KEEP.format(
    wanted="e.event_id = any($4) and ("
    + " or ".join(f"(g.kind = '{kind}' and {reaches})" for kind, reaches in _REACHES.items())
    + ")"
)
_OF_GOAL = {kind: _KEEP.format(wanted=f"g.id = $4 and {reaches}") for kind, reaches in _REACHES.items()}
_MONTHS = """
    select greatest(m, lo) as first, least(m + interval '1 month' - interval '1 microsecond', hi) as last
    from (select min(occurred_at) as lo, max(occurred_at) as hi from events where tenant_id = $1) span,
        generate_series(date_trunc('month', lo), hi, interval '1 month') m"""


async def reach_goals(conn: Connection, batch: Batch) -> None:
    """Note which of the batch's events reach a goal of the tenant."""
    if not (batch.events and batch.has_goals):
        return
    events = [event.event_id for event in batch.events]
    times = [event.occurred_at for event in batch.events]
    await conn.execute(_OF_BATCH, batch.tenant_id, min(times), max(times), events)


def handlers(db: Database) -> Mapping[str, Handler]:
    """``core.goal_history`` finds what a goal was reached by before it was defined."""
    return {JOB: partial(_history, db)}


async def _history(db: Database, run: TaskRun) -> None:
    tenant_id, goal_id = run.task.tenant_id, UUID(run.task.payload["goalId"])
    async with db.tenant(tenant_id) as conn:
        kind = await conn.fetchval("select kind from goals where tenant_id = $1 and id = $2", tenant_id, goal_id)
    for first, last in await _months(db, tenant_id) if kind in _OF_GOAL else ():
        async with db.tenant(tenant_id) as conn:
            await conn.execute(_OF_GOAL[kind], tenant_id, first, last, goal_id)
    async with run.effects() as conn:
        await conn.execute("update goals set counted_at = now() where tenant_id = $1 and id = $2", tenant_id, goal_id)


async def _months(db: Database, tenant_id: UUID) -> list[tuple[datetime, datetime]]:
    """The months there are events of. A batch that began before the goal was there has been committed by then."""
    async with db.tenant(tenant_id) as conn:
        await lock_tracking(conn, tenant_id)
    async with db.tenant(tenant_id) as conn:
        return [(row["first"], row["last"]) for row in await conn.fetch(_MONTHS, tenant_id)]
