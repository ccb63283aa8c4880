"""The pipeline's middle steps: visitors, sessions and touches, a whole batch in a handful of statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from coursesignal.db.ids import uuid7
from coursesignal.plugin import Hit
from coursesignal.tracking.batch import Batch, Connection, Event, Session
from coursesignal.tracking.channels import UNASSIGNED, deciding_rule, hit_of, is_paid, ranked
from coursesignal.tracking.sessions import GAP, add_run, open_session, rebuild, runs
from coursesignal.tracking.urls import path_of

_UPSERT_VISITORS = """
insert into visitors as v (tenant_id, id, first_seen_at, last_seen_at, events)
select $1, * from unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::bigint[])
on conflict (tenant_id, id) do update set
    first_seen_at = least(v.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(v.last_seen_at, excluded.last_seen_at),
    events = v.events + excluded.events
returning id, person_id
"""
# The tenant comes with each span, and not as a constant: of a tenant that is newer than the statistics the planner would expect
# no rows, take any index that starts with the tenant, and read all its rows for each visitor.
_NEAR_SESSIONS = """
select s.id, s.visitor_id, s.site_id, s.started_at, s.ended_at, coalesce(s.landing_url, '') as landing_url, s.pageviews, s.events,
    s.device, s.browser, s.system, s.country, s.fingerprint,
    (select array[t.source, t.medium, t.campaign, t.content, t.term] from touches t
     where t.tenant_id = s.tenant_id and t.session_id = s.id order by t.occurred_at desc, t.id desc limit 1) as last_key
from unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[], array_fill($1::uuid, array[cardinality($2)]))
    as span (visitor_id, low, high, tenant_id)
cross join lateral (
    select * from sessions s
    where s.tenant_id = span.tenant_id and s.visitor_id = span.visitor_id
        and s.started_at <= span.high and s.ended_at >= span.low
    offset 0
) s
order by s.started_at, s.id
"""
_EVENTS_OF = """
select e.event_id, e.occurred_at, e.received_at, e.site_id, e.visitor_id, e.type, coalesce(e.url, ''),
    coalesce(e.referrer, ''), e.email, coalesce(e.user_agent, ''), coalesce(e.country, ''), coalesce(e.hosted, false),
    e.ip_hash, e.session_id
from unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[], array_fill($1::uuid, array[cardinality($2)]))
    as span (visitor_id, low, high, tenant_id)
cross join lateral (
    select * from events e
    where e.tenant_id = span.tenant_id and e.visitor_id = span.visitor_id and e.occurred_at between span.low and span.high
    offset 0
) e
where e.verdict = 'ok'
"""
_UPSERT_SESSIONS = """
insert into sessions (tenant_id, id, visitor_id, site_id, started_at, ended_at, landing_url, pageviews, events,
    device, browser, system, country, fingerprint)
select $1, * from unnest(
    $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::timestamptz[], $7::text[], $8::int[], $9::int[],
    $10::text[], $11::text[], $12::text[], $13::text[], $14::bytea[])
on conflict (tenant_id, id) do update set
    site_id = excluded.site_id, started_at = excluded.started_at, ended_at = excluded.ended_at,
    landing_url = excluded.landing_url, pageviews = excluded.pageviews, events = excluded.events,
    device = excluded.device, browser = excluded.browser, system = excluded.system, country = excluded.country,
    fingerprint = excluded.fingerprint
"""
# A touch is known by its event's id, so ties in time are ordered the same way everywhere. One that stays keeps its channel.
_UPSERT_TOUCHES = """
insert into touches (tenant_id, id, event_id, visitor_id, session_id, occurred_at, channel, source, medium, campaign, content,
    term, click_id_name, click_id, referrer, referrer_host, landing_url, landing_path, is_direct, is_paid)
select $1, id, id, visitor_id, session_id, occurred_at, channel, source, medium, campaign, content, term,
    click_id_name, click_id, referrer, referrer_host, landing_url, landing_path, is_direct, is_paid
from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::bool[], $19::bool[])
    as t (id, visitor_id, session_id, occurred_at, channel, source, medium, campaign, content, term,
    click_id_name, click_id, referrer, referrer_host, landing_url, landing_path, is_direct, is_paid)
on conflict (tenant_id, id) do update set session_id = excluded.session_id
returning id, visitor_id, (xmax = 0) as is_new
"""


async def meet_visitors(conn: Connection, batch: Batch) -> None:
    """Every visitor of the batch exists and knows when it was first and last seen."""
    by_visitor = _by_visitor(batch.events)
    rows = await conn.fetch(
        _UPSERT_VISITORS,
        batch.tenant_id,
        list(by_visitor),
        [events[0].occurred_at for events in by_visitor.values()],
        [events[-1].occurred_at for events in by_visitor.values()],
        [len(events) for events in by_visitor.values()],
    )
    batch.people = {row["id"]: row["person_id"] for row in rows if row["person_id"] is not None}


async def form_sessions(conn: Connection, batch: Batch) -> None:
    """Put every event into a session: at the end of an open one or in a new one; where events came late, anew from all events."""
    by_visitor = _by_visitor(batch.events)
    near = await _near_sessions(conn, batch, by_visitor)
    late = {visitor: events for visitor, events in by_visitor.items() if _is_late(events, near[visitor])}
    for visitor, events in by_visitor.items():
        if visitor not in late:
            _append(batch, events, near[visitor])
    if late:
        await _rewrite(conn, batch, late, near)


async def store_sessions(conn: Connection, batch: Batch) -> None:
    """Write sessions that are new or grew."""
    sessions = batch.visits.sessions
    await conn.execute(
        _UPSERT_SESSIONS,
        batch.tenant_id,
        [session.id for session in sessions],
        [session.visitor_id for session in sessions],
        [session.site_id for session in sessions],
        [session.started_at for session in sessions],
        [session.ended_at for session in sessions],
        [session.landing_url for session in sessions],
        [session.pageviews for session in sessions],
        [session.events for session in sessions],
        [session.device for session in sessions],
        [session.browser for session in sessions],
        [session.system for session in sessions],
        [session.country for session in sessions],
        [session.fingerprint for session in sessions],
    )


async def store_touches(conn: Connection, batch: Batch) -> None:
    """Classify and write the touches; remove those, and the sessions, that late events made superfluous."""
    columns = _touch_columns(batch)
    rows = await conn.fetch(_UPSERT_TOUCHES, batch.tenant_id, *columns)
    batch.new_touches = [row["id"] for row in rows if row["is_new"]]
    batch.touched_visitors = {row["visitor_id"] for row in rows if row["is_new"]}
    gone = batch.visits.gone_touches
    if gone:
        await conn.execute(
            "delete from touches where tenant_id = $1 and id = any($2)", batch.tenant_id, [touch for touch, _ in gone]
        )
        batch.touched_visitors |= {visitor for _, visitor in gone}
    if batch.visits.gone_sessions:
        await conn.execute(
            "delete from sessions where tenant_id = $1 and id = any($2)", batch.tenant_id, batch.visits.gone_sessions
        )


def _by_visitor(events: Sequence[Event]) -> dict[UUID, list[Event]]:
    """The events in order, by visitor."""
    found: defaultdict[UUID, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.order):
        found[event.visitor_id].append(event)
    return found


async def _near_sessions(
    conn: Connection, batch: Batch, by_visitor: Mapping[UUID, list[Event]]
) -> Mapping[UUID, list[Session]]:
    """Sessions that the batch's events could belong to or join, oldest first, by visitor."""
    rows = await conn.fetch(
        _NEAR_SESSIONS,
        batch.tenant_id,
        list(by_visitor),
        [events[0].occurred_at - GAP for events in by_visitor.values()],
        [events[-1].occurred_at + GAP for events in by_visitor.values()],
    )
    near: defaultdict[UUID, list[Session]] = defaultdict(list)
    for row in rows:
        session = Session(*tuple(row)[:-1])
        session.last_key = tuple(row["last_key"]) if row["last_key"] else None
        near[session.visitor_id].append(session)
    return near


def _is_late(events: Sequence[Event], near: Sequence[Session]) -> bool:
    """Whether an event came before, or at the time of, one that is already in a session."""
    return any(session.ended_at >= events[0].occurred_at for session in near)


def _append(batch: Batch, events: Sequence[Event], near: Sequence[Session]) -> None:
    latest = near[-1] if near else None
    for run in runs(events):
        fits = latest is not None and run[0].occurred_at - latest.ended_at <= GAP
        session = latest if fits and latest is not None else open_session(run[0], uuid7())
        batch.visits.touches += add_run(session, run, batch.exclusions)
        batch.visits.sessions.append(session)
        latest = session


async def _rewrite(
    conn: Connection, batch: Batch, late: Mapping[UUID, list[Event]], near: Mapping[UUID, list[Session]]
) -> None:
    """Form these visitors' nearby sessions again from old and new events together."""
    spans = [(visitor, near[visitor][0].started_at, max(s.ended_at for s in near[visitor])) for visitor in late]
    rows = await conn.fetch(_EVENTS_OF, batch.tenant_id, *(list(column) for column in zip(*spans, strict=True)))
    old = _by_visitor([Event(*row) for row in rows])
    kept: set[UUID] = set()
    for visitor, events in late.items():
        known = {session.id: session for session in near[visitor]}
        before = {event.event_id: event.session_id for event in old[visitor]}
        sessions, touches = rebuild([*old[visitor], *events], known, uuid7, batch.exclusions)
        batch.visits.sessions += sessions
        batch.visits.touches += touches
        batch.visits.moved += [event for event in old[visitor] if event.session_id != before[event.event_id]]
        batch.visits.gone_sessions += known.keys() - {session.id for session in sessions}
        kept |= {touch.event.event_id for touch in touches}
    batch.visits.rewritten_visitors = set(late)
    stored = await conn.fetch(
        "select id, visitor_id, occurred_at from touches where tenant_id = $1 and session_id = any($2)",
        batch.tenant_id,
        [session.id for visitor in late for session in near[visitor]],
    )
    batch.visits.gone_touches = [(row["id"], row["visitor_id"]) for row in stored if row["id"] not in kept]
    batch.changed_at |= {session.started_at for visitor in late for session in near[visitor]}
    batch.changed_at |= {row["occurred_at"] for row in stored}


def _touch_columns(batch: Batch) -> list[list[object]]:
    """One list per column of the touches, each classified."""
    rows = []
    rules = ranked(batch.rules)
    decided: dict[Hit, tuple[str, bool]] = {}
    for touch in batch.visits.touches:
        event, origin = touch.event, touch.origin
        hit = hit_of(origin)
        if hit not in decided:
            rule = deciding_rule(hit, rules)
            decided[hit] = (UNASSIGNED if rule is None else rule.channel, is_paid(hit))
        channel, paid = decided[hit]
        rows.append(
            (
                event.event_id, event.visitor_id, touch.session_id, event.occurred_at, channel,
                origin.source, origin.medium, origin.campaign, origin.content, origin.term,
                origin.click_id_name, origin.click_id, origin.referrer, origin.referrer_host,
                event.url, path_of(event.url), origin.is_direct, paid,
            )
        )  # fmt: skip
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(18)]
