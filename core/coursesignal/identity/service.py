"""Who is who: e-mail addresses and platform contacts name people, and an identify ties a visitor to one.

A visitor belongs to the first person that identified on it. A second e-mail on the same device (a library computer, a shared
laptop) makes its own person and leaves the visitor where it is: strangers are never fused, and nobody's journey is taken away.
Nothing but an equal identifier joins anything: not the address of the network, not the browser.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg

from coursesignal.db.ids import uuid7
from coursesignal.events import VisitorIdentified
from coursesignal.identity.emails import email_key
from coursesignal.jobs.outbox import enqueue, publish

__all__ = ["email_key", "identify_visitor", "person_for_contact"]

Kind = Literal["email", "contact", "checkout", "visitor"]


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
    """The person with that e-mail, else with that contact id, made when new; None when neither says anything.

    ``contact_id`` must be unique in the tenant: "<connection>:<the platform's id>". An e-mail outranks a contact id, since
    platforms let people change it; the contact id then only remembers the person it was first seen with.
    """
    key = email_key(email)
    identifiers: list[tuple[Kind, str]] = []
    if key is not None:
        identifiers.append(("email", key))
    if contact_id:
        identifiers.append(("contact", contact_id))
    if not identifiers:
        return None
    await _lock(conn, tenant_id, identifiers)
    person_id = None
    for kind, value in identifiers:
        person_id = await _holder(conn, tenant_id, kind, value)
        if person_id is not None:
            break
    if person_id is None:
        person_id = await _make_person(conn, tenant_id, key, name, seen_at)
    else:
        await _complete(conn, tenant_id, person_id, key, name)
    for kind, value in identifiers:
        await _remember(conn, tenant_id, person_id, kind, value, evidence, seen_at)
    return person_id


async def identify_visitor(
    conn: asyncpg.Connection, tenant_id: UUID, visitor_id: UUID, email: str, evidence: str, seen_at: datetime
) -> UUID | None:
    """Tie the visitor to the person with that e-mail; returns whom the visitor belongs to now.

    None, and nothing changes, when ``email`` is no address. A first tie is announced and credits the person's purchases again.
    """
    person_id = await person_for_contact(conn, tenant_id, email=email, evidence=evidence, seen_at=seen_at)
    if person_id is None:
        return None
    tied = await conn.fetchval(
        "update visitors set person_id = $3 where tenant_id = $1 and id = $2 and person_id is null returning id",
        tenant_id, visitor_id, person_id,
    )  # fmt: skip
    if tied is None:
        held: UUID | None = await conn.fetchval(
            "select person_id from visitors where tenant_id = $1 and id = $2", tenant_id, visitor_id
        )
        return held
    await _remember(conn, tenant_id, person_id, "visitor", str(visitor_id), evidence, seen_at)
    event = VisitorIdentified(
        id=uuid7(), tenant_id=tenant_id, occurred_at=seen_at, visitor_id=visitor_id, person_id=person_id
    )
    await publish(conn, event)
    await enqueue(conn, tenant_id, "core.attribute_people", {"personIds": [str(person_id)]})
    return person_id


async def _lock(conn: asyncpg.Connection, tenant_id: UUID, identifiers: list[tuple[Kind, str]]) -> None:
    """One transaction at a time decides about an identifier; taken in one order, so that none waits for another in a circle."""
    keys = sorted(f"identifier|{tenant_id}|{kind}|{value}" for kind, value in identifiers)
    for key in keys:
        await conn.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", key)


async def _holder(conn: asyncpg.Connection, tenant_id: UUID, kind: Kind, value: str) -> UUID | None:
    """The living person an identifier belongs to, followed through merges."""
    person_id: UUID | None = await conn.fetchval(
        """
        with recursive chain as (
            select p.id, p.merged_into from person_identifiers i
            join people p on p.tenant_id = i.tenant_id and p.id = i.person_id
            where i.tenant_id = $1 and i.kind = $2 and i.value_key = $3
            union
            select p.id, p.merged_into from chain c join people p on p.tenant_id = $1 and p.id = c.merged_into
        )
        select id from chain where merged_into is null
        """,
        tenant_id, kind, value,
    )  # fmt: skip
    return person_id


async def _make_person(
    conn: asyncpg.Connection, tenant_id: UUID, email: str | None, name: str | None, seen_at: datetime
) -> UUID:
    person_id: UUID = await conn.fetchval(
        "insert into people (tenant_id, email, name, first_seen_at) values ($1, $2, $3, $4) returning id",
        tenant_id, email, name, seen_at,
    )  # fmt: skip
    return person_id


async def _complete(
    conn: asyncpg.Connection, tenant_id: UUID, person_id: UUID, email: str | None, name: str | None
) -> None:
    await conn.execute(
        """
        update people set email = coalesce(email, $3), name = coalesce(name, $4)
        where tenant_id = $1 and id = $2 and (email is null or name is null)
        """,
        tenant_id, person_id, email, name,
    )  # fmt: skip


async def _remember(
    conn: asyncpg.Connection, tenant_id: UUID, person_id: UUID, kind: Kind, value: str, evidence: str, seen_at: datetime
) -> None:
    """Keep an identifier with its first evidence."""
    await conn.execute(
        """
        insert into person_identifiers (tenant_id, person_id, kind, value_key, evidence, first_seen_at)
        values ($1, $2, $3, $4, $5, $6) on conflict (tenant_id, kind, value_key) do nothing
        """,
        tenant_id, person_id, kind, value, evidence, seen_at,
    )  # fmt: skip
