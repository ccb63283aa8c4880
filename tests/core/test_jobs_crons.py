"""Schedules take effect once per due time, however many workers keep them and whenever one of them dies."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from coursesignal.errors import ConfigurationError
from coursesignal.jobs.crons import Cron, Scheduler
from coursesignal.runtime import Runtime

NOON = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
JUST_AFTER = timedelta(seconds=1)


class Log:
    """A cron that notes for which due times it ran."""

    def __init__(self) -> None:
        self.runs: list[datetime] = []
        self.hangs = False
        self.fails = False
        self.began = asyncio.Event()
        self.cron = Cron(f"test.{secrets.token_hex(4)}", "0 * * * *", self._run)

    async def _run(self, due: datetime) -> None:
        self.runs.append(due)
        self.began.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise RuntimeError("no luck")


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def workers(installation: Runtime, log: Log) -> list[Scheduler]:
    """The schedulers of three workers, which have all seen the hour before noon."""
    return [Scheduler(installation.database, [log.cron]) for _ in range(3)]


@pytest.fixture
def let_claims_end(installation: Runtime, log: Log) -> Callable[[], Awaitable[None]]:
    """Let the time pass after which a claimed run counts as dead."""

    async def end() -> None:
        async with installation.database.control() as conn:
            await conn.execute(
                "update cron_runs set started_at = started_at - interval '6 minutes' where name = $1", log.cron.name
            )

    return end


async def test_a_new_schedule_waits_for_its_next_due_time(workers: list[Scheduler], log: Log) -> None:
    pauses = await asyncio.gather(*(worker.tick(NOON + HOUR / 2) for worker in workers))
    assert log.runs == [] and set(pauses) == {15.0}
    await workers[0].tick(NOON + HOUR + JUST_AFTER)
    assert log.runs == [NOON + HOUR]


async def test_three_workers_run_each_due_time_once(workers: list[Scheduler], log: Log) -> None:
    await workers[0].tick(NOON - HOUR / 2)
    for hours in range(4):
        now = NOON + hours * HOUR + JUST_AFTER
        await asyncio.gather(*(worker.tick(now) for worker in workers for _ in range(3)))
    assert log.runs == [NOON + hours * HOUR for hours in range(4)]


async def test_what_was_missed_while_no_worker_ran_is_made_up_for_once(workers: list[Scheduler], log: Log) -> None:
    await workers[0].tick(NOON - HOUR / 2)
    await asyncio.gather(*(worker.tick(NOON + 5 * HOUR + timedelta(minutes=40)) for worker in workers))
    assert log.runs == [NOON + 5 * HOUR]


async def test_a_run_whose_worker_died_is_taken_over_by_one_other(
    workers: list[Scheduler], log: Log, let_claims_end: Callable[[], Awaitable[None]]
) -> None:
    await workers[0].tick(NOON - HOUR / 2)
    log.hangs = True
    dying = asyncio.create_task(workers[0].tick(NOON + JUST_AFTER))
    await log.began.wait()
    dying.cancel()
    log.hangs = False
    await workers[1].tick(NOON + JUST_AFTER)
    assert log.runs == [NOON], "it may still be at it"
    await let_claims_end()
    await asyncio.gather(*(worker.tick(NOON + JUST_AFTER) for worker in workers[1:]))
    await asyncio.gather(*(worker.tick(NOON + HOUR / 2) for worker in workers[1:]))
    assert log.runs == [NOON, NOON]


async def test_a_run_that_fails_is_tried_again_and_keeps_no_other_from_running(
    installation: Runtime, log: Log, let_claims_end: Callable[[], Awaitable[None]]
) -> None:
    other = Log()
    worker = Scheduler(installation.database, [log.cron, other.cron])
    await worker.tick(NOON - HOUR / 2)
    log.fails = True
    await worker.tick(NOON + JUST_AFTER)
    assert other.runs == [NOON]
    log.fails = False
    await let_claims_end()
    await worker.tick(NOON + HOUR / 2)
    await worker.tick(NOON + HOUR / 2)
    assert log.runs == [NOON, NOON]


def test_a_schedule_nobody_can_keep_is_named(installation: Runtime, log: Log) -> None:
    with pytest.raises(ConfigurationError, match="every full moon"):
        Scheduler(installation.database, [Cron("test.odd", "every full moon", log.cron.run)])
