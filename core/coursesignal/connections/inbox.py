"""The webhook inbox: every stored webhook is understood once, and can be looked at and processed again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.commerce.forgetting import identifiers_in
from coursesignal.connections.house import House
from coursesignal.connections.intake import NotAnEvent, apply
from coursesignal.connections.schemas import InboxDetail, InboxItem, InboxPage
from coursesignal.errors import NotFound
from coursesignal.identity import tombstones
from coursesignal.identity.tombstones import Tombstones
from coursesignal.jobs.outbox import enqueue
from coursesignal.jobs.tasks import TaskRun
from coursesignal.plugin import Connector, PlatformEvent, WebhookRequest

log = logging.getLogger("coursesignal.connections")

SHOWN_BYTES = 64 * 1024
FORGOTTEN = "This webhook named somebody whose data was erased; its body is gone."
_ITEM = """
    select i.id, c.platform, i.connection_id, i.status, i.problem, i.received_at, i.processed_at, i.repeats
    from inbox i join connections c on c.tenant_id = i.tenant_id and c.id = i.connection_id
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a stored webhook turned out to say, or why it could not be read."""

    events: Sequence[PlatformEvent] = ()
    problem: str | None = None


def read(connector: Connector[Any] | None, platform: str, request: WebhookRequest) -> Reading:
    """Parse a stored webhook. Parsing is pure, so whatever it raises is about this body: a reason, not an error."""
    if connector is None:
        return Reading(problem=f"The {platform} plugin is not installed. Install it, then replay this webhook.")
    try:
        return Reading(events=connector.parse_webhook(request))
    except Exception as error:
        detail = " ".join(str(error).split())[:200]
        return Reading(problem=f"This body cannot be read: {type(error).__name__}: {detail}")


async def process(run: TaskRun, house: House) -> None:
    """The task ``core.inbox``: understand one webhook and book what it says, in one transaction with the task's end."""
    tenant_id, inbox_id = run.task.tenant_id, UUID(run.task.payload["inboxId"])
    async with run.effects() as conn:
        row = await conn.fetchrow(
            "select i.*, c.platform from inbox i join connections c on c.tenant_id = i.tenant_id and c.id = i.connection_id "
            "where i.tenant_id = $1 and i.id = $2 and i.status = 'received' for update of i",
            tenant_id, inbox_id,
        )  # fmt: skip
        if row is None:
            return
        status, problem = await _book(conn, house, row)
        if await forget(conn, house, row) and problem is not None:
            problem = FORGOTTEN
        await conn.execute(
            "update inbox set status = $3, problem = $4, processed_at = now() where tenant_id = $1 and id = $2",
            tenant_id, inbox_id, status, problem,
        )  # fmt: skip


async def _book(conn: asyncpg.Connection, house: House, row: asyncpg.Record) -> tuple[str, str | None]:
    """Status and problem of a webhook after it was read and its events applied."""
    platform = row["platform"]
    request = WebhookRequest(
        body=row["body"], headers=row["headers"], query=row["query"], received_at=row["received_at"]
    )
    reading = read(house.connectors.get(platform), platform, request)
    if reading.problem is not None:
        log.warning("webhook.quarantined platform=%s inbox=%s", platform, row["id"])
        return "quarantined", reading.problem
    if not reading.events:
        return "ignored", None
    try:
        async with conn.transaction():  # a savepoint: values the database refuses spoil this webhook only
            await apply(conn, row["tenant_id"], row["connection_id"], platform, reading.events, house.models)
    except (NotAnEvent, asyncpg.DataError, OverflowError) as error:
        return "quarantined", f"This body says something impossible: {' '.join(str(error).split())[:200]}"
    return "done", None


async def forget(conn: asyncpg.Connection, house: House, row: asyncpg.Record) -> bool:
    """Empty a webhook that names somebody whose data was erased; returns whether it did. It cannot be processed again."""
    erased = await tombstones.of_tenant(conn, row["tenant_id"])
    if not erased.hashes or not names(house, row, erased):
        return False
    await empty(conn, row["tenant_id"], [row["id"]])
    return True


def names(house: House, row: asyncpg.Record, erased: Tombstones) -> bool:
    """Whether a stored webhook names somebody erased: by an address anywhere in it, or by a contact the platform tells of."""
    query = " ".join(map(str, row["query"].values()))
    if erased.named_in(row["body"].decode("utf-8", "replace")) or erased.named_in(query):
        return True
    request = WebhookRequest(
        body=row["body"], headers=row["headers"], query=row["query"], received_at=row["received_at"]
    )
    events = read(house.connectors.get(row["platform"]), row["platform"], request).events
    named = [one for event in events for one in identifiers_in(row["connection_id"], event)]
    return any(erased.hold(kind, value) for kind, value in named)


async def empty(conn: asyncpg.Connection, tenant_id: UUID, inbox_ids: Sequence[UUID]) -> None:
    """Take away what webhooks said; that they came, and what became of them, stays."""
    await conn.execute(
        "update inbox set body = ''::bytea, headers = '{}', query = '{}', redacted_at = now() "
        "where tenant_id = $1 and id = any($2)",
        tenant_id, list(inbox_ids),
    )  # fmt: skip


async def replay(conn: asyncpg.Connection, tenant_id: UUID, *, inbox_id: UUID | None = None, status: str = "") -> int:
    """Process one webhook again, or all of a status; returns how many. Money is booked once however often it is told."""
    rows = await conn.fetch(
        "update inbox set status = 'received', problem = null, processed_at = null where tenant_id = $1 "
        "and ($2::uuid is null or id = $2) and ($3 = '' or status = $3) and redacted_at is null returning id",
        tenant_id, inbox_id, status,
    )  # fmt: skip
    for row in rows:
        await enqueue(conn, tenant_id, "core.inbox", {"inboxId": str(row["id"])})
    return len(rows)


async def listing(
    conn: asyncpg.Connection, tenant_id: UUID, *, status: str, platform: str, limit: int, before: UUID | None
) -> InboxPage:
    """Webhooks, newest first; ids are UUIDv7, so they sort by time."""
    rows = await conn.fetch(
        f"{_ITEM} where i.tenant_id = $1 and ($2 = '' or i.status = $2) and ($3 = '' or c.platform = $3) "
        "and ($4::uuid is null or i.id < $4) order by i.id desc limit $5",
        tenant_id, status, platform, before, limit + 1,
    )  # fmt: skip
    items = [InboxItem(**row) for row in rows[:limit]]
    return InboxPage(items=items, next_cursor=str(items[-1].id) if len(rows) > limit else None)


async def detail(conn: asyncpg.Connection, tenant_id: UUID, inbox_id: UUID) -> InboxDetail:
    """One webhook with its body as text; raises NotFound."""
    row = await conn.fetchrow(f"{_ITEM} where i.tenant_id = $1 and i.id = $2", tenant_id, inbox_id)
    raw = await conn.fetchrow(
        "select headers, query, body from inbox where tenant_id = $1 and id = $2", tenant_id, inbox_id
    )
    if row is None or raw is None:
        raise NotFound()
    body = raw["body"][:SHOWN_BYTES].decode("utf-8", "replace")
    return InboxDetail(**row, headers=raw["headers"], query=dict.fromkeys(raw["query"], "[redacted]"), body=body)
