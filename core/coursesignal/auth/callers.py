"""From a request's credentials to a caller: access token, API key or browser cookie."""

from __future__ import annotations

import hmac
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import msgspec
from litestar import Request
from litestar.connection import ASGIConnection

from coursesignal.db.engine import Database
from coursesignal.errors import Forbidden, Unauthenticated
from coursesignal.plugin import Tenant
from coursesignal.security import jwt
from coursesignal.security.keys import KeyRing
from coursesignal.security.tokens import hash_token
from coursesignal.web.access import ROLES

__all__ = [
    "COOKIE",
    "CSRF_FIELD",
    "CSRF_HEADER",
    "KEY_PREFIX",
    "ROLES",
    "SAFE_METHODS",
    "Asking",
    "Caller",
    "Membership",
    "Parts",
    "authenticate",
    "csrf_token",
    "membership_of",
    "memberships",
    "parts_of",
    "plain",
    "require_same_origin",
]

Asking = ASGIConnection[Any, Any, Any, Any]
KEY_PREFIX = "csk_"
COOKIE = "__Host-cs_session"
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"
FORM = "application/x-www-form-urlencoded"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


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
    async def plugin_is_on(self, tenant_id: UUID, slug: str) -> bool: ...


def parts_of(connection: Asking) -> Parts:
    """The process's parts, left by the application."""
    parts: Parts = connection.app.state.runtime
    return parts


async def authenticate(connection: Asking, parts: Parts, *, cookies: bool) -> Caller | None:
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
            "select id, slug, name, currency, time_zone from tenants where id = $1 and status = 'active'",
            found["tenant_id"],
        )
    if tenant is None:
        raise Unauthenticated
    async with parts.database.tenant(found["tenant_id"]) as conn:
        scopes = await _scopes(conn, found["tenant_id"], found["id"])
    return Caller(api_key_id=found["id"], scopes=scopes, tenant=Tenant(**dict(tenant)), role="viewer")


async def _scopes(conn: asyncpg.Connection, tenant_id: UUID, key_id: UUID) -> frozenset[str]:
    """What the key may do; notes its use once a minute, so that parallel requests do not wait for one row."""
    row = await conn.fetchrow(
        "select scopes, coalesce(last_used_at < now() - interval '1 minute', true) as stale from api_keys "
        "where tenant_id = $1 and id = $2 and revoked_at is null",
        tenant_id, key_id,
    )  # fmt: skip
    if row is None:
        raise Unauthenticated
    if row["stale"]:
        await conn.execute(
            "update api_keys set last_used_at = now() where tenant_id = $1 and id = $2", tenant_id, key_id
        )
    return frozenset(row["scopes"])


async def _by_cookie(connection: Asking, parts: Parts, cookie: str) -> Caller | None:
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


async def _check_csrf(connection: Asking, wanted: str) -> None:
    """What changes something must come from our own pages: same origin by the browser's word, and the session's token."""
    if connection.scope.get("method") in SAFE_METHODS:
        return
    require_same_origin(connection)
    given = connection.headers.get(CSRF_HEADER, "")
    if not given and isinstance(connection, Request) and connection.content_type[0] == FORM:
        given = str((await connection.form()).get(CSRF_FIELD, ""))
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        raise Forbidden("The page is too old. Reload it and try again.", kind="csrf")


def require_same_origin(connection: Asking) -> None:
    """Raises Forbidden when the browser says that another site sent this."""
    if connection.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Forbidden("This request comes from another site.", kind="csrf")
    origin = connection.headers.get("origin")
    told = "sec-fetch-site" in connection.headers
    if origin and not told and urlsplit(origin).netloc.lower() != connection.headers.get("host", "").lower():
        raise Forbidden("This request comes from another site.", kind="csrf")


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
    rows = await conn.fetch(f"{MEMBERSHIPS} and (t.slug = $2 or t.id::text = $2)", user_id, plain(asked))
    found = [_membership(row) for row in rows]
    return max(found, key=lambda membership: ROLES[membership.role]) if found else None


def plain(text: str) -> str:
    """``text`` as it can be looked up: PostgreSQL refuses NUL."""
    return text.replace("\x00", "")


def _membership(row: Any) -> Membership:
    tenant = Tenant(
        id=row["id"], slug=row["slug"], name=row["name"], currency=row["currency"], time_zone=row["time_zone"]
    )
    return Membership(tenant, row["role"])
