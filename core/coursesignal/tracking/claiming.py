"""The pipeline's first steps: what to work on. And its last on the events themselves: marking them done."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from coursesignal.db.locks import TRACKING_KEY
from coursesignal.tracking.batch import Batch, Connection, Event
from coursesignal.tracking.bots import automation
from coursesignal.tracking.exclusions import Exclusions
from coursesignal.tracking.reasons import DropReason
from coursesignal.tracking.rule_store import rules_in_force
from coursesignal.tracking.urls import strip_personal

MAX_EVENTS = 5000
MAX_COMMITS = 2000

_CLAIM = """
with oldest as (
    select id, cardinality(event_ids) as size from event_batches where tenant_id = $1 order by id limit $2
), claimed as (
    select id from (select id, sum(size) over (order by id) - size as before from oldest) sized where before < $3
)
delete from event_batches b using claimed c where b.tenant_id = $1 and b.id = c.id
returning b.event_ids, b.first_at, b.last_at, b.drops, b.received_at
"""
_LOAD = """
select event_id, occurred_at, received_at, site_id, visitor_id, type, coalesce(url, ''), coalesce(referrer, ''), email,
    coalesce(user_agent, ''), coalesce(country, ''), coalesce(hosted, false), ip_hash
from events
where tenant_id = $1 and event_id = any($2) and occurred_at between $3 and $4 and processed_at is null
"""


# No commit waits for the disk: what a crash of the database takes away of the last half second, it also puts back into the queue,
# and it is done again.
_TAKE_TURN = f"select pg_try_advisory_xact_lock({TRACKING_KEY}) as mine, set_config('synchronous_commit', 'off', true)"
_SETTINGS = """
select t.time_zone, t.count_automation, exists (select from goals g where g.tenant_id = t.id) as has_goals,
    t.fallback_match, t.checkout_pages,
    s.id as site_id, s.allowed_hosts || s.linked_hosts as own_hosts
from tenants t left join sites s on s.tenant_id = t.id
where t.id = $1
"""


async def claim(conn: Connection, batch: Batch) -> None:
    """Take the oldest commits that collect left behind, with what it dropped; they come back when this transaction fails."""
    if not await conn.fetchval(_TAKE_TURN, str(batch.tenant_id)):
        return  # another worker is at it: sessions of one tenant are made by one at a time
    commits = await conn.fetch(_CLAIM, batch.tenant_id, MAX_COMMITS, MAX_EVENTS)
    if not commits:
        return
    batch.claimed = True
    batch.is_full = len(commits) == MAX_COMMITS or sum(len(commit["event_ids"]) for commit in commits) >= MAX_EVENTS
    batch.event_ids = list(dict.fromkeys(event_id for commit in commits for event_id in commit["event_ids"]))
    batch.first_at = min(commit["first_at"] for commit in commits)
    batch.last_at = max(commit["last_at"] for commit in commits)
    await _read_settings(conn, batch)
    for commit in commits:
        for site_id, reason, hits in commit["drops"]:
            batch.drops[_day(batch, commit["received_at"]), UUID(site_id), reason] += hits


async def _read_settings(conn: Connection, batch: Batch) -> None:
    """What the tenant decides: its zone, whether automation counts, its goals and checkout pages, its own channel rules, and
    which referrers bring nobody."""
    rows = await conn.fetch(_SETTINGS, batch.tenant_id)
    batch.time_zone, batch.count_automation, batch.has_goals, batch.fallback_match = rows[0][:4]
    batch.checkout_pages = tuple(rows[0]["checkout_pages"])
    own = await rules_in_force(conn, batch.tenant_id)
    batch.rules = (*own.channel_rules, *batch.rules)
    batch.exclusions = {
        row["site_id"]: Exclusions((*row["own_hosts"], *own.excluded_referrers), own.counted_referrers)
        for row in rows
        if row["site_id"] is not None
    }


async def load_events(conn: Connection, batch: Batch) -> None:
    """The claimed events that nobody has processed; a retry that stored nothing new finds none."""
    rows = await conn.fetch(_LOAD, batch.tenant_id, batch.event_ids, batch.first_at, batch.last_at)
    batch.events = [Event(*row) for row in rows]


async def remove_repeats(conn: Connection, batch: Batch) -> None:
    """Keep one row per event id, the one that is processed or else came first, and delete the others.

    A client that repeats an event without its ``at`` is stamped with another time of arrival, which the table's key takes for
    another event. What is deleted here was never counted.
    """
    processed = await conn.fetch(
        "select event_id from events where tenant_id = $1 and event_id = any($2) and processed_at is not null",
        batch.tenant_id,
        [event.event_id for event in batch.events],
    )
    seen = {row["event_id"] for row in processed}
    kept: list[Event] = []
    repeats: list[Event] = []
    for event in sorted(batch.events, key=lambda event: (event.received_at, event.occurred_at)):
        (repeats if event.event_id in seen else kept).append(event)
        seen.add(event.event_id)
    batch.events = kept
    if repeats:
        await conn.execute(
            """
            delete from events e using unnest($2::uuid[], $3::timestamptz[]) as r (event_id, occurred_at)
            where e.tenant_id = $1 and e.event_id = r.event_id and e.occurred_at = r.occurred_at
            """,
            batch.tenant_id,
            [event.event_id for event in repeats],
            [event.occurred_at for event in repeats],
        )


async def set_bots_aside(conn: Connection, batch: Batch) -> None:
    """Crawlers stay in the table, marked and counted, and have no part in anything else; so does other automation if it is not
    to count."""
    people: list[Event] = []
    for event in batch.events:
        reason = _nobody(event, batch.count_automation)
        if reason is None:
            people.append(event)
        else:
            batch.aside.setdefault(reason, []).append(event)
            batch.drop(_day(batch, event.received_at), event.site_id, reason)
    batch.events = people


def _nobody(event: Event, count_automation: bool) -> DropReason | None:
    """Why an event is no person's, or None; an address in a data centre is only a hint: people use such networks too."""
    reason = automation(event.user_agent)
    if reason is DropReason.BOT or count_automation:
        return reason if reason is DropReason.BOT else None
    return reason or (DropReason.DATA_CENTRE if event.hosted else None)


async def strip_addresses(conn: Connection, batch: Batch) -> None:
    """Remove parameters that identify a person from the stored addresses, after they were read."""
    changed: list[Event] = []
    for event in batch.events:
        url, referrer = strip_personal(event.url), strip_personal(event.referrer)
        if (url, referrer) != (event.url, event.referrer):
            batch.read_origin(event)
            event.url, event.referrer = url, referrer
            changed.append(event)
    if changed:
        await conn.execute(
            """
            update events e set url = nullif(c.url, ''), referrer = nullif(c.referrer, '')
            from unnest($2::uuid[], $3::timestamptz[], $4::text[], $5::text[]) as c (event_id, occurred_at, url, referrer)
            where e.tenant_id = $1 and e.event_id = c.event_id and e.occurred_at = c.occurred_at
            """,
            batch.tenant_id,
            [event.event_id for event in changed],
            [event.occurred_at for event in changed],
            [event.url for event in changed],
            [event.referrer for event in changed],
        )


async def mark_processed(conn: Connection, batch: Batch) -> None:
    """Stamp every event of the batch once, with its session or its verdict, and move earlier ones that changed sessions."""
    await _stamp(conn, batch, batch.events, "ok")
    await _stamp(conn, batch, batch.visits.moved, "ok")
    for reason, events in batch.aside.items():
        await _stamp(conn, batch, events, reason.value)
    batch.processed = len(batch.events) + sum(map(len, batch.aside.values()))


async def _stamp(conn: Connection, batch: Batch, events: Iterable[Event], verdict: str) -> None:
    stamped = list(events)
    if not stamped:
        return
    await conn.execute(
        """
        update events e set processed_at = coalesce(e.processed_at, now()), session_id = s.session_id, verdict = $5
        from unnest($2::uuid[], $3::timestamptz[], $4::uuid[]) as s (event_id, occurred_at, session_id)
        where e.tenant_id = $1 and e.event_id = s.event_id and e.occurred_at = s.occurred_at
            and e.occurred_at between $6 and $7
        """,
        batch.tenant_id,
        [event.event_id for event in stamped],
        [event.occurred_at for event in stamped],
        [event.session_id for event in stamped],
        verdict,
        min(event.occurred_at for event in stamped),
        max(event.occurred_at for event in stamped),
    )


def _day(batch: Batch, moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(batch.time_zone)).date()
