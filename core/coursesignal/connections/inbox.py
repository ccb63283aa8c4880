"""The webhook inbox: every stored webhook is understood once, and can be looked at and processed again.

Webhooks of a tenant are understood one batch at a time: whoever's turn it is takes up everything that waits, so that a backlog is
worked off in few transactions. What spoils a batch is then looked at alone.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.commerce.forgetting import identifiers_in
from coursesignal.connections import trust
from coursesignal.connections.house import House
from coursesignal.connections.intake import NotAnEvent, apply, checked
from coursesignal.connections.redaction import redacted_text, secrets_of
from coursesignal.connections.schemas import InboxDetail, InboxItem, InboxPage
from coursesignal.db.locks import lock_ledger
from coursesignal.errors import NotFound
from coursesignal.identity import tombstones
from coursesignal.identity.tombstones import Tombstones
from coursesignal.jobs.outbox import enqueue, settle
from coursesignal.jobs.tasks import TaskRun
from coursesignal.plugin import Connector, PlatformEvent, WebhookRequest

log = logging.getLogger("coursesignal.connections")

SHOWN_BYTES = 64 * 1024
BUDGET_S = 15.0
"""How long one task works off what waits."""
BATCH, BATCH_BYTES = 100, 8 * 1024 * 1024
FORGOTTEN = "This webhook named somebody whose data was erased; its body is gone."
IMPOSSIBLE = (NotAnEvent, asyncpg.DataError, OverflowError)
"""What values that no event may have come to."""
_ITEM = """
    select i.id, c.platform, i.connection_id, i.status, i.problem, i.received_at, i.processed_at, i.repeats,
        case when i.signed then 'signed'
             when i.status = 'done' and i.money <> '{}' and not exists (
                 select from charges k where k.tenant_id = i.tenant_id and k.connection_id = i.connection_id
                     and k.external_id = any(i.money) and not k.verified
             ) then 'confirmed' else 'unverified' end as trust
    from inbox i join connections c on c.tenant_id = i.tenant_id and c.id = i.connection_id
"""
_WAITING = """
    select id, length(body) as size from inbox where tenant_id = $1 and status = 'received' order by received_at limit $2"""
_ROWS = """
    select i.*, c.platform from inbox i join connections c on c.tenant_id = i.tenant_id and c.id = i.connection_id
    where i.tenant_id = $1 and i.id = any($2) and i.status = 'received' order by i.received_at, i.id for update of i"""
_LOST = """
    with tasks as (
        select payload->>'inboxId' as id, status, last_error from outbox
        where tenant_id = $1 and name = 'core.inbox' and status in ('pending', 'dead')
    )
    select i.id, (select max(t.last_error) from tasks t where t.status = 'dead' and t.id = i.id::text) as error
    from inbox i
    where i.tenant_id = $1 and i.status = 'received' and i.received_at < now() - interval '15 minutes'
        and not exists (select from tasks t where t.status = 'pending' and (t.id is null or t.id = i.id::text))
    limit 1000"""


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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a stored webhook."""

    status: str
    problem: str | None = None
    money: Sequence[str] = ()


async def process(run: TaskRun, house: House) -> None:
    """The task ``core.inbox``: understand a webhook and what waits beside it, batch by batch, each in one transaction.

    Without an id it works off whatever waits.
    """
    told = run.task.payload.get("inboxId")
    mine, began = None if told is None else UUID(told), time.monotonic()
    while await _batch(run, house, mine) and time.monotonic() - began < BUDGET_S:
        mine = None
    async with run.effects() as conn:
        if told is None and time.monotonic() - began >= BUDGET_S:
            await enqueue(conn, run.task.tenant_id, "core.inbox", {})


async def _batch(run: TaskRun, house: House, mine: UUID | None) -> bool:
    """Process a batch, ``mine`` in any case; returns whether there may be more for this task."""
    tenant_id, own = run.task.tenant_id, run.task.payload.get("inboxId")
    async with run.step() as conn:
        await lock_ledger(conn, tenant_id)
        ids = await _waiting(conn, tenant_id, mine)
        rows = await conn.fetch(_ROWS, tenant_id, ids) if ids else []
        done = await _understand(conn, house, rows)
        spoilt = done is None
        if done is None:
            alone = [row for row in rows if own is None or row["id"] == mine]
            done = await _one_by_one(conn, house, alone, must=own is not None)
        await settle(conn, tenant_id, [f"inbox:{one}" for one in done if str(one) != own])
    return len(rows) > 1 and bool(done) and not (spoilt and own is not None)


async def _waiting(conn: asyncpg.Connection, tenant_id: UUID, mine: UUID | None) -> Sequence[UUID]:
    """Ids of a batch; none when ``mine`` was processed already."""
    ids, size = [], 0
    if mine is not None:
        own = await conn.fetchval(
            "select length(body) from inbox where tenant_id = $1 and id = $2 and status = 'received'", tenant_id, mine
        )
        if own is None:
            return []
        ids, size = [mine], own
    for row in await conn.fetch(_WAITING, tenant_id, BATCH):
        size += row["size"]
        if size > BATCH_BYTES and ids:
            break
        if row["id"] != mine:
            ids.append(row["id"])
    return ids[:BATCH]


async def _understand(conn: asyncpg.Connection, house: House, rows: Sequence[asyncpg.Record]) -> Sequence[UUID] | None:
    """Process webhooks together, in a savepoint; returns which, or None when something in them spoils the batch."""
    try:
        async with conn.transaction():
            return await _book(conn, house, rows)
    except IMPOSSIBLE:
        return None
    except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError):
        raise
    except Exception:
        if len(rows) == 1:
            raise
        log.exception("inbox.batch_failed webhooks=%d; they are processed one by one", len(rows))
        return None


async def _one_by_one(
    conn: asyncpg.Connection, house: House, rows: Sequence[asyncpg.Record], *, must: bool
) -> Sequence[UUID]:
    """Process each alone; one that says something impossible goes to quarantine, any other failure is raised if it ``must``."""
    done: list[UUID] = []
    for row in rows:
        try:
            async with conn.transaction():
                done += await _book(conn, house, [row])
        except IMPOSSIBLE as error:
            words = f"This body says something impossible: {' '.join(str(error).split())[:200]}"
            await _keep(conn, house, [(row, Outcome("quarantined", words))])
            done.append(row["id"])
        except Exception:
            if must:
                raise
            log.exception("inbox.failed webhook=%s", row["id"])
    return done


async def _book(conn: asyncpg.Connection, house: House, rows: Sequence[asyncpg.Record]) -> Sequence[UUID]:
    """Read webhooks, book the events of each connection together, and note what became of each."""
    outcomes: list[tuple[asyncpg.Record, Outcome]] = []
    events: dict[tuple[UUID, str, bool], list[PlatformEvent]] = defaultdict(list)
    for row in rows:
        connector = house.connectors.get(row["platform"])
        reading = read(connector, row["platform"], _request(row))
        told = checked(reading.events)
        outcomes.append((row, _outcome(row, reading, told)))
        events[row["connection_id"], row["platform"], trust.is_doubtful(connector, signed=row["signed"])] += told
    for (connection_id, platform, doubtful), told in events.items():
        if told:
            await _apply(conn, house, rows[0]["tenant_id"], connection_id, platform, told, doubtful=doubtful)
    await _keep(conn, house, outcomes)
    return [row["id"] for row in rows]


async def _apply(
    conn: asyncpg.Connection,
    house: House,
    tenant_id: UUID,
    connection_id: UUID,
    platform: str,
    events: Sequence[PlatformEvent],
    *,
    doubtful: bool,
) -> None:
    """Book events; what nobody else told of before is unverified if they are ``doubtful``."""
    told = set(trust.ids_of(events))
    new = told - await trust.known(conn, tenant_id, connection_id, told) if doubtful else set()
    await apply(conn, tenant_id, connection_id, platform, events, house.models)
    if new:
        await trust.doubt(conn, tenant_id, connection_id, new)


def _request(row: asyncpg.Record) -> WebhookRequest:
    return WebhookRequest(body=row["body"], headers=row["headers"], query=row["query"], received_at=row["received_at"])


def _outcome(row: asyncpg.Record, reading: Reading, told: Sequence[PlatformEvent]) -> Outcome:
    if reading.problem is not None:
        log.warning("webhook.quarantined platform=%s inbox=%s", row["platform"], row["id"])
        return Outcome("quarantined", reading.problem)
    if not told:
        return Outcome("ignored")
    return Outcome("done", None, () if row["signed"] else trust.ids_of(told))


async def _keep(conn: asyncpg.Connection, house: House, outcomes: Sequence[tuple[asyncpg.Record, Outcome]]) -> None:
    """Note what became of webhooks; those that name somebody erased are emptied, and cannot be processed again."""
    if not outcomes:
        return
    tenant_id = outcomes[0][0]["tenant_id"]
    erased = await tombstones.of_tenant(conn, tenant_id)
    naming = {row["id"] for row, _ in outcomes if erased.hashes and names(house, row, erased)}
    if naming:
        await empty(conn, tenant_id, list(naming))
    await conn.executemany(
        "update inbox set status = $3, problem = $4, money = $5, processed_at = now() where tenant_id = $1 and id = $2",
        [
            (
                tenant_id, row["id"], outcome.status,
                FORGOTTEN if row["id"] in naming and outcome.problem is not None else outcome.problem,
                list(outcome.money),
            )
            for row, outcome in outcomes
        ],
    )  # fmt: skip


def names(house: House, row: asyncpg.Record, erased: Tombstones) -> bool:
    """Whether a stored webhook names somebody erased: by an address anywhere in it, or by a contact the platform tells of."""
    query = " ".join(map(str, row["query"].values()))
    if erased.named_in(row["body"].decode("utf-8", "replace")) or erased.named_in(query):
        return True
    events = read(house.connectors.get(row["platform"]), row["platform"], _request(row)).events
    named = [one for event in events for one in identifiers_in(row["connection_id"], event)]
    return any(erased.hold(kind, value) for kind, value in named)


async def empty(conn: asyncpg.Connection, tenant_id: UUID, inbox_ids: Sequence[UUID]) -> None:
    """Take away what webhooks said; that they came, and what became of them, stays."""
    await conn.execute(
        "update inbox set body = ''::bytea, headers = '{}', query = '{}', redacted_at = now() "
        "where tenant_id = $1 and id = any($2)",
        tenant_id, list(inbox_ids),
    )  # fmt: skip


async def replay(
    conn: asyncpg.Connection, tenant_id: UUID, *, inbox_id: UUID | None = None, status: str = "", platform: str = ""
) -> int:
    """Process one webhook again, or all of a status and platform; returns how many. Money is booked once however often told."""
    rows = await conn.fetch(
        "update inbox set status = 'received', problem = null, processed_at = null where tenant_id = $1 "
        "and ($2::uuid is null or id = $2) and ($3 = '' or status = $3) and redacted_at is null "
        "and ($4 = '' or connection_id in (select id from connections where tenant_id = $1 and platform = $4)) returning id",
        tenant_id, inbox_id, status, platform,
    )  # fmt: skip
    if rows:
        payload = {} if len(rows) > 1 else {"inboxId": str(rows[0]["id"])}
        await enqueue(conn, tenant_id, "core.inbox", payload)
    return len(rows)


async def take_up(conn: asyncpg.Connection, tenant_id: UUID) -> int:
    """Have stored webhooks processed whose task is gone; one that was given up goes to quarantine with the reason. How many."""
    lost = await conn.fetch(_LOST, tenant_id)
    for row in lost:
        if row["error"] is None:
            await enqueue(conn, tenant_id, "core.inbox", {"inboxId": str(row["id"])})
            continue
        await conn.execute(
            "update inbox set status = 'quarantined', problem = $3, processed_at = now() where tenant_id = $1 and id = $2",
            tenant_id, row["id"], f"It could not be processed: {row['error'][:200]}",
        )  # fmt: skip
    return len(lost)


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


async def detail(conn: asyncpg.Connection, house: House, tenant_id: UUID, inbox_id: UUID) -> InboxDetail:
    """One webhook with its body as text and without secrets; raises NotFound."""
    row = await conn.fetchrow(f"{_ITEM} where i.tenant_id = $1 and i.id = $2", tenant_id, inbox_id)
    raw = await conn.fetchrow(
        "select i.headers, i.query, i.body, c.id, c.platform, c.credentials, c.sealed_key from inbox i "
        "join connections c on c.tenant_id = i.tenant_id and c.id = i.connection_id where i.tenant_id = $1 and i.id = $2",
        tenant_id, inbox_id,
    )  # fmt: skip
    if row is None or raw is None:
        raise NotFound()
    secrets = secrets_of(house.keys.box, house.connectors.get(raw["platform"]), tenant_id, raw)
    body = redacted_text(raw["body"][:SHOWN_BYTES].decode("utf-8", "replace"), secrets)
    headers = {name: redacted_text(value, secrets) for name, value in raw["headers"].items()}
    return InboxDetail(**row, headers=headers, query=dict.fromkeys(raw["query"], "[redacted]"), body=body)
