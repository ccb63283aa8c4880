"""From stored events to visitors, sessions and touches: the steps, in order, one transaction per batch.

Everything a batch does, from taking its commits off the queue to marking its events, happens in one transaction: a crash changes
nothing, and the batch is worked on again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from coursesignal.db.engine import Database
from coursesignal.plugin import ChannelRule
from coursesignal.tracking.batch import Batch, Connection
from coursesignal.tracking.checkouts import look_for_buyers
from coursesignal.tracking.claiming import (
    claim,
    load_events,
    mark_processed,
    remove_repeats,
    set_bots_aside,
    strip_addresses,
)
from coursesignal.tracking.claims import note_claims
from coursesignal.tracking.following import announce, count_drops, identify, mark_opt_ins, wait_for_ledger
from coursesignal.tracking.forgetting import forget_erased
from coursesignal.tracking.goals import reach_goals
from coursesignal.tracking.marking import mark_changed
from coursesignal.tracking.visits import form_sessions, meet_visitors, store_sessions, store_touches

logger = logging.getLogger(__name__)

MAX_TENANTS = 1000
MAX_BATCHES = 4
"""In a row for one tenant, before the next one's turn."""

# A month's partition must be there before its first event: later the default partition's rows would be in the way.
_KEEP_PARTITIONS_AHEAD = """
select ensure_event_partition((date_trunc('month', now() at time zone 'UTC') + make_interval(months => n))::date)
from generate_series(0, 2) n
"""

Step = Callable[[Connection, Batch], Awaitable[None]]
ChannelRulesOf = Callable[[UUID], Awaitable[Sequence[ChannelRule]]]
"""The channel rules of the plugins a tenant has on."""

STEPS: tuple[Step, ...] = (
    load_events,
    remove_repeats,
    set_bots_aside,
    strip_addresses,
    forget_erased,
    wait_for_ledger,
    meet_visitors,
    form_sessions,
    store_sessions,
    store_touches,
    mark_processed,
    reach_goals,
    note_claims,
    mark_opt_ins,
    mark_changed,
    identify,
    count_drops,
    announce,
    look_for_buyers,
)
"""What happens to a claimed batch."""


async def drain(db: Database, tenant_id: UUID, channel_rules: Sequence[ChannelRule]) -> int:
    """Process a tenant's stored events, up to MAX_BATCHES batches, and return how many; 0 when another worker is at it."""
    processed = 0
    for _ in range(MAX_BATCHES):
        batch = await _process_batch(db, tenant_id, channel_rules)
        processed += batch.processed
        if not batch.is_full:
            break
    return processed


async def drain_all(db: Database, rules_of: ChannelRulesOf) -> int:
    """Process what every tenant has waiting; one tenant's failure is raised after the others had their turn."""
    processed = 0
    failure: Exception | None = None
    for tenant_id in await tenants_with_events(db):
        try:
            processed += await drain(db, tenant_id, await rules_of(tenant_id))
        except Exception as error:
            logger.exception("events of tenant %s could not be processed; they stay queued", tenant_id)
            failure = error
    if failure is not None:
        raise failure
    return processed


async def tenants_with_events(db: Database) -> Sequence[UUID]:
    """Whose events wait, MAX_TENANTS at most; there is room for them in the table."""
    async with db.control() as conn:
        rows = await conn.fetch("select tenant_id from door_tenants_with_events($1)", MAX_TENANTS)
        if rows:
            await conn.execute(_KEEP_PARTITIONS_AHEAD)
    return [row["tenant_id"] for row in rows]


async def _process_batch(db: Database, tenant_id: UUID, channel_rules: Sequence[ChannelRule]) -> Batch:
    batch = Batch(tenant_id, channel_rules)
    async with db.tenant(tenant_id) as conn:
        await claim(conn, batch)
        if batch.claimed:
            for step in STEPS:
                await step(conn, batch)
    return batch
