"""People as they are shown: who they are, by what they are known and on what evidence, and what was joined."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.errors import FieldError, Invalid, NotFound
from coursesignal.web.cursors import Place, decode_cursor, encode_cursor

MAX_LIMIT, MAX_SEARCH = 200, 254
MAX_LISTED = 200
"""Of a person's visitors and purchases; a shared mailbox may have any number."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An answer of /api/people."""


class PersonLine(Answer, frozen=True, kw_only=True):
    """A person in a list."""

    id: UUID
    email: str | None
    name: str | None
    first_seen_at: datetime
    visitors: int
    purchases: int


class PeoplePage(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """Newest first; ``nextCursor`` is absent on the last page."""

    items: list[PersonLine]
    next_cursor: str | None = None


class IdentifierOut(Answer, frozen=True, kw_only=True):
    """``kind`` is email, contact, checkout or visitor; ``evidence`` is what tied it to the person, and how surely."""

    kind: str
    value: str
    evidence: str
    confidence: str
    first_seen_at: datetime


class VisitorOut(Answer, frozen=True, kw_only=True):
    """A browser of the person."""

    id: UUID
    first_seen_at: datetime
    last_seen_at: datetime
    events: int


class PurchaseOut(Answer, frozen=True, kw_only=True):
    """``match`` says how the purchase was tied to visits, "unmatched" when it was not."""

    id: UUID
    platform: str
    product: str
    currency: str
    charged_minor: int
    refunded_minor: int
    purchased_at: datetime
    match: str


class MergeOut(Answer, frozen=True, kw_only=True):
    """Two people that were found to be one, and why."""

    id: UUID
    from_person_id: UUID
    into_person_id: UUID
    reason: str
    merged_at: datetime
    undone_at: datetime | None


class PersonOut(PersonLine, frozen=True, kw_only=True):
    """A person opened. ``merged_into`` is whom it became part of: what was its own is listed there."""

    merged_into: UUID | None
    identifiers: list[IdentifierOut]
    seen_as: list[VisitorOut]
    bought: list[PurchaseOut]
    merges: list[MergeOut]
    kept_apart_from: list[UUID]


_LINES = """
    select p.id, p.email, p.name, p.first_seen_at, p.merged_into,
        (select count(*) from visitors v where v.tenant_id = $1 and v.person_id = p.id) as visitors,
        (select count(*) from purchases b where b.tenant_id = $1 and b.person_id = p.id) as purchases
    from people p where p.tenant_id = $1"""
_PAGE = f"""{_LINES} and p.merged_into is null
    and ($2 = '' or strpos(lower(coalesce(p.name, '')), $2) > 0 or exists (
        select from person_identifiers i
        where i.tenant_id = $1 and i.person_id = p.id and i.kind = 'email' and strpos(i.value_key, $2) > 0))
    and ($3::timestamptz is null or (p.first_seen_at, p.id) < ($3, $4::uuid))
    order by p.first_seen_at desc, p.id desc limit $5"""
_IDENTIFIERS = """
    select kind, value_key as value, evidence, confidence, first_seen_at from person_identifiers
    where tenant_id = $1 and person_id = $2 order by kind, first_seen_at, value_key"""
_VISITORS = f"""
    select id, first_seen_at, last_seen_at, events from visitors
    where tenant_id = $1 and person_id = $2 order by first_seen_at, id limit {MAX_LISTED}"""  # noqa: S608 – of constants
_PURCHASES = f"""
    select id, platform, product, currency, charged_minor, refunded_minor, purchased_at, match from purchases
    where tenant_id = $1 and person_id = $2 order by purchased_at desc, id desc limit {MAX_LISTED}"""  # noqa: S608 – of constants
_MERGES = "select id, from_person_id, into_person_id, reason, merged_at, undone_at from merges where tenant_id = $1"
_APART = """
    select case when one_id = $2 then other_id else one_id end as id from people_apart
    where tenant_id = $1 and (one_id = $2 or other_id = $2) order by 1"""


async def page(conn: asyncpg.Connection, tenant_id: UUID, search: str, cursor: str, limit: int) -> PeoplePage:
    """People whose name or an address of whom contains ``search``; raises Invalid."""
    _check(search, limit)
    place = decode_cursor(cursor)
    at, person_id = (place.at, place.id) if place else (None, None)
    rows = await conn.fetch(_PAGE, tenant_id, search.strip().lower(), at, person_id, limit + 1)
    items = [PersonLine(**_without(row, "merged_into")) for row in rows[:limit]]
    more = len(rows) > limit
    last = encode_cursor(Place(items[-1].first_seen_at, items[-1].id)) if more else None
    return PeoplePage(items=items, next_cursor=last)


async def person(conn: asyncpg.Connection, tenant_id: UUID, person_id: UUID) -> PersonOut:
    """One person with all its evidence; raises NotFound."""
    row = await conn.fetchrow(f"{_LINES} and p.id = $2", tenant_id, person_id)
    if row is None:
        raise NotFound
    about = (tenant_id, person_id)
    return PersonOut(
        **dict(row),
        identifiers=[IdentifierOut(**dict(one)) for one in await conn.fetch(_IDENTIFIERS, *about)],
        seen_as=[VisitorOut(**dict(one)) for one in await conn.fetch(_VISITORS, *about)],
        bought=[PurchaseOut(**dict(one)) for one in await conn.fetch(_PURCHASES, *about)],
        merges=await merges(conn, tenant_id, person_id),
        kept_apart_from=[one["id"] for one in await conn.fetch(_APART, *about)],
    )


async def merges(conn: asyncpg.Connection, tenant_id: UUID, person_id: UUID | None = None) -> list[MergeOut]:
    """Merges of the tenant, or of one person, newest first."""
    where = "" if person_id is None else "and (from_person_id = $2 or into_person_id = $2)"
    values: Sequence[object] = () if person_id is None else (person_id,)
    rows = await conn.fetch(
        f"{_MERGES} {where} order by merged_at desc, id desc limit {MAX_LISTED}", tenant_id, *values
    )
    return [MergeOut(**dict(row)) for row in rows]


def _without(row: Any, name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def _check(search: str, limit: int) -> None:
    errors = []
    if len(search) > MAX_SEARCH or "\0" in search:
        errors.append(FieldError("search", f"Must be text of at most {MAX_SEARCH} characters."))
    if not 1 <= limit <= MAX_LIMIT:
        errors.append(FieldError("limit", f"Must be from 1 to {MAX_LIMIT}."))
    if errors:
        raise Invalid(errors=errors)
