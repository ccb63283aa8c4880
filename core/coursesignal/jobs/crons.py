"""Schedules: each due time takes effect once, however many schedulers run; one that was missed is made up for.

Times are UTC on the database's clock. A due time is claimed in ``cron_runs``; a claim whose scheduler died is taken over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from croniter import croniter

from coursesignal.db.engine import Database
from coursesignal.errors import ConfigurationError
from coursesignal.jobs.bells import Bell
from coursesignal.jobs.retries import reason

log = logging.getLogger(__name__)

LONGEST_SLEEP_S = 15.0
TAKE_OVER_S = 300.0
"""How long a claimed run may take before another scheduler runs it again."""

FIRST_SIGHT = """
    insert into cron_runs (name, due_at, finished_at) select $1, $2, clock_timestamp()
    where not exists (select 1 from cron_runs where name = $1) on conflict do nothing returning 1
"""
CLAIM = """
    insert into cron_runs (name, due_at, started_at) values ($1, $2, clock_timestamp())
    on conflict (name, due_at) do update set started_at = clock_timestamp()
        where cron_runs.finished_at is null and cron_runs.started_at < clock_timestamp() - make_interval(secs => $3)
    returning 1
"""
FINISHED = "update cron_runs set finished_at = clock_timestamp() where name = $1 and due_at = $2"
IS_FINISHED = "select finished_at is not null from cron_runs where name = $1 and due_at = $2"


@dataclass(frozen=True, slots=True)
class Cron:
    """``run`` on a five-field schedule in UTC.

    It is handed the due time and must not mind running twice for it: a scheduler may die after the effect. One that enqueues
    gives the job a key with the due time in it.
    """

    name: str
    schedule: str
    run: Callable[[datetime], Awaitable[None]]

    def due(self, now: datetime) -> datetime:
        """The last due time before ``now``."""
        return _utc(croniter(self.schedule, now).get_prev(datetime))

    def next_due(self, now: datetime) -> datetime:
        """The first due time after ``now``."""
        return _utc(croniter(self.schedule, now).get_next(datetime))


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


class Scheduler:
    """Runs what is due. A cron that was never seen before waits for its next due time."""

    def __init__(self, db: Database, crons: Sequence[Cron]) -> None:
        for cron in crons:
            if not croniter.is_valid(cron.schedule):
                raise ConfigurationError(f"cron {cron.name}: {cron.schedule!r} is no five-field schedule")
        self._db = db
        self._crons = crons
        self._settled: dict[str, datetime] = {}
        self._bell = Bell()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the schedule until ``stop``."""
        while not stop.is_set():
            try:
                pause_s = await self.tick()
            except Exception as error:
                log.warning("schedules wait, the database does not answer: %s", reason(error))
                pause_s = 1.0
            await self._bell.wait(pause_s)

    def wake(self) -> None:
        """End the pause between two looks."""
        self._bell.ring()

    async def tick(self, now: datetime | None = None) -> float:
        """Run what is due at ``now`` (default: the database's clock); returns the seconds until something may be due again."""
        now = now or await self._clock()
        for cron in self._crons:
            due = cron.due(now)
            if self._settled.get(cron.name) != due:
                await self._settle(cron, due)
        waits = [(cron.next_due(now) - now).total_seconds() for cron in self._crons]
        return max(0.05, min([*waits, LONGEST_SLEEP_S]))

    async def _settle(self, cron: Cron, due: datetime) -> None:
        """See that ``due`` is run: by us, or by whoever claimed it; asked again at the next tick until it is finished."""
        if await self._claim(cron, due):
            try:
                await cron.run(due)
            except Exception:
                log.exception(
                    "cron.failed %s due %s; it is tried again in %d s", cron.name, due.isoformat(), TAKE_OVER_S
                )
                return
            async with self._db.control() as conn:
                await conn.execute(FINISHED, cron.name, due)
        if await self._is_finished(cron, due):
            self._settled[cron.name] = due

    async def _claim(self, cron: Cron, due: datetime) -> bool:
        async with self._db.control() as conn:
            if await conn.fetchval(FIRST_SIGHT, cron.name, due):
                return False
            return bool(await conn.fetchval(CLAIM, cron.name, due, TAKE_OVER_S))

    async def _is_finished(self, cron: Cron, due: datetime) -> bool:
        async with self._db.control() as conn:
            return bool(await conn.fetchval(IS_FINISHED, cron.name, due))

    async def _clock(self) -> datetime:
        async with self._db.control() as conn:
            return _utc(await conn.fetchval("select clock_timestamp()"))
