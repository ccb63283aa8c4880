"""The worker: turns events into touches, runs tasks, keeps schedules, delivers mails; until it is asked to stop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

import saq

from coursesignal.db.engine import Database
from coursesignal.jobs import leases, mail, outbox
from coursesignal.jobs.bells import Bell, Listener
from coursesignal.jobs.crons import Cron, Scheduler
from coursesignal.jobs.mail import Mailer
from coursesignal.jobs.queue import FUNCTION, connect, open_queue, slip_of
from coursesignal.jobs.relay import Relay
from coursesignal.jobs.retries import reason
from coursesignal.jobs.running import LEASE_S, TASK_TIMEOUT_S, Runner
from coursesignal.jobs.tasks import Handler
from coursesignal.settings import Settings

log = logging.getLogger(__name__)

Drain = Callable[[], Awaitable[int]]
"""Processes stored events and returns how many there were."""

CONCURRENCY = 8
EVENT_LANES, LANES_BESIDE_TASKS = 8, 2
"""Tenants whose events are processed at the same time, in a process of their own and in one that runs tasks too."""
GRACE_S = 7.0
"""How long running tasks may go on after the worker was asked to stop; less than the supervisor waits."""
CANCELLATIONS, CANCELLATION_S = 3, 0.8
"""How often what is left is cancelled then, and how long it may take to hand back its task each time."""
IDLE_POLL_S = 0.2
MAIL_POLL_S = 5.0
AFTER_FAILURE_S = 1.0


class Worker:
    """One worker process; any number may run. Without ``drain`` it leaves the events to others."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        app_url: str,
        handlers: Mapping[str, Handler],
        drain: Drain | None,
        mailer: Mailer,
        crons: Sequence[Cron] = (),
        *,
        concurrency: int = CONCURRENCY,
        lease_s: float = LEASE_S,
        grace_s: float = GRACE_S,
    ) -> None:
        self._drain = drain
        self._mailer = mailer
        self._runner = Runner(database, handlers, lease_s)
        self._scheduler = Scheduler(database, crons)
        self._listener = Listener(app_url, (outbox.CHANNEL, mail.CHANNEL))
        self._work, self._mail = (self._listener.bells[channel] for channel in (outbox.CHANNEL, mail.CHANNEL))
        self._idle = [Bell() for _ in range(LANES_BESIDE_TASKS)]
        self._queue = open_queue(settings, app_url)
        self._carrier = Carrier(
            self._queue, [(FUNCTION, self._run_slip)], concurrency=concurrency, dequeue_timeout=10.0,
            grace_s=grace_s,
        )  # fmt: skip
        self._relay = Relay(
            database, self._queue, self._work, room=concurrency, lease_s=lease_s, timeout_s=TASK_TIMEOUT_S
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; running tasks then get GRACE_S, and those that need longer are handed back."""
        await connect(self._queue)
        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(self._listener.run(), name="listen")
                for name, loop in self._loops(stop).items():
                    group.create_task(loop, name=name)
                carrying = group.create_task(self._carrier.start(), name="carry")
                log.info("worker started")
                await stop.wait()
                await self._carrier.started.wait()  # one that is stopped before it starts, starts for good
                self._wake()
                await self._carrier.stop()
                await carrying
                listening.cancel()
        finally:
            await self._queue.disconnect()
        log.info("worker stopped")

    def _loops(self, stop: asyncio.Event) -> Mapping[str, Coroutine[Any, Any, None]]:
        loops = {
            "relay": self._relay.run(stop),
            "mail": _keep(stop, self._mailer.deliver_due, self._mail, MAIL_POLL_S, "mails"),
            "schedule": self._scheduler.run(stop),
        }
        if self._drain is not None:
            for lane, bell in enumerate(self._idle):
                loops[f"events {lane}"] = _keep(stop, self._drain, bell, IDLE_POLL_S, "events")
        return loops

    def _wake(self) -> None:
        for bell in (*self._idle, self._work, self._mail):
            bell.ring()
        self._scheduler.wake()

    async def _run_slip(self, ctx: Mapping[str, Any], *, tenant_id: str, id: str, lease_token: str) -> None:
        await self._runner.run(slip_of(tenant_id, id, lease_token), ctx["job"].update)
        self._work.ring()


async def keep_draining(drain: Drain, stop: asyncio.Event) -> None:
    """Process stored events, and nothing else, until ``stop`` is set.

    In a process of its own it does not wait for its turn beside tasks that calculate for minutes.
    """
    idle = [Bell() for _ in range(EVENT_LANES)]
    async with asyncio.TaskGroup() as group:
        for lane, bell in enumerate(idle):
            group.create_task(_keep(stop, drain, bell, IDLE_POLL_S, "events"), name=f"events {lane}")
        log.info("worker started")
        await stop.wait()
        for bell in idle:
            bell.ring()
    log.info("worker stopped")


async def _keep(stop: asyncio.Event, do: Drain, bell: Bell, poll_s: float, what: str) -> None:
    """Do it again and again, without a pause while there is something to do."""
    while not stop.is_set():
        try:
            pause_s = 0.0 if await do() else poll_s
        except Exception as error:
            log.warning("%s wait, they could not be worked on: %s", what, reason(error))
            pause_s = AFTER_FAILURE_S
        if pause_s:
            await bell.wait(pause_s)


class Carrier(saq.Worker[Any]):
    """SAQ's worker, which leaves signals to the process and stops when its running jobs have ended."""

    SIGNALS = []  # noqa: RUF012

    def __init__(self, queue: saq.Queue, functions: Any, *, grace_s: float, **options: Any) -> None:
        super().__init__(queue, functions, startup=self._note_start, **options)
        self._grace_s = grace_s
        self.started = asyncio.Event()

    async def _note_start(self, ctx: object) -> None:
        self.started.set()

    async def stop(self) -> None:
        self.event.set()  # nothing more is dequeued
        until = time.monotonic() + self._grace_s
        while self.job_task_contexts and time.monotonic() < until:  # noqa: ASYNC110 – SAQ offers nothing to wait for
            await asyncio.sleep(0.02)
        await self._end_waits()
        await super().stop()

    async def _end_waits(self) -> None:
        """Cancel what is left: waits for work, sleeps, tasks that need too long. Some database calls swallow a cancellation."""
        left = set(self.tasks)
        for _ in range(CANCELLATIONS):
            if not left:
                return
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=CANCELLATION_S)


async def run_until_idle(
    database: Database, handlers: Mapping[str, Handler], drain: Drain, *, lease_s: float = LEASE_S
) -> int:
    """Process every stored event and every due task, one after another, until there is none; returns how many.

    A task that fails waits for its next attempt, as in a worker.
    """
    runner = Runner(database, handlers, lease_s)
    total = 0
    while True:
        events = await drain()
        slips = await leases.lease_due(database, CONCURRENCY, lease_s)
        for slip in slips:
            await runner.run(slip)
        if not events and not slips:
            return total
        total += events + len(slips)
