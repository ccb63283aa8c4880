"""Joining two people by hand, and taking apart what was joined: with everything that is theirs, and on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.auth.callers import Caller
from coursesignal.db.locks import lock_ledger
from coursesignal.errors import Conflict, FieldError, Invalid, NotFound
from coursesignal.identity import apart, store
from coursesignal.identity.emails import email_key
from coursesignal.identity.service import announce_merge, credit_again
from coursesignal.tenancy import audit

BY_HAND = "joined by hand"
MOVED = ("person_identifiers", "visitors", "purchases")

_TAKE_BACK = "update {table} set person_id = $2 where tenant_id = $1 and person_id = $3 and id = any($4::uuid[])"
# What an address or a contact id says of whose something is; the first that was said counts.
_PURCHASES = """
    select p.id, p.email, (
        select p.connection_id || ':' || (f.facts->'contact'->>'external_id') from purchase_facts f
        where f.tenant_id = $1 and f.purchase_id = p.id and f.facts->'contact'->>'external_id' is not null
        order by f.occurred_at limit 1
    ) as contact_id
    from purchases p where p.tenant_id = $1 and p.person_id = $2"""
_VISITORS = """
    select distinct on (v.id) v.id, e.email, null as contact_id
    from visitors v join events e on e.tenant_id = $1 and e.visitor_id = v.id
    where v.tenant_id = $1 and v.person_id = $2 and e.type = 'identify' and e.email is not null
    order by v.id, e.occurred_at"""


async def merge(conn: asyncpg.Connection, tenant_id: UUID, caller: Caller, loser: UUID, winner: UUID) -> UUID:
    """Make ``loser`` part of ``winner``; returns the merge's id. Raises NotFound, Invalid, Conflict."""
    await lock_ledger(conn, tenant_id)
    if loser == winner:
        raise Invalid("A person cannot be joined with itself.", errors=[FieldError("into", "Name another person.")])
    for person_id in (loser, winner):
        await _require_whole(conn, tenant_id, person_id)
    merge_id = await store.move(conn, tenant_id, loser, winner, BY_HAND)
    await announce_merge(conn, tenant_id, loser, winner)
    detail = {"from": str(loser), "into": str(winner), "merge": str(merge_id)}
    await audit.record(conn, tenant_id, caller, "people.merged", str(winner), detail)
    return merge_id


async def undo(
    conn: asyncpg.Connection, tenant_id: UUID, caller: Caller, merge_id: UUID, *, for_good: bool = True
) -> None:
    """Take apart what a merge joined, and keep it so ``for_good``; what came since goes to whom its address or contact names.

    Raises NotFound, and Conflict for one that was undone or that a later merge builds on.
    """
    await lock_ledger(conn, tenant_id)
    row = await conn.fetchrow("select * from merges where tenant_id = $1 and id = $2", tenant_id, merge_id)
    if row is None:
        raise NotFound
    if row["undone_at"] is not None:
        raise Conflict("This merge was undone already.")
    person, other = row["from_person_id"], row["into_person_id"]
    await _require_whole(conn, tenant_id, other)
    await conn.execute("update merges set undone_at = now() where tenant_id = $1 and id = $2", tenant_id, merge_id)
    await _stand_alone(conn, tenant_id, person)
    for table in MOVED:
        await conn.execute(_TAKE_BACK.format(table=table), tenant_id, person, other, row["moved"].get(table, []))
    await _take_back_later(conn, tenant_id, person, other)
    await _rename(conn, tenant_id, other)
    if for_good:
        await apart.keep(conn, tenant_id, person, other)
    await credit_again(conn, tenant_id, [person, other])
    detail = {"from": str(person), "into": str(other), "merge": str(merge_id)}
    await audit.record(conn, tenant_id, caller, "people.unmerged", str(other), detail)


async def _require_whole(conn: asyncpg.Connection, tenant_id: UUID, person_id: UUID) -> None:
    row = await conn.fetchrow("select merged_into from people where tenant_id = $1 and id = $2", tenant_id, person_id)
    if row is None:
        raise NotFound
    if row["merged_into"] is not None:
        raise Conflict(
            "This person is part of another one by now.",
            detail=f"Undo the merge into {row['merged_into']} first, or name that person instead.",
        )


async def _stand_alone(conn: asyncpg.Connection, tenant_id: UUID, person: UUID) -> None:
    """The person is whole again, and whoever was joined into it before is part of it."""
    await conn.execute("update people set merged_into = null where tenant_id = $1 and id = $2", tenant_id, person)
    parts = [person]
    while parts:
        rows = await conn.fetch(
            "update people p set merged_into = $2 from merges m where p.tenant_id = $1 and m.tenant_id = $1 "
            "and m.undone_at is null and m.into_person_id = any($3) and p.id = m.from_person_id and p.id <> $2 returning p.id",
            tenant_id, person, parts,
        )  # fmt: skip
        parts = [row["id"] for row in rows]


async def _take_back_later(conn: asyncpg.Connection, tenant_id: UUID, person: UUID, other: UUID) -> None:
    """What came in after the merge and names ``person``."""
    for table, query in (("purchases", _PURCHASES), ("visitors", _VISITORS)):
        rows = await conn.fetch(query, tenant_id, other)
        mine = await _named(conn, tenant_id, rows, person)
        await conn.execute(_TAKE_BACK.format(table=table), tenant_id, person, other, mine)
        if table == "visitors":
            await conn.execute(
                "update person_identifiers set person_id = $2 where tenant_id = $1 and person_id = $3 "
                "and kind = 'visitor' and value_key = any($4)",
                tenant_id, person, other, [str(visitor) for visitor in mine],
            )  # fmt: skip


async def _named(conn: asyncpg.Connection, tenant_id: UUID, rows: Sequence[Any], person: UUID) -> list[UUID]:
    """Those rows whose address, or without one whose contact id, is the person's."""
    named: Mapping[UUID, Any] = {
        row["id"]: ("email", key) if (key := email_key(row["email"])) else ("contact", row["contact_id"])
        for row in rows
        if row["email"] or row["contact_id"]
    }
    holders = await store.holders(conn, tenant_id, set(named.values()))
    return [row_id for row_id, identifier in named.items() if holders.get(identifier) == person]


async def _rename(conn: asyncpg.Connection, tenant_id: UUID, person: UUID) -> None:
    """The address a person is shown by is one of its own."""
    await conn.execute(
        "update people set email = (select i.value_key from person_identifiers i where i.tenant_id = $1 "
        "and i.person_id = $2 and i.kind = 'email' order by i.first_seen_at, i.value_key limit 1) "
        "where tenant_id = $1 and id = $2",
        tenant_id, person,
    )  # fmt: skip
