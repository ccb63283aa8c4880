"""Run one leased task: the same path in a worker, in tests and in the demo."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from coursesignal.db.engine import Database
from coursesignal.errors import CourseSignalError, LeaseLost
from coursesignal.jobs import leases
from coursesignal.jobs.leases import Slip
from coursesignal.jobs.retries import pause_s, reason
from coursesignal.jobs.tasks import Handler, Task, TaskRun

log = logging.getLogger(__name__)

LEASE_S = 60.0
TASK_TIMEOUT_S = 3600.0
"""No task runs longer than this; plugins' jobs have shorter limits of their own."""
UNKNOWN_PAUSE_S = 60.0
"""How long a task that this process does not know waits for one that does."""
SETTLE_S = 1.0
CRASHES = 5
"""Per attempt that a task has. Most tasks whose worker ends while they run had no part in it, so this is patient."""
CRASHED = "The worker ended while it ran this, every time. See the worker's log; then retry."

Outcome = Literal["done", "failed", "dead", "taken", "lost", "unknown"]
Touch = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs tasks with this process's handlers."""

    db: Database
    handlers: Mapping[str, Handler]
    lease_s: float = LEASE_S
    task_timeout_s: float = TASK_TIMEOUT_S

    async def run(self, slip: Slip, touch: Touch | None = None) -> Outcome:
        """Run the slip's task unless somebody else did; ``touch`` is called whenever the lease is extended.

        A task that raises is tried again later. Raises only when the database does not answer, or when cancelled.
        """
        task = await leases.begin(self.db, slip, self.lease_s)
        if task is None:
            return "taken"
        if task.attempts > CRASHES * task.max_attempts:
            await leases.fail(self.db, task, CRASHED, dead=True, after_s=0)
            return "dead"
        handler = self.handlers.get(task.name if task.kind == "job" else task.kind)
        if handler is None:
            log.warning("task %s waits: nobody here knows %s %s", task.id, task.kind, task.name)
            await leases.hand_back(self.db, task, after_s=UNKNOWN_PAUSE_S)
            return "unknown"
        return await self._attempt(TaskRun(task, self.db), handler, touch)

    async def _attempt(self, run: TaskRun, handler: Handler, touch: Touch | None) -> Outcome:
        task = run.task
        try:
            await self._attended(run, handler, touch)
        except LeaseLost as error:
            log.warning("task.lost %s; whoever took it over does the work", error)
            return "lost"
        except asyncio.CancelledError:
            await asyncio.shield(leases.hand_back(self.db, task))
            raise
        except Exception as error:
            if not run.finished:
                return await self._failed(task, error)
            log.exception("task %s (%s) took effect and then raised", task.id, task.name)
        return "done"

    async def _attended(self, run: TaskRun, handler: Handler, touch: Touch | None) -> None:
        """The handler in a task of its own, beside one that keeps the lease; whichever ends first ends the other."""
        work = asyncio.create_task(_work(run, handler), name=run.task.name)
        keeper = asyncio.create_task(self._keep(run, touch))
        try:
            await asyncio.wait({work, keeper}, timeout=self.task_timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise _interrupted(run.task, lost=keeper.done(), limit_s=self.task_timeout_s)
            if work.cancelled():
                raise RuntimeError("it cancelled itself")
            await work
        finally:
            work.cancel()
            keeper.cancel()
            await asyncio.gather(work, keeper, return_exceptions=True)

    async def _keep(self, run: TaskRun, touch: Touch | None) -> None:
        """Extend the lease until it is lost."""
        while True:
            await asyncio.sleep(self.lease_s / 3)
            try:
                mine = await leases.extend(self.db, run.task, self.lease_s)
                if touch is not None:
                    await touch()
            except Exception as error:  # unknown is not lost: effects are checked at their commit
                log.warning("the lease of task %s could not be extended: %s", run.task.id, reason(error))
                continue
            if not mine:
                await asyncio.sleep(SETTLE_S)  # done looks like lost until its commit has been answered
                if not run.finished:
                    return

    async def _failed(self, task: Task, error: Exception) -> Outcome:
        failures = task.attempts if task.failed_before else 1  # a worker's end is not the task's failure
        dead = failures >= task.max_attempts
        pause = pause_s(failures, error)
        later = "given up" if dead else f"again in {pause:.0f} s"
        trace = None if isinstance(error, CourseSignalError) else error
        log.error(
            "task.failed %s (%s) of tenant %s, attempt %d of %d, %s: %s",
            task.id, task.name, task.tenant_id, task.attempts, task.max_attempts, later, reason(error), exc_info=trace,
        )  # fmt: skip
        await leases.fail(self.db, task, reason(error), dead=dead, after_s=pause)
        return "dead" if dead else "failed"


async def _work(run: TaskRun, handler: Handler) -> None:
    await handler(run)
    if not run.finished:
        async with run.effects():
            pass


def _interrupted(task: Task, *, lost: bool, limit_s: float) -> Exception:
    if lost:
        return LeaseLost(f"task {task.id} ({task.name}) was taken over")
    return TimeoutError(f"not done within {limit_s:.0f} s")
