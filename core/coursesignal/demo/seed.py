"""Writes a shop's history through the real services: events through the pipeline, sales through the connector as in a sync.

Everything is idempotent: what an interrupted run wrote is found again and not doubled. Plugins do not hear of the history; nobody
wants ninety days of mails at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import TypeVar
from uuid import UUID

import asyncpg

from coursesignal.connections.intake import apply
from coursesignal.db.engine import Database
from coursesignal.demo.plan import Plan
from coursesignal.demo.recital import recited
from coursesignal.demo.shops import Shop
from coursesignal.jobs.outbox import enqueue
from coursesignal.plugins.supply import channel_rules_of
from coursesignal.runtime import Runtime
from coursesignal.tracking.commit import GroupCommit
from coursesignal.tracking.intake import Row
from coursesignal.tracking.pipeline import drain

EVENTS_AT_ONCE = 5000
SALES_AT_ONCE = 100
"""How much one statement or transaction takes."""
SALE_EFFORT = 20
"""How many events take as long as one sale, about."""
T = TypeVar("T")
Told = Callable[[int], None]
"""Called with the effort just done."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a shop's data goes."""

    tenant_id: UUID
    site_id: UUID
    connection_id: UUID


def effort(plan: Plan) -> int:
    """The sum of what :func:`write` tells of ``plan``."""
    return plan.event_count + SALE_EFFORT * len(plan.sales)


async def write(runtime: Runtime, shop: Shop, place: Place, plan: Plan, told: Told) -> None:
    """Write ``plan`` as if it had happened in its time; the shop's platform must know its sales."""
    async with runtime.database.control() as conn:
        began = await conn.fetchval("select clock_timestamp()")
    await _store_events(runtime.database, rows_of(shop, place, plan))
    await _process(runtime, place.tenant_id, told)
    await _store_sales(runtime, shop, place, plan, told)
    await _announce_nothing(runtime.database, place.tenant_id, began)
    async with runtime.database.tenant(place.tenant_id) as conn:  # what they would otherwise do in the night
        await enqueue(conn, place.tenant_id, "core.learn", {}, key="demo")


def rows_of(shop: Shop, place: Place, plan: Plan) -> Sequence[Row]:
    """Every event of the plan's visitors as collect would store it, oldest first."""
    rows: list[Row] = [
        (
            place.tenant_id, event.event_id, event.at, place.site_id, visitor.id, event.type, None, event.url,
            event.referrer or None, event.title or None, event.email, None, visitor.user_agent, b"", None, None,
        )
        for visitor in plan.visitors
        for visit in visitor.visits
        for event in visit.events(shop.site)
    ]  # fmt: skip
    return sorted(rows, key=itemgetter(2))


async def _store_events(database: Database, rows: Sequence[Row]) -> None:
    commit = GroupCommit(database)
    try:
        for some in _parts(rows, EVENTS_AT_ONCE):
            await commit.store(some, ())
    finally:
        await commit.close()


async def _process(runtime: Runtime, tenant_id: UUID, told: Told) -> None:
    """Make visits and touches of all that is stored, together with a worker if one runs."""
    rules = await channel_rules_of(runtime)(tenant_id)
    while True:
        processed = await drain(runtime.database, tenant_id, rules)
        told(processed)
        async with runtime.database.tenant(tenant_id) as conn:
            if not await conn.fetchval("select exists (select from event_batches where tenant_id = $1)", tenant_id):
                return
        if not processed:
            await asyncio.sleep(0.2)  # a worker is at it


async def _store_sales(runtime: Runtime, shop: Shop, place: Place, plan: Plan, told: Told) -> None:
    """Book what the shop's platform tells of ``plan``'s sales, under the platform's own ids: every later sync finds the same."""
    events = await recited(runtime, place.tenant_id, place.connection_id, plan)
    left = SALE_EFFORT * len(plan.sales)
    for some in _parts(events, SALES_AT_ONCE):
        async with runtime.database.tenant(place.tenant_id) as conn:
            await apply(conn, place.tenant_id, place.connection_id, shop.platform, some, runtime.registry.models)
        done = min(left, SALE_EFFORT * len(some))
        left -= done
        told(done)
    told(left)


async def _announce_nothing(database: Database, tenant_id: UUID, since: datetime) -> None:
    """Take the history's announcements off the record, and the work that was done here already."""
    async with database.tenant(tenant_id) as conn:
        await conn.execute(
            "delete from outbox where tenant_id = $1 and created_at >= $2 and "
            "(kind = 'event' or name like 'core.attribute%')",
            tenant_id,
            since,
        )


def _parts(values: Iterable[T], size: int) -> Iterator[list[T]]:
    waiting = iter(values)
    while part := list(islice(waiting, size)):
        yield part


async def refresh_statistics(owner_url: str) -> None:
    """Tell the database's planner how much there is now, instead of waiting until it notices."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute("analyze")
    finally:
        await connection.close()
