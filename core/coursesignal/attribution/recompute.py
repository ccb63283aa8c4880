"""Credit a tenant's whole history again, in the background, with progress, in several lanes at once.

Each batch of purchases is a transaction: a report sees a purchase before or after, never between, so that it always adds up. Only
what differs is written; a worker that dies costs the batches under way, and whoever goes on finds the rest done. A run that finds
a newer one of all its models under way leaves the rest to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from coursesignal.attribution.service import announce, credit_again
from coursesignal.commerce.matching import match
from coursesignal.db.locks import lock_lane, lock_ledger, share_ledger
from coursesignal.jobs.tasks import TaskRun
from coursesignal.plugin import AttributionModel

BATCH = 500
LANES = 3
"""So that the database is busy while one of them is worked out here."""
KEPT_DAYS = 30

# Whatever the planner thinks of a tenant it has no statistics of: of a batch everything is found by an index. Nobody waits for a
# batch to be on disk: what a crash takes is done again, and the run's end, which is waited for, comes after all of them.
_OF_BATCH = """
    set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off;
    set local synchronous_commit = off"""
_START = """
    insert into recredit_runs (tenant_id, id, models, total) select $1, $2, $3, count(*) from purchases where tenant_id = $1
    on conflict (tenant_id, id) do update set processed = 0, total = excluded.total"""
_FORGET = "delete from recredit_runs where tenant_id = $1 and finished_at < now() - make_interval(days => $2)"
_IS_OLD = """
    select exists (
        select 1 from recredit_runs mine join recredit_runs r on r.tenant_id = $1 and r.id <> $2
            and r.status = 'running' and (r.started_at, r.id) > (mine.started_at, mine.id)
            and (r.models is null or mine.models <@ r.models)
        where mine.tenant_id = $1 and mine.id = $2
    )"""
_PAGE = """
    select id from purchases
    where tenant_id = $1 and id > $2 and get_byte(uuid_send(id), 15) % $3 = $4 order by id limit $5"""
_UNKNOWN = "select id from purchases where tenant_id = $1 and id > $2 and match <> 'email' order by id limit $3"
_PROGRESS = (
    "update recredit_runs set processed = processed + $3, changed = changed + $4 where tenant_id = $1 and id = $2"
)
_FINISH = """
    update recredit_runs set status = $3, finished_at = clock_timestamp(),
        processed = case $3 when 'completed' then total else processed end
    where tenant_id = $1 and id = $2"""


@dataclass(slots=True)
class Recompute:
    """One run, of the models that its task names or of all; ``models`` are the installation's."""

    models: Mapping[str, AttributionModel]
    run: TaskRun
    superseded: bool = False

    async def everything(self) -> None:
        """Bring every credit up to date; raises LeaseLost."""
        async with self.run.step() as conn:
            await conn.execute(_FORGET, self._tenant_id, KEPT_DAYS)
            await conn.execute(_START, self._tenant_id, self.run.task.id, self.run.task.payload.get("models"))
        if self.run.task.payload.get("match"):
            await self._match()
        try:
            async with asyncio.TaskGroup() as lanes:
                for number in range(LANES):
                    lanes.create_task(self._lane(number))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        async with self.run.effects() as conn:
            status = "superseded" if self.superseded else "completed"
            await conn.execute(_FINISH, self._tenant_id, self.run.task.id, status)

    async def _match(self) -> None:
        """Look again whose the purchases are that nobody gave an address for."""
        after: UUID | None = UUID(int=0)
        while after is not None:
            async with self.run.step() as conn:
                await lock_ledger(conn, self._tenant_id)
                ids = [row["id"] for row in await conn.fetch(_UNKNOWN, self._tenant_id, after, BATCH)]
                await match(conn, self._tenant_id, ids)
            after = ids[-1] if len(ids) == BATCH else None

    async def _lane(self, number: int) -> None:
        """The purchases whose id falls into this lane: no two lanes ever write the same credit."""
        after: UUID | None = UUID(int=0)
        while after is not None and not self.superseded:
            async with self.run.step() as conn:
                after = await self._batch(conn, number, after)

    async def _batch(self, conn: asyncpg.Connection, lane: int, after: UUID) -> UUID | None:
        """Credit the next purchases of a lane; returns the last one's id, None when there are no more."""
        await conn.execute(_OF_BATCH)
        await lock_lane(conn, self._tenant_id, lane)
        await share_ledger(conn, self._tenant_id)
        if await conn.fetchval(_IS_OLD, self._tenant_id, self.run.task.id):
            self.superseded = True
            return None
        rows = await conn.fetch(_PAGE, self._tenant_id, after, LANES, lane, BATCH)
        ids = [row["id"] for row in rows]
        changed = await credit_again(conn, self._tenant_id, ids, self._asked)
        await announce(conn, self._tenant_id, sorted(changed))
        await conn.execute(_PROGRESS, self._tenant_id, self.run.task.id, len(ids), len(changed))
        return ids[-1] if len(ids) == BATCH else None

    @property
    def _asked(self) -> Mapping[str, AttributionModel]:
        """The models of this run: those that its task names, of which some may be gone by now; without any, all."""
        named = self.run.task.payload.get("models", self.models)
        return {slug: model for slug, model in self.models.items() if slug in named}

    @property
    def _tenant_id(self) -> UUID:
        return self.run.task.tenant_id
