"""Taking a webhook in: find the connection, verify, store the raw body, then answer. Understanding it comes later."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.connections import arrivals, refusals
from coursesignal.connections.arrivals import Arrival, Door, Outcome
from coursesignal.connections.refusals import Refusal
from coursesignal.connections.vault import StoredCredentialsUnreadable, open_credentials
from coursesignal.db.engine import Database
from coursesignal.errors import NotFound, RateLimited, Refused, Unauthenticated
from coursesignal.jobs.outbox import enqueue_all
from coursesignal.plugin import Connector, WebhookRejected, WebhookRequest
from coursesignal.security.box import Box
from coursesignal.security.tokens import hash_token
from coursesignal.tracking.bucket import TokenBuckets
from coursesignal.web.limits import RateLimiter

log = logging.getLogger("coursesignal.connections")

PER_CONNECTION_S = 1000
"""Webhooks per second that one connection may send to one web process, with bursts of twice that."""
MISSES_PER_CALLER, WINDOW_S = 120, 60
REMEMBERED = 10_000
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key", "apikey", "x-auth-token"})
REDACTED = "[redacted]"
_WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{16,128}")
_OPEN = """
    select c.credentials, c.last_webhook_at is null or c.last_webhook_at < now() - interval '5 seconds' as unnoted
    from connections c
    join tenants t on t.id = c.tenant_id and t.status = 'active'
    left join plugin_states p on p.tenant_id = c.tenant_id and p.plugin = c.platform
    where c.tenant_id = $1 and c.id = $2 and c.platform = $3 and c.state in ('ready', 'needs_reauth', 'failing')
      and (c.key_hash = $4 or (c.previous_key_hash = $4 and c.previous_key_until > now()))
      and coalesce(p.granted, true) and coalesce(p.enabled, true)"""

_STORE = """
    insert into inbox (tenant_id, connection_id, delivery_key, headers, query, body, received_at, signed, repeats)
    select $1, connection_id, delivery_key, headers::jsonb, query::jsonb, body, received_at, signed, repeats
    from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::timestamptz[], $8::boolean[], $9::int[])
        as came (connection_id, delivery_key, headers, query, body, received_at, signed, repeats)
    on conflict (tenant_id, connection_id, delivery_key) do update set repeats = inbox.repeats + excluded.repeats + 1
    returning id, connection_id, delivery_key, xmax = 0 as fresh"""

_buckets = TokenBuckets(PER_CONNECTION_S)
_known: dict[tuple[str, bytes], Door] = {}
"""Where addresses lead: an address never leads elsewhere, and whether it is open is asked each time."""


async def knock(db: Database, limiter: RateLimiter, platform: str, key: str, caller: str) -> Door:
    """The connection behind an address, open or not; raises NotFound, the same for a wrong platform and a wrong key."""
    if _WELL_FORMED.fullmatch(key):
        hashed = hash_token(key)
        door = _known.get((platform, hashed)) or await _find(db, platform, hashed)
        if door is not None:
            return door
    await miss(db, limiter, caller)
    raise NotFound()


async def _find(db: Database, platform: str, hashed: bytes) -> Door | None:
    async with db.control() as conn:
        found = await conn.fetchrow("select * from door_connection($1, $2)", platform, hashed)
    if found is None:
        return None
    if len(_known) >= REMEMBERED:
        _known.clear()
    door = _known[platform, hashed] = Door(found["tenant_id"], found["id"], platform, hashed)
    return door


async def miss(db: Database, limiter: RateLimiter, caller: str) -> None:
    """Count a wrong guess; raises RateLimited."""
    await limiter.hit(db, f"webhook-miss:{caller}", MISSES_PER_CALLER, WINDOW_S)


async def look(db: Database, door: Door) -> None:
    """Raise NotFound unless the address works."""
    async with db.tenant(door.tenant_id) as conn:
        if await _opened(conn, door) is None:
            raise NotFound()


async def _opened(conn: asyncpg.Connection, door: Door) -> asyncpg.Record | None:
    """What is needed to take in a webhook at this address; None when it does not work, or not any more."""
    return await conn.fetchrow(_OPEN, door.tenant_id, door.connection_id, door.platform, door.key_hash)


async def receive(db: Database, box: Box, connector: Connector[Any], door: Door, request: WebhookRequest) -> bool:
    """Verify and commit one webhook; returns whether it is new. Raises Unauthenticated, RateLimited, NotFound, Busy."""
    if wait_s := _buckets.take(door.connection_id, time.monotonic()):
        raise RateLimited(retry_after_s=max(1, round(wait_s)))
    return await arrivals.stored(db, Arrival(door, connector, request), partial(_commit, box))


async def _commit(box: Box, conn: asyncpg.Connection, batch: Sequence[Arrival]) -> Sequence[Outcome]:
    """Store what is authentic among webhooks of one tenant; the others are refused."""
    opened = {door: await _opened(conn, door) for door in {arrival.door for arrival in batch}}
    outcomes = [_checked(box, arrival, opened[arrival.door]) for arrival in batch]
    keyed: dict[tuple[UUID, str], list[int]] = defaultdict(list)
    for number, arrival in enumerate(batch):
        if outcomes[number] is True:
            keyed[arrival.door.connection_id, delivery_key(arrival.connector, arrival.request)].append(number)
    fresh = await _store(conn, [(key, batch[numbers[0]], len(numbers)) for key, numbers in sorted(keyed.items())])
    for key, numbers in keyed.items():
        for place, number in enumerate(numbers):
            outcomes[number] = key in fresh and place == 0
    for door in {batch[numbers[0]].door for numbers in keyed.values()}:
        await _note(conn, door, opened[door])
    await _count_refusals(conn, batch, outcomes)
    return outcomes


async def _count_refusals(conn: asyncpg.Connection, batch: Sequence[Arrival], outcomes: Sequence[Outcome]) -> None:
    """Count what of a batch is turned away, where its tenant sees it."""
    refused = Counter(
        (arrival.door, Refusal.ADDRESS_CLOSED if isinstance(outcome, NotFound) else Refusal.WRONG_SIGNATURE)
        for arrival, outcome in zip(batch, outcomes, strict=True)
        if isinstance(outcome, Refused)
    )
    for (door, reason), hits in sorted(refused.items(), key=lambda one: (one[0][0].connection_id, one[0][1])):
        await refusals.count(conn, door.tenant_id, door.connection_id, reason, hits)


async def turn_away(db: Database, door: Door, reason: Refusal) -> None:
    """Count a webhook whose body was not even read."""
    async with db.tenant(door.tenant_id) as conn:
        await refusals.count(conn, door.tenant_id, door.connection_id, reason)


def _checked(box: Box, arrival: Arrival, opened: asyncpg.Record | None) -> Outcome:
    """True for an authentic webhook at an open address, else why it is refused."""
    if opened is None:
        return NotFound()
    try:
        _verify(box, arrival.connector, arrival.door, opened["credentials"], arrival.request)
    except Unauthenticated as refused:
        return refused
    return True


async def _note(conn: asyncpg.Connection, door: Door, opened: asyncpg.Record | None) -> None:
    """That the connection's webhooks arrive; not noted every time."""
    if opened is not None and opened["unnoted"]:
        await conn.execute(
            "update connections set last_webhook_at = now() where tenant_id = $1 and id = $2",
            door.tenant_id, door.connection_id,
        )  # fmt: skip


def _verify(box: Box, connector: Connector[Any], door: Door, sealed: bytes | None, request: WebhookRequest) -> None:
    """Fail closed: whatever goes wrong while verifying is a webhook that is not authentic."""
    if sealed is None and not connector.capabilities.signed_push:
        return
    try:
        if sealed is None:
            raise StoredCredentialsUnreadable("there are none")
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


async def _store(
    conn: asyncpg.Connection, deliveries: Sequence[tuple[tuple[UUID, str], Arrival, int]]
) -> Collection[tuple[UUID, str]]:
    """Put deliveries, each with how often it came, into the inbox and their tasks into the outbox; returns which are new."""
    if not deliveries:
        return ()
    tenant_id = deliveries[0][1].door.tenant_id
    rows = await conn.fetch(
        _STORE, tenant_id, [key[0] for key, _, _ in deliveries], [key[1] for key, _, _ in deliveries],
        [_json(redacted(one.request.headers)) for _, one, _ in deliveries],
        [_json(_storable(one.request.query)) for _, one, _ in deliveries],
        [one.request.body for _, one, _ in deliveries], [one.request.received_at for _, one, _ in deliveries],
        [one.connector.capabilities.signed_push for _, one, _ in deliveries],
        [times - 1 for _, _, times in deliveries],
    )  # fmt: skip
    fresh = [row for row in rows if row["fresh"]]
    tasks = [({"inboxId": str(row["id"])}, f"inbox:{row['id']}") for row in fresh]
    await enqueue_all(conn, tenant_id, "core.inbox", tasks)
    return {(row["connection_id"], row["delivery_key"]) for row in fresh}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def redacted(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers fit to be stored: no credentials."""
    return {name: REDACTED if name in SECRET_HEADERS else value for name, value in _storable(headers).items()}


def _storable(values: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("\x00", ""): value.replace("\x00", "") for name, value in values.items()}
