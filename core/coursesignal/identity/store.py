"""People, their identifiers and their visitors as rows. Callers hold the tenant's ledger lock."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from coursesignal.identity import apart
from coursesignal.identity.browsers import CARRIED, CHECKOUT, SECOND_HAND
from coursesignal.identity.sightings import Identified, Identifier, Person

_HOLDERS = """
    select i.kind, i.value_key, i.person_id from person_identifiers i
    join unnest($2::text[], $3::text[]) as w (kind, value_key) using (kind, value_key) where i.tenant_id = $1"""

_KEEP_PERSON = """
    insert into people as p (tenant_id, id, email, name, first_seen_at) values ($1, $2, $3, $4, $5)
    on conflict (tenant_id, id) do update set name = coalesce(p.name, excluded.name), email = coalesce(p.email, excluded.email),
        first_seen_at = least(p.first_seen_at, excluded.first_seen_at)"""

_KEEP_IDENTIFIER = """
    insert into person_identifiers as i (tenant_id, person_id, kind, value_key, evidence, first_seen_at)
    values ($1, $2, $3, $4, $5, $6)
    on conflict (tenant_id, kind, value_key) do update
        set evidence = excluded.evidence, first_seen_at = excluded.first_seen_at
        where (excluded.first_seen_at, excluded.evidence) < (i.first_seen_at, i.evidence)"""

_TIE = """
    insert into person_identifiers as i (tenant_id, kind, person_id, value_key, evidence, first_seen_at)
    select $1, 'visitor', * from unnest($2::uuid[], $3::text[], $4::text[], $5::timestamptz[])
    on conflict (tenant_id, kind, value_key) do update
        set person_id = excluded.person_id, evidence = excluded.evidence, first_seen_at = excluded.first_seen_at
        where (excluded.evidence = any($6), excluded.first_seen_at) < (i.evidence = any($6), i.first_seen_at)
    returning value_key"""

_KEEP_VISITORS = """
    insert into visitors as v (tenant_id, id, person_id, first_seen_at, last_seen_at)
    select $1, id, person_id, seen_at, seen_at
    from unnest($2::uuid[], $3::uuid[], $4::timestamptz[]) as t (id, person_id, seen_at)
    on conflict (tenant_id, id) do update set person_id = excluded.person_id"""


@dataclass(frozen=True, slots=True)
class Tie:
    """A visitor that belongs to another person than before; ``was`` is that person, None when there was none."""

    visitor_id: UUID
    person_id: UUID
    was: UUID | None
    seen_at: datetime
    evidence: str = ""


async def holders(
    conn: asyncpg.Connection, tenant_id: UUID, identifiers: Collection[Identifier]
) -> Mapping[Identifier, UUID]:
    """Whom each identifier that is known belongs to."""
    kinds, values = [kind for kind, _ in identifiers], [value for _, value in identifiers]
    rows = await conn.fetch(_HOLDERS, tenant_id, kinds, values)
    return {(row["kind"], row["value_key"]): row["person_id"] for row in rows}


async def keep(conn: asyncpg.Connection, tenant_id: UUID, people: Sequence[Person]) -> None:
    """Store what was seen of ``people``, and move to each all that belonged to those it absorbed."""
    await conn.executemany(_KEEP_PERSON, [_person_row(tenant_id, person) for person in people])
    for person in people:
        for loser, reason in person.absorbed.items():
            await move(conn, tenant_id, loser, person.id, reason)
    await conn.executemany(
        _KEEP_IDENTIFIER,
        [
            (tenant_id, person.id, kind, value, evidence, seen_at)
            for person in people
            for (kind, value), (seen_at, evidence) in person.identifiers.items()
        ],
    )


def _person_row(tenant_id: UUID, person: Person) -> tuple[object, ...]:
    emails = sorted((seen, value) for (kind, value), seen in person.identifiers.items() if kind == "email")
    first_seen_at = min(seen_at for seen_at, _ in person.identifiers.values())
    return (tenant_id, person.id, emails[0][1] if emails else None, person.name, first_seen_at)


async def move(conn: asyncpg.Connection, tenant_id: UUID, loser: UUID, winner: UUID, reason: str) -> UUID:
    """Everything of ``loser`` is the ``winner``'s from now on; what moved is on record under the id that is returned."""
    await apart.follow(conn, tenant_id, loser, winner)
    moved: dict[str, list[str]] = {}
    for table in ("person_identifiers", "visitors", "purchases"):
        rows = await conn.fetch(
            f"update {table} set person_id = $3 where tenant_id = $1 and person_id = $2 returning id",  # noqa: S608
            tenant_id, loser, winner,
        )  # fmt: skip
        moved[table] = [str(row["id"]) for row in rows]
    await conn.execute(
        "update people w set name = coalesce(w.name, l.name), email = coalesce(w.email, l.email), "
        "first_seen_at = least(w.first_seen_at, l.first_seen_at) "
        "from people l where w.tenant_id = $1 and w.id = $3 and l.tenant_id = $1 and l.id = $2",
        tenant_id, loser, winner,
    )  # fmt: skip
    await conn.execute(
        "update people set merged_into = $3 where tenant_id = $1 and (id = $2 or merged_into = $2)",
        tenant_id,
        loser,
        winner,
    )
    merge_id: UUID = await conn.fetchval(
        "insert into merges (tenant_id, from_person_id, into_person_id, reason, moved) values ($1, $2, $3, $4, $5) returning id",
        tenant_id, loser, winner, reason, moved,
    )  # fmt: skip
    return merge_id


async def first_tie(conn: asyncpg.Connection, tenant_id: UUID, visitors: Sequence[UUID]) -> Tie | None:
    """The earliest identification among these visitors, by an address that was given under one of them."""
    row = await conn.fetchrow(
        "select value_key, person_id, first_seen_at from person_identifiers "
        "where tenant_id = $1 and kind = 'visitor' and value_key = any($2) and evidence <> $3 "
        "order by evidence = $4, first_seen_at, person_id limit 1",
        tenant_id, [str(visitor) for visitor in visitors], CARRIED, CHECKOUT,
    )  # fmt: skip
    return row and Tie(UUID(row["value_key"]), row["person_id"], row["person_id"], row["first_seen_at"])


async def tie(conn: asyncpg.Connection, tenant_id: UUID, firsts: Sequence[tuple[Identified, UUID]]) -> Sequence[Tie]:
    """Give each visitor its person unless it has a better or an earlier one; returns the visitors that changed hands."""
    given = await conn.fetch(
        _TIE,
        tenant_id,
        [person_id for _, person_id in firsts],
        [str(one.visitor_id) for one, _ in firsts],
        [one.evidence for one, _ in firsts],
        [one.seen_at for one, _ in firsts],
        list(SECOND_HAND),
    )
    taken = {UUID(row["value_key"]) for row in given}
    before = await people_of_visitors(conn, tenant_id, list(taken))
    ties = [
        Tie(one.visitor_id, person_id, before.get(one.visitor_id), one.seen_at, one.evidence)
        for one, person_id in firsts
        if one.visitor_id in taken and before.get(one.visitor_id) != person_id
    ]
    await conn.execute(
        _KEEP_VISITORS,
        tenant_id,
        [tie.visitor_id for tie in ties],
        [tie.person_id for tie in ties],
        [tie.seen_at for tie in ties],
    )
    return ties


async def people_of_visitors(
    conn: asyncpg.Connection, tenant_id: UUID, visitors: Sequence[UUID]
) -> Mapping[UUID, UUID]:
    """Whom each visitor that has a person belongs to."""
    rows = await conn.fetch(
        "select id, person_id from visitors where tenant_id = $1 and id = any($2) and person_id is not null",
        tenant_id, list(visitors),
    )  # fmt: skip
    return {row["id"]: row["person_id"] for row in rows}
