"""The job that applies a tenant's channel rules to the touches of the past: a batch a task, with progress, newest version only.

A touch keeps its id, so credits go on pointing at it. What was read from the addresses stays, except where a referrer was taken
onto the list of those that bring nobody, or off it: then the touch is read again from its event. A touch within a visit that this
leaves without a source was none, and is removed. Credits are computed again where they depend on what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from coursesignal.db import stale
from coursesignal.db.locks import lock_tracking
from coursesignal.jobs.outbox import enqueue
from coursesignal.jobs.tasks import Handler, TaskRun
from coursesignal.plugin import ChannelRule
from coursesignal.tracking.batch import Batch, Connection
from coursesignal.tracking.channels import UNASSIGNED, deciding_rule, hit_of, is_paid, ranked
from coursesignal.tracking.click_ids import CLICK_IDS
from coursesignal.tracking.exclusions import Exclusions, brought_nobody
from coursesignal.tracking.following import mark_opt_ins
from coursesignal.tracking.origins import Origin, read_origin
from coursesignal.tracking.pipeline import ChannelRulesOf
from coursesignal.tracking.rule_store import APPLY, InForce, rules_in_force
from coursesignal.tracking.urls import host_of

TOUCHES_AT_ONCE = 2000
_READ = ("source", "medium", "campaign", "content", "term", "click_id_name", "click_id", "referrer", "referrer_host")

_TOUCHES = """
select t.id, t.visitor_id, t.occurred_at, t.channel, t.is_direct, t.is_paid, t.source, t.medium, t.campaign, t.content, t.term,
    t.click_id_name, t.click_id, t.referrer, t.referrer_host, t.occurred_at > s.started_at as within, e.site_id,
    coalesce(e.url, '') as seen_url, coalesce(e.referrer, '') as seen_referrer
from touches t
join sessions s on s.tenant_id = t.tenant_id and s.id = t.session_id
left join events e on e.tenant_id = t.tenant_id and e.event_id = t.event_id and e.occurred_at = t.occurred_at
where t.tenant_id = $1 and t.id > $2 order by t.id limit $3
"""
_CHANGE = """
update touches t set channel = c.channel, is_direct = c.is_direct, is_paid = c.is_paid, source = c.source, medium = c.medium,
    referrer = c.referrer, referrer_host = c.referrer_host
from unnest($2::uuid[], $3::text[], $4::bool[], $5::bool[], $6::text[], $7::text[], $8::text[], $9::text[])
    as c (id, channel, is_direct, is_paid, source, medium, referrer, referrer_host)
where t.tenant_id = $1 and t.id = c.id
"""
_BEGIN = """
update channel_rules set status = 'running', started_at = coalesce(started_at, now()),
    total = coalesce(total, (select count(*) from touches t where t.tenant_id = $1))
where tenant_id = $1 and version = $2 and status in ('pending', 'running')
    and version = (select max(version) from channel_rules where tenant_id = $1)
returning position
"""
_PROGRESS = """
update channel_rules set processed = processed + $3, changed = changed + $4, position = $5,
    status = case when $6 then 'completed' else status end, finished_at = case when $6 then now() end
where tenant_id = $1 and version = $2 returning changed
"""


@dataclass(slots=True)
class _Outcome:
    """What a batch of touches comes to: rows to change, touches that were none, and whose credits depend on it."""

    changed: list[tuple[object, ...]] = field(default_factory=list)
    gone: list[UUID] = field(default_factory=list)
    visitors: set[UUID] = field(default_factory=set)
    bereft: set[UUID] = field(default_factory=set)
    """Visitors of the touches that are gone."""
    moments: set[datetime] = field(default_factory=set)
    """When the touches are, or were, that change or go."""


def handlers(rules_of: ChannelRulesOf) -> dict[str, Handler]:
    """The job by name; ``rules_of`` gives a tenant's plugins' channel rules."""
    return {APPLY: partial(_apply, rules_of)}


async def _apply(rules_of: ChannelRulesOf, run: TaskRun) -> None:
    """One batch, and a task for the next; the last has the learning models learn from the new channels."""
    tenant_id, version = run.task.tenant_id, run.task.payload["version"]
    plugins = await rules_of(tenant_id)
    async with run.effects() as conn:
        await lock_tracking(conn, tenant_id)
        began = await conn.fetchrow(_BEGIN, tenant_id, version)
        if began is None:
            return  # a newer version is being applied, or this one is done
        rows = await conn.fetch(_TOUCHES, tenant_id, began["position"] or UUID(int=0), TOUCHES_AT_ONCE)
        outcome = await _rewrite(conn, tenant_id, rows, plugins)
        done = len(rows) < TOUCHES_AT_ONCE
        position = rows[-1]["id"] if rows else began["position"]
        moved = len(outcome.changed) + len(outcome.gone)
        changed = await conn.fetchval(_PROGRESS, tenant_id, version, len(rows), moved, position, done)
        if not done:
            await enqueue(conn, tenant_id, APPLY, {"version": version})
        elif changed:
            await enqueue(conn, tenant_id, "core.learn", {})


async def _rewrite(conn: Connection, tenant_id: UUID, rows: Sequence[Any], plugins: Sequence[ChannelRule]) -> _Outcome:
    own = await rules_in_force(conn, tenant_id)
    sites = await conn.fetch("select id, allowed_hosts from sites where tenant_id = $1", tenant_id)
    exclusions = {site["id"]: _exclusions(site["allowed_hosts"], own) for site in sites}
    outcome = _decide(rows, ranked((*own.channel_rules, *plugins)), exclusions)
    if outcome.changed:
        await conn.execute(_CHANGE, tenant_id, *(list(column) for column in zip(*outcome.changed, strict=True)))
    if outcome.gone:
        await conn.execute("delete from touches where tenant_id = $1 and id = any($2)", tenant_id, outcome.gone)
        batch = Batch(tenant_id, ())
        batch.visits.rewritten_visitors = outcome.bereft
        await mark_opt_ins(conn, batch)
        outcome.moments |= batch.changed_at
    await stale.mark(conn, tenant_id, "visits", outcome.moments)
    await _credit_again(conn, tenant_id, outcome.visitors)
    return outcome


def _exclusions(hosts: Iterable[str], own: InForce) -> Exclusions:
    return Exclusions((*hosts, *own.excluded_referrers), own.counted_referrers)


def _decide(rows: Sequence[Any], rules: Sequence[ChannelRule], exclusions: Mapping[UUID, Exclusions]) -> _Outcome:
    outcome = _Outcome()
    for row in rows:
        origin = _origin(row, exclusions.get(row["site_id"], Exclusions()))
        if origin.is_direct and row["within"]:
            outcome.gone.append(row["id"])
            outcome.moments.add(row["occurred_at"])
            outcome.bereft.add(row["visitor_id"])
            outcome.visitors.add(row["visitor_id"])
            continue
        hit = hit_of(origin)
        rule = deciding_rule(hit, rules)
        channel, paid = UNASSIGNED if rule is None else rule.channel, is_paid(hit)
        flags = (origin.is_direct, paid)
        if (channel, *flags, origin) == (row["channel"], row["is_direct"], row["is_paid"], _stored(row)):
            continue
        outcome.moments.add(row["occurred_at"])
        outcome.changed.append(
            (row["id"], channel, *flags, origin.source, origin.medium, origin.referrer, origin.referrer_host)
        )
        if flags != (row["is_direct"], row["is_paid"]):
            outcome.visitors.add(row["visitor_id"])
    return outcome


def _stored(row: Any) -> Origin:
    return Origin(*(row[name] for name in _READ))


def _origin(row: Any, exclusions: Exclusions) -> Origin:
    """The touch's origin as stored; read again where its referrer brings somebody now and did not, or the other way round."""
    stored, referrer = _stored(row), row["seen_referrer"]
    if not referrer or not host_of(referrer):
        return stored
    nobody = brought_nobody(referrer, host_of(row["seen_url"]), exclusions.own, exclusions.counted)
    known = CLICK_IDS.get(stored.click_id_name.lower())
    if nobody == (stored.referrer == "") or (known is not None and known.personal):
        return stored  # what a personal id said is not in the stored address any more
    return read_origin(row["seen_url"], referrer, exclusions.own, exclusions.counted)


async def _credit_again(conn: Connection, tenant_id: UUID, visitors: set[UUID]) -> None:
    people = await conn.fetch(
        "select distinct person_id as id from visitors where tenant_id = $1 and id = any($2) and person_id is not null",
        tenant_id,
        list(visitors),
    )
    if people:
        payload = {"personIds": sorted(str(person["id"]) for person in people)}
        await enqueue(conn, tenant_id, "core.attribute_people", payload)
