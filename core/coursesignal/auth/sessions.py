"""Sessions: a family of refresh tokens for programs, a cookie for browsers. Ending one takes effect on the next request.

A refresh token is good once. The one just before it is answered with the *same* child for GRACE, for two tabs that refresh at
once and for an answer lost on the way; any older use is a theft and ends the family.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.db.engine import Database
from coursesignal.db.ids import uuid7
from coursesignal.errors import Unauthenticated
from coursesignal.security.box import aad
from coursesignal.security.keys import KeyRing
from coursesignal.security.tokens import hash_token, new_token

log = logging.getLogger(__name__)
GRACE = timedelta(seconds=10)
IDLE = timedelta(days=30)
"""A family that is not refreshed for so long ends,"""
LONGEST = timedelta(days=90)
"""and every family after so long."""
BROWSER = timedelta(days=14)

FIND = """
    select s.id, s.user_id, s.token_hash, s.previous_child, s.revoked_at is null and s.expires_at > clock_timestamp() as live,
           s.token_hash = $1 as current, s.rotated_at > clock_timestamp() - $2::interval as fresh
    from auth_sessions s where (s.token_hash = $1 or s.previous_hash = $1) and s.kind = 'api' for update
"""
ROTATE = """
    update auth_sessions set token_hash = $2, previous_hash = token_hash, previous_child = $3, rotated_at = clock_timestamp(),
        expires_at = least(clock_timestamp() + $4::interval, created_at + $5::interval)
    where id = $1
"""


class Refreshed(msgspec.Struct, frozen=True):
    """A family's next token."""

    user_id: UUID
    session_id: UUID
    token: str


class TokenReused(Unauthenticated):
    """A refresh token was used long after it was replaced; its family has ended."""

    def __init__(self, user_id: UUID, session_id: UUID) -> None:
        super().__init__()
        self.user_id = user_id
        self.session_id = session_id


async def open_session(conn: asyncpg.Connection, user_id: UUID) -> Refreshed:
    """A new family with its first refresh token."""
    return await _open(conn, user_id, "api", IDLE)


async def open_browser_session(conn: asyncpg.Connection, user_id: UUID) -> Refreshed:
    """A new browser session; the token goes into its cookie."""
    return await _open(conn, user_id, "browser", BROWSER)


async def _open(conn: asyncpg.Connection, user_id: UUID, kind: str, lifetime: timedelta) -> Refreshed:
    await conn.execute(
        "delete from auth_sessions where user_id = $1 and coalesce(revoked_at, expires_at) < now() - interval '7 days'",
        user_id,
    )
    session_id, token = uuid7(), new_token()
    await conn.execute(
        "insert into auth_sessions (id, user_id, kind, token_hash, expires_at) "
        "values ($1, $2, $3, $4, clock_timestamp() + $5::interval)",
        session_id, user_id, kind, hash_token(token), lifetime,
    )  # fmt: skip
    return Refreshed(user_id, session_id, token)


async def refresh(db: Database, keys: KeyRing, token: str) -> Refreshed:
    """The family's next token; raises TokenReused, and Unauthenticated for an unknown, expired or ended one."""
    async with db.control() as conn:
        found = await _rotate(conn, keys, hash_token(token))
    if found is None:
        raise Unauthenticated
    if isinstance(found, TokenReused):  # raised here, after the end of the family has been committed
        log.warning("auth.refresh_reuse session=%s", found.session_id)
        raise found
    return found


async def _rotate(conn: asyncpg.Connection, keys: KeyRing, digest: bytes) -> Refreshed | TokenReused | None:
    row = await conn.fetchrow(FIND, digest, GRACE)  # the row's lock puts parallel uses in a line
    if row is None:
        return await _old(conn, digest)
    if not row["live"]:
        return None
    place = aad(None, "auth_sessions", "previous_child", row["id"])
    if not row["current"]:
        if row["fresh"]:
            return Refreshed(row["user_id"], row["id"], keys.box.open(row["previous_child"], place).decode())
        return await _end_stolen(conn, row["id"], row["user_id"])
    child = new_token()
    await conn.execute("insert into refresh_history (token_hash, session_id) values ($1, $2)", digest, row["id"])
    await conn.execute(ROTATE, row["id"], hash_token(child), keys.box.seal(child.encode(), place), IDLE, LONGEST)
    return Refreshed(row["user_id"], row["id"], child)


async def _old(conn: asyncpg.Connection, digest: bytes) -> TokenReused | None:
    """What a token that was replaced long ago does: it ends its family, if that still lives."""
    row = await conn.fetchrow(
        "select s.id, s.user_id from refresh_history h join auth_sessions s on s.id = h.session_id "
        "where h.token_hash = $1 and s.revoked_at is null and s.expires_at > clock_timestamp() for update of s",
        digest,
    )
    return None if row is None else await _end_stolen(conn, row["id"], row["user_id"])


async def _end_stolen(conn: asyncpg.Connection, session_id: UUID, user_id: UUID) -> TokenReused:
    await end(conn, session_id)
    return TokenReused(user_id, session_id)


async def end(conn: asyncpg.Connection, session_id: UUID) -> None:
    """End one session."""
    await conn.execute("update auth_sessions set revoked_at = coalesce(revoked_at, now()) where id = $1", session_id)


async def end_by_token(conn: asyncpg.Connection, token: str) -> None:
    """End the family of a refresh token, current or just replaced; nothing for an unknown one."""
    await conn.execute(
        "update auth_sessions set revoked_at = coalesce(revoked_at, now()) where token_hash = $1 or previous_hash = $1",
        hash_token(token),
    )


async def end_all(conn: asyncpg.Connection, user_id: UUID) -> None:
    """End every session of the user."""
    await conn.execute("update auth_sessions set revoked_at = now() where user_id = $1 and revoked_at is null", user_id)
