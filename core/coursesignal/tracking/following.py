"""The pipeline's last steps: what follows from the new touches for people, counts and plugins."""

from __future__ import annotations

from datetime import UTC, datetime

from coursesignal.db.ids import uuid7
from coursesignal.db.locks import lock_ledger
from coursesignal.events import TouchesRecorded
from coursesignal.identity.service import Identified, identify_visitors
from coursesignal.jobs.outbox import enqueue, publish
from coursesignal.tracking.batch import Batch, Connection

# The opt-in touch is the visitor's last one at or before the first identify; late events may change which that is.
_MARK_OPT_INS = """
with first_identify as (
    select e.visitor_id, min(e.occurred_at) as at from events e
    where e.tenant_id = $1 and e.visitor_id = any($2) and e.type = 'identify' and e.verdict = 'ok'
    group by e.visitor_id
), chosen as (
    select f.visitor_id, (
        select t.id from touches t
        where t.tenant_id = $1 and t.visitor_id = f.visitor_id and t.occurred_at <= f.at
        order by t.occurred_at desc, t.id desc limit 1
    ) as touch_id
    from first_identify f
)
update touches t set is_opt_in = not t.is_opt_in
from chosen c
where t.tenant_id = $1 and t.visitor_id = c.visitor_id and t.is_opt_in <> (t.id = c.touch_id)
returning t.visitor_id, t.occurred_at
"""


async def wait_for_ledger(conn: Connection, batch: Batch) -> None:
    """Before any visitor's row is locked: a purchase being booked may be moving the visitors of the people we shall identify."""
    if any(event.type == "identify" for event in batch.events):
        await lock_ledger(conn, batch.tenant_id)


async def mark_opt_ins(conn: Connection, batch: Batch) -> None:
    """Flag the touch of the visit in which a visitor first gave an e-mail address."""
    visitors = {
        event.visitor_id for event in batch.events if event.type == "identify"
    } | batch.visits.rewritten_visitors
    if visitors:
        changed = await conn.fetch(_MARK_OPT_INS, batch.tenant_id, list(visitors))
        batch.touched_visitors |= {row["visitor_id"] for row in changed}
        batch.changed_at |= {row["occurred_at"] for row in changed}


async def identify(conn: Connection, batch: Batch) -> None:
    """Tell identity which visitors gave which e-mail addresses."""
    given = [
        Identified(event.visitor_id, event.email, "identify", event.occurred_at)
        for event in sorted(batch.events, key=lambda event: event.order)
        if event.type == "identify" and event.email
    ]
    await identify_visitors(conn, batch.tenant_id, given)


async def count_drops(conn: Connection, batch: Batch) -> None:
    """Add what was refused to the tenant's counts."""
    if not batch.drops:
        return
    rows = [(day, site_id, reason, hits) for (day, site_id, reason), hits in batch.drops.items()]
    await conn.execute(
        """
        insert into drop_counts as d (tenant_id, day, site_id, reason, hits)
        select $1, * from unnest($2::date[], $3::uuid[], $4::text[], $5::bigint[])
        on conflict (tenant_id, day, site_id, reason) do update set hits = d.hits + excluded.hits
        """,
        batch.tenant_id,
        *(list(column) for column in zip(*rows, strict=True)),
    )


async def announce(conn: Connection, batch: Batch) -> None:
    """Publish the new touches, and have the credits of people whose journey changed computed again."""
    if batch.new_touches:
        event = TouchesRecorded(
            id=uuid7(), tenant_id=batch.tenant_id, occurred_at=datetime.now(UTC), touch_ids=tuple(batch.new_touches)
        )
        await publish(conn, event)
    people = {batch.people[visitor] for visitor in batch.touched_visitors if visitor in batch.people}
    if people:
        payload = {"personIds": sorted(str(person) for person in people)}
        await enqueue(conn, batch.tenant_id, "core.attribute_people", payload)
