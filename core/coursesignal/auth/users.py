"""People who may log in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.auth.addresses import address_key
from coursesignal.auth.callers import Membership, memberships
from coursesignal.db.ids import uuid7

BY_EMAIL = "select id, email, password_hash, verified_at from users where email_key = $1"
BY_ID = "select id, email, password_hash, verified_at from users where id = $1 for update"
ENSURE = """
    insert into users (id, email, email_key) values ($1, $2, $3)
    on conflict (email_key) do update set email_key = excluded.email_key
    returning id, email, password_hash, verified_at
"""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A row of users; one without ``verified_at`` has not shown that the address is theirs and cannot log in."""

    id: UUID
    email: str
    password_hash: str | None
    verified_at: datetime | None


class AgencyMembership(msgspec.Struct, frozen=True, kw_only=True):
    """An agency and what the user may do there."""

    id: UUID
    slug: str
    name: str
    role: str


def _user(row: Any) -> User | None:
    return None if row is None else User(**dict(row))


async def by_email(conn: asyncpg.Connection, email: str) -> User | None:
    """The user with that address, in whatever spelling."""
    return _user(await conn.fetchrow(BY_EMAIL, address_key(email)))


async def by_id(conn: asyncpg.Connection, user_id: UUID) -> User | None:
    """The user with that id, locked until the transaction ends."""
    return _user(await conn.fetchrow(BY_ID, user_id))


async def ensure(conn: asyncpg.Connection, email: str) -> User:
    """The user with that address; a new one, unverified and without a password, when there is none."""
    row = await conn.fetchrow(ENSURE, uuid7(), email, address_key(email))
    return User(**dict(row))


async def set_password(conn: asyncpg.Connection, user_id: UUID, password_hash: str) -> None:
    """Replace the password; ending sessions is the caller's business."""
    await conn.execute("update users set password_hash = $2 where id = $1", user_id, password_hash)


async def verify(conn: asyncpg.Connection, user_id: UUID, password_hash: str) -> None:
    """Bring the account into force with the password of the sign-up or invitation that was confirmed."""
    await conn.execute(
        "update users set verified_at = coalesce(verified_at, now()), password_hash = $2 where id = $1",
        user_id, password_hash,
    )  # fmt: skip


async def tenants_of(conn: asyncpg.Connection, user_id: UUID) -> Sequence[Membership]:
    """The tenants the user may enter, directly or through an agency, by name."""
    return await memberships(conn, user_id)


async def agencies_of(conn: asyncpg.Connection, user_id: UUID) -> list[AgencyMembership]:
    """The agencies the user belongs to, by name."""
    rows = await conn.fetch(
        "select a.id, a.slug, a.name, m.role from agencies a join memberships m on m.agency_id = a.id "
        "where m.user_id = $1 order by a.name, a.id",
        user_id,
    )
    return [AgencyMembership(**dict(row)) for row in rows]
