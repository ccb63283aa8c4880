"""Single-use links sent by mail: to confirm an address, to choose a new password, to join a team.

The mail holds the token, we keep its hash. A link works once, until it expires, and until a newer fact makes it pointless.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.db.ids import uuid7
from coursesignal.errors import BadRequest
from coursesignal.security.tokens import hash_token, new_token

Purpose = Literal["verify", "reset", "invite"]
LIFETIMES = {"verify": timedelta(days=2), "reset": timedelta(minutes=30), "invite": timedelta(days=7)}
PAGES = {"verify": "/verify-email", "reset": "/reset-password", "invite": "/accept-invite"}


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """What a link stands for; the last fields depend on its purpose."""

    id: UUID
    user_id: UUID
    created_at: datetime
    password_hash: str | None = None
    tenant_name: str | None = None
    tenant_id: UUID | None = None
    agency_id: UUID | None = None
    role: str | None = None


INSERT = """
    insert into auth_tokens (id, token_hash, user_id, purpose, expires_at, password_hash, tenant_name, tenant_id, agency_id, role)
    values ($1, $2, $3, $4, clock_timestamp() + $5::interval, $6, $7, $8, $9, $10)
"""
PEEK = """
    select id, user_id, created_at, password_hash, tenant_name, tenant_id, agency_id, role from auth_tokens
    where token_hash = $1 and purpose = $2 and used_at is null and expires_at > clock_timestamp()
"""
USE = """
    update auth_tokens set used_at = clock_timestamp()
    where token_hash = $1 and purpose = $2 and used_at is null and expires_at > clock_timestamp()
    returning id, user_id, created_at, password_hash, tenant_name, tenant_id, agency_id, role
"""


async def make(
    conn: asyncpg.Connection,
    user_id: UUID,
    purpose: Purpose,
    *,
    password_hash: str | None = None,
    tenant_name: str | None = None,
    tenant_id: UUID | None = None,
    agency_id: UUID | None = None,
    role: str | None = None,
) -> str:
    """A new token for the user, with what its link will stand for."""
    token = new_token()
    facts = (password_hash, tenant_name, tenant_id, agency_id, role)
    await conn.execute(INSERT, uuid7(), hash_token(token), user_id, purpose, LIFETIMES[purpose], *facts)
    return token


async def peek(conn: asyncpg.Connection, token: str, purpose: Purpose) -> Link:
    """What ``token`` stands for, without using it; raises BadRequest."""
    return _link(await conn.fetchrow(PEEK, hash_token(token), purpose))


async def use(conn: asyncpg.Connection, token: str, purpose: Purpose) -> Link:
    """Use ``token`` up in this transaction; of two at once one wins. Raises BadRequest."""
    return _link(await conn.fetchrow(USE, hash_token(token), purpose))


async def forget(conn: asyncpg.Connection, user_id: UUID, purpose: Purpose) -> None:
    """Make the user's other links of that purpose worthless."""
    await conn.execute("delete from auth_tokens where user_id = $1 and purpose = $2", user_id, purpose)


def url(base_url: str, purpose: Purpose, token: str) -> str:
    """The page to send; built from the configured address, never from what a request claims."""
    return f"{base_url}{PAGES[purpose]}?{urlencode({'token': token})}"


def spent() -> BadRequest:
    """The one answer to every link that leads nowhere."""
    return BadRequest("This link is not valid any more. Ask for a new one.", kind="link-spent")


def _link(row: Any) -> Link:
    if row is None:
        raise spent()
    return Link(**dict(row))
