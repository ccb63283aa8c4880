"""From a request's credentials to a caller: access token, API key or browser cookie."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import msgspec
from litestar.connection import ASGIConnection

from coursesignal.db.engine import Database
from coursesignal.errors import Forbidden, Unauthenticated
from coursesignal.plugin import Tenant
from coursesignal.security import jwt
from coursesignal.security.keys import KeyRing
from coursesignal.security.tokens import hash_token

ROLES = {"viewer": 0, "member": 1, "admin": 2, "owner": 3}
KEY_PREFIX = "csk_"
COOKIE = "__Host-cs_session"
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking and as what; everything empty for a stranger on a public route."""

    user_id: UUID | None = None
    email: str = ""
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    scopes: frozenset[str] = frozenset()
    tenant: Tenant | None = None
    role: str = ""
    agency_id: UUID | None = None
    csrf_token: str = ""
    """Of a browser session: to be sent back with every form."""

    @property
    def name(self) -> str:
        """How the audit log calls the caller."""
        return self.email or (f"API key {self.api_key_id}" if self.api_key_id else "system")


class Membership(msgspec.Struct, frozen=True):
    """A tenant and what somebody may do there, directly or through its agency."""

    tenant: Tenant
    role: str


class Parts(Protocol):
    """What the guard needs of the process."""

    @property
    def database(self) -> Database: ...
    @property
    def keys(self) -> KeyRing: ...
    @property
    def plugin_is_on(self) -> Callable[[UUID, str], Awaitable[bool]]: ...


def parts_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Parts:
    """The process's parts, left by the application."""
    parts: Parts = connection.app.state.runtime
    return parts


async def authenticate(connection: ASGIConnection[Any, Any, Any, Any], parts: Parts, *, cookies: bool) -> Caller | None:
    """Who the credentials name; None without any. Raises Unauthenticated when they are wrong or spent."""
    header = connection.headers.get("authorization", "")
    if header:
        scheme, _, credential = header.partition(" ")
        if scheme.lower() != "bearer" or not credential.strip():
            raise Unauthenticated
        credential = credential.strip()
        return await (_by_key(parts, credential) if credential.startswith(KEY_PREFIX) else _by_token(parts, credential))
    cookie = connection.cookies.get(COOKIE) if cookies else None
    return await _by_cookie(connection, parts, cookie) if cookie else None


async def _by_token(parts: Parts, credential: str) -> Caller:
    token = jwt.verify(parts.keys, credential)
    async with parts.database.control() as conn:
        row = await conn.fetchrow(
            "select u.id, u.email from auth_sessions s join users u on u.id = s.user_id "
            "where s.id = $1 and u.id = $2 and s.revoked_at is null and s.expires_at > now()",
            token.session_id, token.user_id,
        )  # fmt: skip
    if row is None:
        raise Unauthenticated
    return Caller(user_id=row["id"], email=row["email"], session_id=token.session_id)


async def _by_key(parts: Parts, credential: str) -> Caller:
    digest = hash_token(credential)
    async with parts.database.control() as conn:
        found = await conn.fetchrow("select tenant_id, id from door_api_key($1)", digest)
        if found is None:
            raise Unauthenticated
        tenant = await conn.fetchrow(
            "select id, slug, name, currency, time_zone from tenants where id = $1 and status = 'active'", found["tenant_id"]
        )
    if tenant is None:
        raise Unauthenticated
    async with parts.database.tenant(found["tenant_id"]) as conn:
        scopes = await conn.fetchval(
            """
            update api_keys set last_used_at = now()
            where tenant_id = $1 and id = $2 and revoked_at is null returning scopes
            """,
            found["tenant_id"], found["id"],
        )  # fmt: skip
    if scopes is None:
        raise Unauthenticated
    return Caller(api_key_id=found["id"], scopes=frozenset(scopes), tenant=Tenant(**dict(tenant)), role="viewer")


async def _by_cookie(connection: ASGIConnection[Any, Any, Any, Any], parts: Parts, cookie: str) -> Caller | None:
    async with parts.database.control() as conn:
        row = await conn.fetchrow(
            "select s.id as session_id, u.id, u.email from auth_sessions s join users u on u.id = s.user_id "
            "where s.token_hash = $1 and s.kind = 'browser' and s.revoked_at is null and s.expires_at > now()",
            hash_token(cookie),
        )
    if row is None:
        return None
    csrf = csrf_token(parts.keys, row["session_id"])
    await _check_csrf(connection, csrf)
    return Caller(user_id=row["id"], email=row["email"], session_id=row["session_id"], csrf_token=csrf)


def csrf_token(keys: KeyRing, session_id: UUID) -> str:
    """The token of one browser session; another session's is worth nothing."""
    return keys.sign("csrf", session_id.bytes).hex()


async def _check_csrf(connection: ASGIConnection[Any, Any, Any, Any], wanted: str) -> None:
    """What changes something must come from our own pages: same site by the browser's word, and the session's token."""
    if connection.scope.get("method") in {"GET", "HEAD", "OPTIONS"}:
        return
    if connection.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Forbidden("This request comes from another site.", kind="csrf")
    given = connection.headers.get(CSRF_HEADER, "")
    if not given and connection.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        from litestar import Request

        assert isinstance(connection, Request)
        given = str((await connection.form()).get(CSRF_FIELD, ""))
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        raise Forbidden("The page is too old. Reload it and try again.", kind="csrf")


MEMBERSHIPS = """
    select t.id, t.slug, t.name, t.currency, t.time_zone, m.role
    from memberships m join tenants t on t.id = m.tenant_id or t.agency_id = m.agency_id
    where m.user_id = $1 and t.status = 'active'
"""


async def memberships(conn: asyncpg.Connection, user_id: UUID) -> list[Membership]:
    """Every tenant the user may enter, by name, each with the highest role."""
    rows = await conn.fetch(f"{MEMBERSHIPS} order by t.name, t.id", user_id)
    best: dict[UUID, Membership] = {}
    for row in rows:
        known = best.get(row["id"])
        if known is None or ROLES[row["role"]] > ROLES[known.role]:
            best[row["id"]] = _membership(row)
    return list(best.values())


async def membership_of(conn: asyncpg.Connection, user_id: UUID, asked: str) -> Membership | None:
    """The user's membership of the tenant with that slug or id; None for an absent and for someone else's alike."""
    rows = await conn.fetch(f"{MEMBERSHIPS} and (t.slug = $2 or t.id::text = $2)", user_id, asked.replace("\x00", ""))
    found = [_membership(row) for row in rows]
    return max(found, key=lambda membership: ROLES[membership.role]) if found else None


async def only_membership(conn: asyncpg.Connection, user_id: UUID) -> tuple[Membership | None, bool]:
    """The user's only membership, and whether there are several."""
    found = await memberships(conn, user_id)
    return (found[0] if len(found) == 1 else None), len(found) > 1


def _membership(row: Any) -> Membership:
    tenant = Tenant(
        id=row["id"], slug=row["slug"], name=row["name"], currency=row["currency"], time_zone=row["time_zone"]
    )
    return Membership(tenant, row["role"])
