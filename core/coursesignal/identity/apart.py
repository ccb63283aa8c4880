"""People whom somebody took apart: what names both of them joins them no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from uuid import UUID

import asyncpg

from coursesignal.identity.sightings import Identifier, Sighting

Pairs = frozenset[frozenset[UUID]]

_FOLLOW = """
    with gone as (
        delete from people_apart where tenant_id = $1 and (one_id = $2 or other_id = $2)
        returning case when one_id = $2 then other_id else one_id end as other
    )
    insert into people_apart (tenant_id, one_id, other_id)
    select $1, least(other, $3::uuid), greatest(other, $3::uuid) from gone where other <> $3
    on conflict do nothing"""


async def pairs(conn: asyncpg.Connection, tenant_id: UUID) -> Pairs:
    """Who is kept apart from whom; nearly always nobody."""
    rows = await conn.fetch("select one_id, other_id from people_apart where tenant_id = $1", tenant_id)
    return frozenset(frozenset(row) for row in rows)


async def keep(conn: asyncpg.Connection, tenant_id: UUID, one: UUID, other: UUID) -> None:
    """From now on nothing but a request joins these two."""
    await conn.execute(
        "insert into people_apart (tenant_id, one_id, other_id) values ($1, $2, $3) on conflict do nothing",
        tenant_id, *sorted((one, other)),
    )  # fmt: skip


async def follow(conn: asyncpg.Connection, tenant_id: UUID, loser: UUID, winner: UUID) -> None:
    """Whoever is kept apart from ``loser`` is from the person it becomes part of; the two themselves are not any more."""
    await conn.execute(_FOLLOW, tenant_id, loser, winner)


def as_one(sighting: Sighting, holders: Mapping[Identifier, UUID], apart: Pairs) -> Sighting:
    """The sighting without its contact id, and without its mailbox, when people kept apart would become one by it."""
    for less in ({}, {"contact_id": None}, {"with_mailbox": False}, {"contact_id": None, "with_mailbox": False}):
        left = replace(sighting, **less)
        held = sorted({holders[one] for one in left.identifiers if one in holders})
        if not any(frozenset(pair) in apart for pair in combinations(held, 2)):
            break
    return left
