"""Put work on record, in the transaction that makes it necessary.

A row is an event to fan out, a hook call of one plugin, or a job. Nothing here runs it: the relay leases due rows on the
database's clock and workers run them, at least once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.db.ids import uuid7
from coursesignal.events import Event

CHANNEL = "coursesignal_outbox"
"""Notified on commit, so that relays need not poll fast."""
Kind = Literal["event", "hook", "job"]
MAX_ATTEMPTS = 8

INSERT = """
    insert into outbox (tenant_id, id, kind, plugin, name, payload, dedupe_key, run_at, max_attempts)
    values ($1, $2, $3, $4, $5, $6, $7, coalesce($8, clock_timestamp()), $9)
    on conflict (tenant_id, dedupe_key) do nothing
    returning id
"""


_heard: set[str] | None = None
"""Names of the events that a plugin of this process listens to; None: nobody said, it may be any."""


def listen_to(names: Iterable[str]) -> None:
    """Say what the loaded plugins listen to: other events are put on record for nobody any more.

    Said again, by another installation in this process, what either listens to counts.
    """
    global _heard
    _heard = (_heard or set()) | set(names)


def _is_heard(event: Event) -> bool:
    return _heard is None or event.name in _heard


_held_for: ContextVar[timedelta | None] = ContextVar("held_for", default=None)


@contextlib.contextmanager
def held_back(how_long: timedelta) -> Iterator[None]:
    """Events published inside wait that long, or until :func:`release`: whoever makes thousands of them goes first."""
    token = _held_for.set(how_long)
    try:
        yield
    finally:
        _held_for.reset(token)


async def release(conn: asyncpg.Connection, tenant_id: UUID) -> None:
    """Let events that were held back go out once this transaction has committed."""
    await conn.execute(
        "update outbox set run_at = clock_timestamp() where tenant_id = $1 and kind = 'event' and status = 'pending' "
        "and attempts = 0 and run_at > clock_timestamp()",
        tenant_id,
    )
    await conn.execute(f"notify {CHANNEL}")


def _event_run_at() -> datetime | None:
    held_for = _held_for.get()
    return None if held_for is None else datetime.now(UTC) + held_for


async def publish(conn: asyncpg.Connection, event: Event) -> None:
    """Announce ``event`` to the plugins of its tenant once this transaction has committed."""
    if not _is_heard(event):
        return
    payload = msgspec.to_builtins(event)
    await put(conn, event.tenant_id, "event", event.name, payload, key=f"event:{event.id}", run_at=_event_run_at())


async def publish_all(conn: asyncpg.Connection, events: Sequence[Event]) -> None:
    """Announce ``events`` like :func:`publish`, in two round trips for any number."""
    heard = [event for event in events if _is_heard(event)]
    if not heard:
        return
    await conn.executemany(
        INSERT,
        [
            (
                event.tenant_id, uuid7(), "event", "", event.name, msgspec.to_builtins(event), f"event:{event.id}",
                _event_run_at(), MAX_ATTEMPTS,
            )
            for event in heard
        ],
    )  # fmt: skip
    await conn.execute(f"notify {CHANNEL}")


async def enqueue(
    conn: asyncpg.Connection,
    tenant_id: UUID,
    name: str,
    payload: Mapping[str, Any],
    *,
    plugin: str = "",
    run_at: datetime | None = None,
    key: str | None = None,
    max_attempts: int = MAX_ATTEMPTS,
) -> None:
    """Have the job ``name`` run once this transaction has committed; the same ``key`` twice is one job."""
    await put(conn, tenant_id, "job", name, payload, plugin=plugin, run_at=run_at, key=key, max_attempts=max_attempts)


async def enqueue_all(
    conn: asyncpg.Connection, tenant_id: UUID, name: str, jobs: Sequence[tuple[Mapping[str, Any], str]]
) -> None:
    """Have the job ``name`` run once for each of these payloads and keys, in two round trips for any number."""
    if not jobs:
        return
    await conn.executemany(
        INSERT,
        [(tenant_id, uuid7(), "job", "", name, dict(payload), key, None, MAX_ATTEMPTS) for payload, key in jobs],
    )
    await conn.execute(f"notify {CHANNEL}")


async def put(
    conn: asyncpg.Connection,
    tenant_id: UUID,
    kind: Kind,
    name: str,
    payload: Mapping[str, Any],
    *,
    plugin: str = "",
    run_at: datetime | None = None,
    key: str | None = None,
    max_attempts: int = MAX_ATTEMPTS,
) -> bool:
    """Insert one row; False when its key was there already."""
    values = (tenant_id, uuid7(), kind, plugin, name, dict(payload), key, run_at, max_attempts)
    inserted = await conn.fetchval(INSERT, *values)
    if inserted is not None:
        await conn.execute(f"notify {CHANNEL}")
    return inserted is not None


async def settle(conn: asyncpg.Connection, tenant_id: UUID, keys: Sequence[str]) -> None:
    """Mark jobs done by their keys: another did their work in this transaction. Those that were begun end by themselves."""
    await conn.execute(
        """
        update outbox set status = 'done', done_at = clock_timestamp(), lease_token = null, lease_until = null, last_error = null
        where tenant_id = $1 and id in (
            select id from outbox where tenant_id = $1 and dedupe_key = any($2) and status = 'pending' and attempts = 0
            for update skip locked
        )
        """,
        tenant_id, list(keys),
    )  # fmt: skip


async def take_events(
    conn: asyncpg.Connection, tenant_id: UUID, besides: UUID, how_many: int = 200
) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Events that wait beside the one being fanned out, marked done: name and payload, for the caller to fan out as well.

    One whose own task was begun is left to it.
    """
    rows = await conn.fetch(
        """
        update outbox set status = 'done', done_at = clock_timestamp(), lease_token = null, lease_until = null
        where tenant_id = $1 and id in (
            select id from outbox where tenant_id = $1 and kind = 'event' and status = 'pending' and id <> $2
                and attempts = 0 and run_at <= clock_timestamp() order by run_at limit $3 for update skip locked
        )
        returning name, payload, run_at
        """,
        tenant_id, besides, how_many,
    )  # fmt: skip
    return [(row["name"], row["payload"]) for row in sorted(rows, key=lambda row: row["run_at"])]
