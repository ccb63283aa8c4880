"""What the house does to itself on a schedule: partitions ahead, counters and spent records away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from coursesignal.db.engine import Database
from coursesignal.jobs.crons import Cron
from coursesignal.jobs.outbox import enqueue

BATCH = 5000
PARTITIONS = """
    select ensure_event_partition((date_trunc('month', now()) + make_interval(months => n))::date)
    from generate_series(0, 2) n
"""
SPENT = (
    "delete from rate_limits where window_start < now() - interval '1 day'",
    """
    delete from cron_runs r where due_at < now() - interval '30 days'
        and exists (select 1 from cron_runs later where later.name = r.name and later.due_at > r.due_at)
    """,
    # A salt serves its day, in UTC, and an hour for clocks that are slow.
    "delete from cookieless_salts where day < (now() at time zone 'UTC' - interval '1 hour')::date",
    "delete from auth_tokens where expires_at < now() - interval '7 days'",
    "delete from mails where status <> 'pending' and created_at < now() - interval '90 days'",
)
# Keys that can come again only from a repeat within days. Any other key is a promise that something happens once.
DONE = """
    delete from outbox where tenant_id = $1 and id in (
        select id from outbox where tenant_id = $1 and status = 'done' and done_at < now() - interval '7 days'
            and (dedupe_key is null or kind = 'hook' or dedupe_key ^@ 'event:' or dedupe_key ^@ 'cron:' or dedupe_key ^@ 'inbox:')
        limit $2
    )
"""
KEPT = """
    update outbox set payload = '{}' where tenant_id = $1 and status = 'done' and done_at < now() - interval '7 days'
        and payload <> '{}'
"""


def core_crons(db: Database, models: Iterable[str] = ()) -> Sequence[Cron]:
    """Core's own schedules; ``models`` are the slugs of this installation's attribution models."""
    return (
        Cron("core.partitions", "7 * * * *", partial(_ensure_partitions, db)),
        Cron("core.spent", "23 * * * *", partial(_remove_spent, db)),
        Cron("core.outbox", "41 * * * *", partial(_prune_outbox, db)),
        Cron("core.learn", "17 3 * * *", partial(_let_models_learn, db)),
        Cron("core.models", "*/10 * * * *", partial(_credit_under_new_models, db, tuple(sorted(models)))),
    )


async def _ensure_partitions(db: Database, due: datetime) -> None:
    """Months of events are there two ahead."""
    async with db.control() as conn:
        await conn.execute(PARTITIONS)


async def _remove_spent(db: Database, due: datetime) -> None:
    for statement in SPENT:
        async with db.control() as conn:
            await conn.execute(statement)


async def _let_models_learn(db: Database, due: datetime) -> None:
    """Attribution models that learn do so every night."""
    await _enqueue_for_all(db, "core.learn", f"cron:core.learn:{due.isoformat()}")


async def _credit_under_new_models(db: Database, models: tuple[str, ...], due: datetime) -> None:
    """An installation that got another model credits what was sold before under it too: once per set of models and tenant."""
    await _enqueue_for_all(db, "core.recredit", f"models:{','.join(models)}")


async def _enqueue_for_all(db: Database, job: str, key: str) -> None:
    async with db.control() as conn:
        tenants = [row["id"] for row in await conn.fetch("select id from tenants where status = 'active'")]
    for tenant_id in tenants:
        async with db.tenant(tenant_id) as conn:
            await enqueue(conn, tenant_id, job, {}, key=key)


async def _prune_outbox(db: Database, due: datetime) -> None:
    """Forget what was done more than a week ago; dead letters stay until somebody looks at them."""
    async with db.control() as conn:
        tenants = [row["id"] for row in await conn.fetch("select id from tenants")]
    for tenant_id in tenants:
        await _prune(db, tenant_id)


async def _prune(db: Database, tenant_id: UUID) -> None:
    while True:
        async with db.tenant(tenant_id) as conn:
            deleted = await conn.execute(DONE, tenant_id, BATCH)
            await conn.execute(KEPT, tenant_id)
        if deleted != f"DELETE {BATCH}":
            return
