"""Who is who: what platforms and browsers say becomes people, each identifier with its evidence.

The rules, which give the same people in whatever order things become known:

* An e-mail address or a platform's contact id belongs to one person. Told together they are one person's; two people who turn out
  to share one are merged, and the merge is on record.
* A visitor belongs to the person it was identified as first, by the time it happened. A second e-mail address on the same device
  (a library computer, a shared laptop) makes its own person, takes no visitor over, and finds none of the first one's touches.
* A browser that a signed link took to another domain, where it was known by another id, has two ids: one under which nobody was
  identified belongs to whoever was first identified under the other.
* Where the tenant wants it, addresses that differ by a plus tag, or at Gmail by dots, are one person's too.
* Nothing but an equal identifier joins anything: not the address of the network, not the browser.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import asyncpg

from coursesignal.auth.callers import Caller
from coursesignal.db.ids import uuid7
from coursesignal.db.locks import lock_ledger
from coursesignal.events import PeopleMerged, VisitorIdentified
from coursesignal.identity import aliases, apart, store, tombstones
from coursesignal.identity.browsers import CARRIED, CHECKOUT, SECOND_HAND, ids_of_browsers
from coursesignal.identity.emails import email_key
from coursesignal.identity.sightings import Identified, Sighting, people_in
from coursesignal.jobs.outbox import enqueue, publish, publish_all
from coursesignal.tenancy import audit

__all__ = [
    "Identified",
    "Sighting",
    "email_key",
    "find_people",
    "identify_visitor",
    "identify_visitors",
    "join_browser",
    "person_for_contact",
]


_BUYERS = "select distinct person_id from purchases where tenant_id = $1 and person_id = any($2)"


async def person_for_contact(
    conn: asyncpg.Connection,
    tenant_id: UUID,
    *,
    email: str | None,
    contact_id: str | None = None,
    name: str | None = None,
    evidence: str,
    seen_at: datetime,
) -> UUID | None:
    """The person with that e-mail or contact id, made when new; None when neither says anything.

    ``contact_id`` must be unique in the tenant: "<connection>:<the platform's id>".
    """
    (person_id,) = await find_people(conn, tenant_id, [Sighting(email, contact_id, name, evidence, seen_at)])
    return person_id


async def find_people(
    conn: asyncpg.Connection, tenant_id: UUID, sightings: Sequence[Sighting]
) -> Sequence[UUID | None]:
    """The person of each sighting, made when new; None for one that names nobody.

    Somebody whose data was erased is nobody. Waits until no other transaction decides who is who in this tenant.
    """
    sightings = await tombstones.without_erased(conn, tenant_id, await aliases.regarded(conn, tenant_id, sightings))
    if not any(sighting.identifiers for sighting in sightings):
        return [None] * len(sightings)
    await lock_ledger(conn, tenant_id)
    if any(one.with_mailbox for one in sightings):  # each address is somebody first, so that joining them can be undone
        await _find(conn, tenant_id, [replace(one, with_mailbox=False) for one in sightings])
    return await _find(conn, tenant_id, sightings)


async def _find(conn: asyncpg.Connection, tenant_id: UUID, sightings: Sequence[Sighting]) -> Sequence[UUID | None]:
    kept_apart = await apart.pairs(conn, tenant_id)
    if not kept_apart:
        return await _people_of(conn, tenant_id, sightings)
    identifiers = {identifier for sighting in sightings for identifier in sighting.identifiers}
    found = await store.holders(conn, tenant_id, identifiers)
    people: list[UUID | None] = []
    for (
        sighting
    ) in sightings:  # one by one: two that name a stranger's contact must not join its holders behind our back
        people += await _people_of(conn, tenant_id, [apart.as_one(sighting, found, kept_apart)])
        found = await store.holders(conn, tenant_id, identifiers)
    return people


async def _people_of(conn: asyncpg.Connection, tenant_id: UUID, sightings: Sequence[Sighting]) -> Sequence[UUID | None]:
    found = await store.holders(conn, tenant_id, {one for sighting in sightings for one in sighting.identifiers})
    people = people_in(sightings, found)
    await store.keep(conn, tenant_id, people)
    for person in people:
        for loser, reason in person.absorbed.items():
            await announce_merge(conn, tenant_id, loser, person.id)
            await audit.record(
                conn,
                tenant_id,
                Caller(),
                "people.merged",
                str(person.id),
                {"from": str(loser), "reason": reason},
            )
    of = {identifier: person.id for person in people for identifier in person.identifiers}
    return [next((of[identifier] for identifier in sighting.identifiers), None) for sighting in sightings]


async def identify_visitor(
    conn: asyncpg.Connection, tenant_id: UUID, visitor_id: UUID, email: str, evidence: str, seen_at: datetime
) -> UUID | None:
    """Tie the visitor to the person with that e-mail; returns whom the visitor belongs to now.

    None, and nothing changes, when ``email`` is no address. A tie is announced and credits the people's purchases again.
    """
    ties = await identify_visitors(conn, tenant_id, [Identified(visitor_id, email, evidence, seen_at)])
    return ties.get(visitor_id)


async def identify_visitors(
    conn: asyncpg.Connection, tenant_id: UUID, identified: Sequence[Identified]
) -> Mapping[UUID, UUID]:
    """Tie each visitor to the person it was identified as first; returns the person of each visitor named by an address."""
    known = await tombstones.still_known(conn, tenant_id, identified)
    if not known:
        return {}
    sightings = [Sighting(one.email, None, None, one.evidence, one.seen_at) for one in known]
    people = await find_people(conn, tenant_id, sightings)
    visitors = {one.visitor_id for one in known}
    browsers = await ids_of_browsers(conn, tenant_id, visitors)
    first: dict[UUID, tuple[Identified, UUID]] = {}
    for one, person_id in zip(known, people, strict=True):
        assert person_id is not None
        for visitor_id in browsers[one.visitor_id]:
            named = _under(visitor_id, one)
            if visitor_id not in first or _rank(named) < _rank(first[visitor_id][0]):
                first[visitor_id] = (named, person_id)
    await _announce_ties(conn, tenant_id, await store.tie(conn, tenant_id, list(first.values())))
    return await store.people_of_visitors(conn, tenant_id, list(visitors))


async def join_browser(conn: asyncpg.Connection, tenant_id: UUID, visitor_id: UUID) -> None:
    """Give the ids of the visitor's browser that nobody was identified under to whoever was first, under another of them."""
    await lock_ledger(conn, tenant_id)
    browser = (await ids_of_browsers(conn, tenant_id, [visitor_id]))[visitor_id]
    first = await store.first_tie(conn, tenant_id, browser)
    if first is None:
        return
    ties = [
        (Identified(one, "", CARRIED, first.seen_at), first.person_id) for one in browser if one != first.visitor_id
    ]
    await _announce_ties(conn, tenant_id, await store.tie(conn, tenant_id, ties))


def _under(visitor_id: UUID, one: Identified) -> Identified:
    """The same identification, of another id of the browser."""
    return one if visitor_id == one.visitor_id else replace(one, visitor_id=visitor_id, evidence=CARRIED)


def _rank(one: Identified) -> tuple[bool, tuple[datetime, str]]:
    """The least names the visitor's person: what was given under its own id before what was carried, then the first."""
    return (one.evidence in SECOND_HAND, one.order)


async def _announce_ties(conn: asyncpg.Connection, tenant_id: UUID, ties: Sequence[store.Tie]) -> None:
    if not ties:
        return
    events = [
        VisitorIdentified(
            id=uuid7(), tenant_id=tenant_id, occurred_at=tie.seen_at, visitor_id=tie.visitor_id, person_id=tie.person_id
        )
        for tie in ties
    ]
    await publish_all(conn, events)
    people = {tie.person_id for tie in ties} | {tie.was for tie in ties if tie.was is not None}
    await _note_late(conn, tenant_id, [tie for tie in ties if tie.evidence != CHECKOUT], people)
    await credit_again(conn, tenant_id, sorted(people))


async def _note_late(
    conn: asyncpg.Connection, tenant_id: UUID, ties: Sequence[store.Tie], people: Collection[UUID]
) -> None:
    """Put on record which browsers became somebody's who had bought before: they change who is credited."""
    rows = await conn.fetch(_BUYERS, tenant_id, list(people))
    buyers = {row["person_id"] for row in rows}
    noted = [
        (
            str(tie.person_id),
            {"visitor": str(tie.visitor_id), "evidence": tie.evidence, "from": tie.was and str(tie.was)},
        )
        for tie in ties
        if {tie.person_id, tie.was} & buyers
    ]
    await audit.record_all(conn, tenant_id, Caller(), "people.identified_late", noted)


async def announce_merge(conn: asyncpg.Connection, tenant_id: UUID, loser: UUID, winner: UUID) -> None:
    """Tell plugins, and credit the purchases of both again."""
    now = await conn.fetchval("select now()")
    event = PeopleMerged(id=uuid7(), tenant_id=tenant_id, occurred_at=now, from_person_id=loser, into_person_id=winner)
    await publish(conn, event)
    await credit_again(conn, tenant_id, [loser, winner])


async def credit_again(conn: asyncpg.Connection, tenant_id: UUID, people: Sequence[UUID]) -> None:
    """Have the purchases of these people credited by their journeys as they are now."""
    await enqueue(conn, tenant_id, "core.attribute_people", {"personIds": [str(person) for person in people]})
