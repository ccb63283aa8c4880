"""A worker may die or freeze between any two effects: what it was to do happens once."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from coursesignal.db.roles import Addresses
from coursesignal.jobs.running import CRASHES
from coursesignal.testing.waiting import eventually

pytestmark = pytest.mark.faults

Read = Callable[[], Awaitable[list[Any]]]
AllDone = Callable[..., Awaitable[list[Any]]]
GAPS = ("before", "inside", "after")
KILLS = int(os.environ.get("COURSESIGNAL_FAULT_ROUNDS", "4"))
SWEEP_LOCK = """
    select exists (
        select from pg_locks where locktype = 'advisory' and granted and objid = hashtext('coursesignal')::oid
            and database = (select oid from pg_database where datname = $1)
    )
"""


def both_halves(*names: str) -> list[str]:
    return sorted(f"{name} {half}" for name in names for half in ("first", "second"))


@pytest.mark.timeout(300)
async def test_a_worker_killed_in_any_gap_has_each_effect_once(
    start_worker: Any, enqueue: Any, effects: Read, all_done: AllDone
) -> None:
    for kill in range(KILLS):
        worker = start_worker(lease_s=1.0)
        for gap in GAPS:
            await enqueue(f"{kill} {gap}", stops=gap)
            worker.says(f"{kill} {gap} stops {gap}")
        worker.kill()
    start_worker(lease_s=1.0)
    rows = await all_done()
    assert await effects() == both_halves(*(f"{kill} {gap}" for kill in range(KILLS) for gap in GAPS))
    attempts = {row["payload"]["name"]: row["attempts"] for row in rows}
    for kill in range(KILLS):
        again = [attempts[f"{kill} {gap}"] > 1 for gap in GAPS]
        assert again == [True, True, False], "what had taken effect was done; the rest was begun again"


async def test_a_frozen_worker_that_wakes_cannot_commit(
    start_worker: Any, enqueue: Any, effects: Read, all_done: AllDone
) -> None:
    zombie = start_worker(lease_s=1.0)
    await enqueue("a sale", stops="before")
    zombie.says("a sale stops before")
    zombie.signal(signal.SIGSTOP)

    start_worker(lease_s=1.0)
    await all_done()
    assert await effects() == both_halves("a sale")

    zombie.gate.touch()
    zombie.signal(signal.SIGCONT)
    zombie.says("lost")
    assert await effects() == both_halves("a sale")


async def test_a_worker_frozen_inside_its_transaction_commits_it_once(
    start_worker: Any, enqueue: Any, effects: Read, tasks: Read, all_done: AllDone
) -> None:
    zombie = start_worker(lease_s=1.0)
    await enqueue("a sale", stops="inside")
    zombie.says("a sale stops inside")
    zombie.signal(signal.SIGSTOP)

    other = start_worker(lease_s=1.0)
    await enqueue("another sale")

    async def other_is_done() -> bool:
        return [row["status"] for row in await tasks()] == ["pending", "done"]

    await eventually(other_is_done, 20, "the other sale")
    zombie.gate.touch()
    zombie.signal(signal.SIGCONT)
    await all_done()
    assert await effects() == both_halves("a sale", "another sale")
    assert other.process.poll() is None


async def test_the_holder_of_the_queues_sweep_lock_may_freeze(
    start_worker: Any, enqueue: Any, effects: Read, all_done: AllDone, where: Addresses
) -> None:
    sweeper = start_worker(lease_s=1.0)

    async def holds_the_lock() -> bool:
        admin = await asyncpg.connect(where.admin)
        try:
            return bool(await admin.fetchval(SWEEP_LOCK, urlsplit(where.app).path.strip("/")))
        finally:
            await admin.close()

    await enqueue("warm up")
    await all_done()
    await eventually(holds_the_lock, 10, "the sweep lock")
    sweeper.signal(signal.SIGSTOP)

    doomed = start_worker(lease_s=1.0)
    await enqueue("a sale", stops="before")
    doomed.says("a sale stops before")
    doomed.kill()
    start_worker(lease_s=1.0)
    await all_done(timeout_s=11)
    assert await effects() == both_halves("a sale", "warm up")


async def test_a_task_that_ends_its_worker_every_time_becomes_a_dead_letter(
    start_worker: Any, enqueue: Any, effects: Read, tasks: Read, database: Any, tenant_id: UUID
) -> None:
    await enqueue("poison", stops="before always", max_attempts=1)
    for _ in range(CRASHES):
        worker = start_worker(lease_s=1.0)
        worker.says("poison stops before")
        worker.kill()
    start_worker(lease_s=1.0)

    async def dead() -> Any:
        (row,) = await tasks()
        return row if row["status"] == "dead" else None

    row = await eventually(dead, 20, "the dead letter")
    assert "The worker ended while it ran this" in row["last_error"]
    assert await effects() == []


async def test_a_task_whose_workers_were_killed_often_still_has_its_own_attempts(
    start_worker: Any, enqueue: Any, tasks: Read, database: Any, tenant_id: UUID
) -> None:
    await enqueue("unlucky", stops="with an error")
    async with database.tenant(tenant_id) as conn:
        await conn.execute("update outbox set attempts = max_attempts where tenant_id = $1", tenant_id)
    start_worker()

    async def failed() -> Any:
        (row,) = await tasks()
        return row if row["last_error"] else None

    row = await eventually(failed, 20, "its failure")
    assert (row["status"], row["last_error"]) == ("pending", "RuntimeError: no luck")
    assert row["run_at"] - row["created_at"] < timedelta(minutes=1)


async def test_a_worker_asked_to_stop_finishes_what_it_runs(
    start_worker: Any, enqueue: Any, effects: Read, tasks: Read
) -> None:
    worker = start_worker()
    await enqueue("a sale", stops="before")
    worker.says("a sale stops before")
    worker.signal(signal.SIGTERM)
    await enqueue("a later sale")
    worker.gate.touch()
    worker.says("stopped")
    assert worker.process.wait(10) == 0
    assert await effects() == both_halves("a sale")
    assert [row["status"] for row in await tasks()] == ["done", "pending"]


async def test_a_worker_asked_to_stop_hands_back_what_takes_too_long(
    start_worker: Any, enqueue: Any, effects: Read, tasks: Read, all_done: AllDone
) -> None:
    worker = start_worker(grace_s=0.5)
    await enqueue("a sale", stops="before")
    worker.says("a sale stops before")
    worker.signal(signal.SIGTERM)
    worker.says("stopped")
    assert worker.process.wait(10) == 0
    (row,) = await tasks()
    assert (row["status"], row["attempts"], row["lease_token"]) == ("pending", 0, None)

    worker.gate.touch()
    start_worker()  # its lease is the usual minute: the task is free at once, not when a lease ends
    await all_done(timeout_s=10)
    assert await effects() == both_halves("a sale")


async def test_a_worker_leaves_tasks_it_does_not_know_for_one_that_does(
    start_worker: Any, enqueue: Any, effects: Read, tasks: Read, all_done: AllDone, database: Any, tenant_id: UUID
) -> None:
    old = start_worker(knows_nothing=True)
    await enqueue("a sale")

    async def handed_back() -> bool:
        (row,) = await tasks()
        return row["status"] == "pending" and row["lease_token"] is None and row["run_at"] > row["created_at"]

    await eventually(handed_back, 10, "the return of the task")
    (row,) = await tasks()
    assert row["attempts"] == 0
    old.kill()
    async with database.tenant(tenant_id) as conn:
        await conn.execute("update outbox set run_at = now() where tenant_id = $1", tenant_id)
    start_worker()
    await all_done()
    assert await effects() == both_halves("a sale")
