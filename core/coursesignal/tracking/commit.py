"""Group commit: requests that arrive together share one transaction, and each is answered after its commit.

Natural batching: while a flush is under way the next batch gathers. A batch that cannot be stored fails its own waiters only,
with :class:`~coursesignal.errors.Busy`; storing is idempotent, so they may simply send again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.db.engine import Database
from coursesignal.errors import Busy
from coursesignal.tracking.intake import Row, Site

logger = logging.getLogger(__name__)

MAX_BATCH_ROWS = 2000
MAX_PENDING_ROWS = 20_000
FLUSHERS = 2
COMMAND_TIMEOUT_S = 4.0
ACQUIRE_TIMEOUT_S = 1.0
RETRY_AFTER_S = 2

CONNECTION_LOST: tuple[type[Exception], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection cut while idle can surface as this
    OSError,
)
"""What asyncpg raises when the server went away; everything here may simply be tried again."""

Drop = tuple[Site, str]
"""One refused event: whose, and the reason."""

# One statement is one transaction and one round trip. No conflict target: cs_ingest may insert and nothing else.
STORE = """
with rows as (
    select * from unnest(
        $1::uuid[], $2::uuid[], $3::timestamptz[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::text[], $12::text[], $13::text[], $14::bytea[], $15::text[], $16::bool[]
    ) as r (tenant_id, event_id, occurred_at, site_id, visitor_id, type, name, url, referrer, title, email, props, user_agent,
        ip_hash, country, hosted)
), stored as (
    insert into events (tenant_id, event_id, occurred_at, site_id, visitor_id, type, name, url, referrer, title, email, props,
        user_agent, ip_hash, country, hosted)
    select tenant_id, event_id, occurred_at, site_id, visitor_id, type, name, url, referrer, title, email, props::jsonb,
        user_agent, ip_hash, country, hosted
    from rows on conflict do nothing
), by_tenant as (
    select tenant_id, array_agg(event_id) as event_ids, min(occurred_at) as first_at, max(occurred_at) as last_at
    from rows group by tenant_id
)
insert into event_batches (tenant_id, event_ids, first_at, last_at, drops)
select coalesce(b.tenant_id, d.tenant_id), coalesce(b.event_ids, '{}'), coalesce(b.first_at, now()), coalesce(b.last_at, now()),
    coalesce(d.drops::jsonb, '[]')
from by_tenant b full join unnest($17::uuid[], $18::text[]) as d (tenant_id, drops) on d.tenant_id = b.tenant_id
"""
_COLUMNS = 16
# Two flushes that store the same event must lock its key in the same order.
_lock_order = itemgetter(1)

Submission = tuple[Sequence[Row], Sequence[Drop], "asyncio.Future[None] | None"]


class GroupCommit:
    """Stores rows and counts drops on the ingest role's connections; starts by itself at the first submission."""

    def __init__(self, database: Database, *, max_pending_rows: int = MAX_PENDING_ROWS) -> None:
        self._database = database
        self._max_pending_rows = max_pending_rows
        self._queue: deque[Submission] = deque()
        self._pending_rows = 0
        self._wake = asyncio.Event()
        self._flushers: list[asyncio.Task[None]] = []
        self._closing = False

    async def store(self, rows: Sequence[Row], drops: Sequence[Drop]) -> None:
        """Return once the rows are committed and the drops counted; raise Busy when they are not."""
        if self._closing or self._pending_rows >= self._max_pending_rows:
            raise Busy(retry_after_s=RETRY_AFTER_S)
        done = asyncio.get_running_loop().create_future()
        self._submit(rows, drops, done)
        await done

    def count(self, drop: Drop) -> None:
        """Count a refusal with the next commit, without waiting for it."""
        if not self._closing and len(self._queue) < self._max_pending_rows:
            self._submit((), (drop,), None)

    async def close(self) -> None:
        """Flush what is pending and stop; later submissions are refused."""
        self._closing = True
        self._wake.set()
        if self._flushers:
            await asyncio.wait(self._flushers)

    def _submit(self, rows: Sequence[Row], drops: Sequence[Drop], done: asyncio.Future[None] | None) -> None:
        if not self._flushers:
            self._flushers = [asyncio.create_task(self._flush_until_closed()) for _ in range(FLUSHERS)]
        self._queue.append((rows, drops, done))
        self._pending_rows += len(rows)
        self._wake.set()

    async def _flush_until_closed(self) -> None:
        connection = _Connection(self._database)
        try:
            while True:
                if self._queue:
                    await self._flush(connection, self._take())
                elif self._closing:
                    return
                else:
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            await connection.release()

    def _take(self) -> list[Submission]:
        """The oldest submissions, up to a full batch."""
        taken: list[Submission] = []
        rows = 0
        while self._queue and rows < MAX_BATCH_ROWS and len(taken) < MAX_BATCH_ROWS:
            submission = self._queue.popleft()
            taken.append(submission)
            rows += len(submission[0])
        self._pending_rows -= rows
        return taken

    async def _flush(self, connection: _Connection, batch: Sequence[Submission]) -> None:
        waiters = [done for _, _, done in batch if done is not None]
        try:
            await connection.execute(*_arguments(batch))
        except Exception as error:  # every waiter must hear of it, and the next batch must still be stored
            logger.warning("a batch of %d submissions was not stored: %r", len(batch), error)
            for done in waiters:
                if not done.done():
                    done.set_exception(Busy(retry_after_s=RETRY_AFTER_S))
        else:
            for done in waiters:
                if not done.done():
                    done.set_result(None)


class _Connection:
    """One flusher's own connection, kept while it works: a pool's checks on each use would cost a round trip per batch."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = None

    async def execute(self, *arguments: object) -> None:
        """Store a batch; a connection that turns out to be lost is replaced once."""
        try:
            await self._attempt(*arguments)
        except TimeoutError:
            raise
        except CONNECTION_LOST:
            await self._attempt(*arguments)

    async def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._database.ingest.release(connection)

    async def _attempt(self, *arguments: object) -> None:
        if self._connection is None:
            self._connection = await self._database.ingest.acquire(timeout=ACQUIRE_TIMEOUT_S)
        try:
            await self._connection.execute(STORE, *arguments, timeout=COMMAND_TIMEOUT_S)
        except BaseException:
            await self._discard()
            raise

    async def _discard(self) -> None:
        connection, self._connection = self._connection, None
        connection.terminate()
        await self._database.ingest.release(connection)


def _arguments(batch: Iterable[Submission]) -> list[object]:
    """The statement's arguments: one list per column, then each tenant's drops as JSON text."""
    rows: list[Row] = []
    drops: list[Drop] = []
    for some_rows, some_drops, _ in batch:
        rows += some_rows
        drops += some_drops
    rows.sort(key=_lock_order)
    columns: list[object] = (
        [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(_COLUMNS)]
    )
    return [*columns, *_drops_by_tenant(drops)]


def _drops_by_tenant(drops: Sequence[Drop]) -> tuple[list[UUID], list[str]]:
    if not drops:
        return [], []
    by_tenant: defaultdict[UUID, list[object]] = defaultdict(list)
    for (site, reason), hits in Counter(drops).items():
        by_tenant[site.tenant_id].append([site.id, reason, hits])
    return list(by_tenant), [msgspec.json.encode(counts).decode() for counts in by_tenant.values()]
