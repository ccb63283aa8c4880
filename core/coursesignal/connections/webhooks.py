"""Taking a webhook in: find the connection, verify, store the raw body, then answer. Understanding it comes later."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.connections import switch
from coursesignal.connections.vault import StoredCredentialsUnreadable, open_credentials
from coursesignal.db.engine import Database
from coursesignal.errors import NotFound, Unauthenticated
from coursesignal.jobs.outbox import enqueue
from coursesignal.plugin import Connector, WebhookRejected, WebhookRequest
from coursesignal.security.box import Box
from coursesignal.security.tokens import hash_token
from coursesignal.web.limits import RateLimiter

log = logging.getLogger("coursesignal.connections")

PER_CONNECTION, MISSES_PER_CALLER, WINDOW_S = 60_000, 120, 60
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key", "apikey", "x-auth-token"})
REDACTED = "[redacted]"
_WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{16,128}")


@dataclass(frozen=True, slots=True)
class Door:
    """The connection a webhook address leads to."""

    tenant_id: UUID
    connection_id: UUID


async def knock(db: Database, limiter: RateLimiter, platform: str, key: str, caller: str) -> Door:
    """The connection behind an address; raises NotFound, the same for a wrong platform, a wrong key and one turned off."""
    found = None
    if _WELL_FORMED.fullmatch(key):
        async with db.control() as conn:
            found = await conn.fetchrow("select * from door_connection($1, $2)", platform, hash_token(key))
    if found is not None and await _is_on(db, found["tenant_id"], platform):
        return Door(found["tenant_id"], found["id"])
    await limiter.hit(db, f"webhook-miss:{caller}", MISSES_PER_CALLER, WINDOW_S)
    raise NotFound()


async def _is_on(db: Database, tenant_id: UUID, platform: str) -> bool:
    """Whether the plugin is granted and was not turned off since it connected."""
    async with db.tenant(tenant_id) as conn:
        state = await switch.read(conn, tenant_id, platform)
    return state.granted and state.decided is not False


async def receive(
    db: Database, box: Box, limiter: RateLimiter, connector: Connector[Any], door: Door, request: WebhookRequest
) -> bool:
    """Verify and commit one webhook; returns whether it is new. Raises Unauthenticated, RateLimited, NotFound."""
    await limiter.hit(db, f"webhook:{door.connection_id}", PER_CONNECTION, WINDOW_S)
    async with db.tenant(door.tenant_id) as conn:
        sealed = await conn.fetchval(
            "select credentials from connections where tenant_id = $1 and id = $2", door.tenant_id, door.connection_id
        )
    if sealed is not None:
        _verify(box, connector, door, sealed, request)
    async with db.tenant(door.tenant_id) as conn:
        return await _store(conn, door, delivery_key(connector, request), request)


def _verify(box: Box, connector: Connector[Any], door: Door, sealed: bytes, request: WebhookRequest) -> None:
    """Fail closed: whatever goes wrong while verifying is a webhook that is not authentic."""
    try:
        credentials = open_credentials(box, door.tenant_id, door.connection_id, sealed, connector.credentials)
        connector.verify_webhook(request, credentials)
    except (WebhookRejected, StoredCredentialsUnreadable) as error:
        raise _rejected(connector, door, error) from error
    except Exception as error:
        raise _rejected(connector, door, error) from error


def _rejected(connector: Connector[Any], door: Door, error: Exception) -> Unauthenticated:
    log.warning(
        "webhook.rejected platform=%s tenant=%s reason=%s", connector.slug, door.tenant_id, type(error).__name__
    )
    return Unauthenticated("The webhook's signature is missing or wrong.", kind="webhook-rejected")


def delivery_key(connector: Connector[Any], request: WebhookRequest) -> str:
    """What is equal on every retry of one delivery: the platform's own id of it, else the body."""
    try:
        told = connector.delivery_id(request)
    except Exception:  # a body nobody can read has no id; it is stored all the same
        told = None
    text = b"id:" + told.encode() if told is not None else b"body:" + request.body
    return hashlib.sha256(text).hexdigest()


async def _store(conn: asyncpg.Connection, door: Door, key: str, request: WebhookRequest) -> bool:
    """Put the webhook into the inbox and its task into the outbox, or count a repeat."""
    stored = await conn.fetchrow(
        """
        insert into inbox (tenant_id, connection_id, delivery_key, headers, query, body, received_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (tenant_id, connection_id, delivery_key) do update set repeats = inbox.repeats + 1
        returning id, repeats = 0 as fresh
        """,
        door.tenant_id, door.connection_id, key, redacted(request.headers), _storable(request.query), request.body,
        request.received_at,
    )  # fmt: skip
    assert stored is not None
    if stored["fresh"]:
        await enqueue(conn, door.tenant_id, "core.inbox", {"inboxId": str(stored["id"])}, key=f"inbox:{stored['id']}")
    await conn.execute(
        "update connections set last_webhook_at = now() where tenant_id = $1 and id = $2 "
        "and (last_webhook_at is null or last_webhook_at < now() - interval '5 seconds')",
        door.tenant_id, door.connection_id,
    )  # fmt: skip
    return bool(stored["fresh"])


def redacted(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers fit to be stored: no credentials."""
    return {name: REDACTED if name in SECRET_HEADERS else value for name, value in _storable(headers).items()}


def _storable(values: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("\x00", ""): value.replace("\x00", "") for name, value in values.items()}
