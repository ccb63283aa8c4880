"""Join the people of one mailbox when a tenant wants them to be one, and take them apart when it does not any more."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from coursesignal.auth.callers import Caller
from coursesignal.db.locks import lock_ledger
from coursesignal.errors import Conflict
from coursesignal.groups import Groups
from coursesignal.identity import aliases
from coursesignal.identity.emails import email_key
from coursesignal.identity.merging import undo
from coursesignal.identity.service import credit_again, find_people
from coursesignal.identity.sightings import NAMED_TOGETHER, SAME_MAILBOX, Sighting
from coursesignal.jobs.outbox import enqueue
from coursesignal.jobs.tasks import TaskRun

REFOLD = "core.refold_people"
"""The job that reads again what platforms said of these people's purchases."""
BATCH = 2000

_ADDRESSES = """
    select value_key, evidence, first_seen_at from person_identifiers
    where tenant_id = $1 and kind = 'email' and value_key > $2 order by value_key limit $3"""
_JOINED = """
    select id, from_person_id, into_person_id, reason from merges
    where tenant_id = $1 and reason = any($2) and undone_at is null order by merged_at desc, id desc"""
# What came to these people by name of another while they were one: a contact, and each address after their first. What hands
# joined is theirs.
_FORGET = """
    delete from person_identifiers i where i.tenant_id = $1 and i.person_id = any($2) and not exists (
        select from merges m
        where m.tenant_id = $1 and m.into_person_id = i.person_id and m.undone_at is null
            and m.moved->'person_identifiers' ? i.id::text
    ) and (i.kind = 'contact' or i.kind = 'email' and exists (
        select from person_identifiers f
        where f.tenant_id = $1 and f.person_id = i.person_id and f.kind = 'email'
            and (f.first_seen_at, f.value_key) < (i.first_seen_at, i.value_key)))"""
_IDENTIFIED = """
    select distinct on (v.id) v.id, v.person_id, e.email, e.occurred_at
    from visitors v join events e on e.tenant_id = $1 and e.visitor_id = v.id and e.type = 'identify' and e.email is not null
    where v.tenant_id = $1 and v.person_id = any($2)
    order by v.id, e.occurred_at, e.event_id"""
_RETIE = """
    with moved as (
        update visitors v set person_id = n.person_id from unnest($2::uuid[], $3::uuid[]) as n (id, person_id)
        where v.tenant_id = $1 and v.id = n.id
    )
    update person_identifiers i set person_id = n.person_id from unnest($2::uuid[], $3::uuid[]) as n (id, person_id)
    where i.tenant_id = $1 and i.kind = 'visitor' and i.value_key = n.id::text"""


async def switch_aliases(run: TaskRun) -> None:
    """Bring every person in line with the setting as it is now; raises LeaseLost."""
    tenant_id = run.task.tenant_id
    async with run.db.tenant(tenant_id) as conn:
        wanted = await aliases.are_one(conn, tenant_id)
    if wanted:
        await _join(run)
    async with run.effects() as conn:
        if not wanted:
            await lock_ledger(conn, tenant_id)
            await _take_apart(conn, tenant_id)


async def _join(run: TaskRun) -> None:
    """See every address again, with its mailbox."""
    tenant_id, after = run.task.tenant_id, ""
    while True:
        async with run.step() as conn:
            rows = await conn.fetch(_ADDRESSES, tenant_id, after, BATCH)
            await find_people(
                conn, tenant_id, [Sighting(row[0], None, None, row["evidence"], row["first_seen_at"]) for row in rows]
            )
        if len(rows) < BATCH:
            return
        after = rows[-1]["value_key"]


async def _take_apart(conn: asyncpg.Connection, tenant_id: UUID) -> None:
    """Undo what mailboxes joined and what was joined to that, from the last merge to the first; what hands joined stays.

    What else these people are known by is then read anew from what platforms said: it may join them again, for its own reason.
    """
    await conn.execute("delete from person_identifiers where tenant_id = $1 and kind = 'mailbox'", tenant_id)
    parted: set[UUID] = set()
    for row in _concerned(await conn.fetch(_JOINED, tenant_id, [SAME_MAILBOX, NAMED_TOGETHER])):
        try:
            await undo(conn, tenant_id, Caller(), row["id"], for_good=False)
        except Conflict:
            continue
        parted |= {row["from_person_id"], row["into_person_id"]}
    people = sorted(parted)
    await conn.execute(_FORGET, tenant_id, people)
    for start in range(0, len(people), BATCH):
        await enqueue(conn, tenant_id, REFOLD, {"personIds": [str(one) for one in people[start : start + BATCH]]})


def _concerned(merges: Sequence[asyncpg.Record]) -> Sequence[asyncpg.Record]:
    """Those merges, in their order, of people of whom any were joined for their mailbox."""
    people = Groups[UUID]()
    for row in merges:
        people.unite((row["from_person_id"], row["into_person_id"]))
    by_mailbox = {people.of(row["into_person_id"]) for row in merges if row["reason"] == SAME_MAILBOX}
    return [row for row in merges if people.of(row["into_person_id"]) in by_mailbox]


async def retie(conn: asyncpg.Connection, tenant_id: UUID, people: Sequence[UUID]) -> None:
    """Give each browser of these people to whoever has the address that was first given in it."""
    rows = [row for row in await conn.fetch(_IDENTIFIED, tenant_id, list(people)) if email_key(row["email"])]
    sightings = [Sighting(row["email"], None, None, "identify", row["occurred_at"]) for row in rows]
    owners = await find_people(conn, tenant_id, sightings)
    moved = [
        (row["id"], owner)
        for row, owner in zip(rows, owners, strict=True)
        if owner is not None and owner != row["person_id"]
    ]
    await conn.execute(_RETIE, tenant_id, [one[0] for one in moved], [one[1] for one in moved])
    await credit_again(conn, tenant_id, sorted({*people, *(owner for _, owner in moved)}))
