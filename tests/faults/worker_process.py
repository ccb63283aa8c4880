"""A worker whose one job stops in the gaps between its effects, says so, and waits to be killed, frozen or let go on."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from coursesignal.db.engine import Database
from coursesignal.jobs.mail import Mailer
from coursesignal.jobs.tasks import TaskRun
from coursesignal.jobs.worker import Worker
from coursesignal.security.keys import KeyRing
from coursesignal.settings import Settings

WORDS: dict[str, Any] = json.loads(sys.argv[1])
GATE = Path(WORDS["gate"])


def say(what: str) -> None:
    print(what, flush=True)


async def gap(run: TaskRun, where: str) -> None:
    """Stop here at the first attempt, if this task is to stop here, or at every one."""
    task = run.task
    if task.payload["stops"] == f"{where} always" or (task.payload["stops"] == where and task.attempts == 1):
        say(f"{task.payload['name']} stops {where}")
        while not GATE.exists():
            await asyncio.sleep(0.01)


async def effect(run: TaskRun) -> None:
    """Two lines of the audit log, which are there together or not at all."""
    if run.task.payload["stops"] == "with an error":
        raise RuntimeError("no luck")
    await gap(run, "before")
    async with run.effects() as conn:
        await write(conn, run, "first")
        await gap(run, "inside")
        await write(conn, run, "second")
    await gap(run, "after")


async def write(conn: Any, run: TaskRun, half: str) -> None:
    await conn.execute(
        "insert into audit_log (tenant_id, actor, action, subject) values ($1, 'test', 'effect', $2)",
        run.task.tenant_id, f"{run.task.payload['name']} {half}",
    )  # fmt: skip


class Told(logging.Handler):
    """Says when this worker lost a task to another, and when it waits for the database or the queue."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("task.lost"):
            say("lost")
        if record.getMessage().startswith("work waits"):
            say("waits")


async def nothing() -> int:
    return 0


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = Settings(home=Path(WORDS["home"]), queue_url=WORDS.get("queue_url"), testing=True)
    database = await Database.open(WORDS["app"], WORDS["ingest"])
    mailer = Mailer(settings, KeyRing.load(settings), database)
    handlers = {} if WORDS.get("knows_nothing") else {"test.effect": effect}
    worker = Worker(
        settings, database, WORDS["app"], handlers, nothing, mailer, lease_s=WORDS.get("lease_s", 60.0),
        grace_s=WORDS.get("grace_s", 7.0),
    )  # fmt: skip
    say("ready")
    await worker.run(stop)
    await database.close()
    say("stopped")


logging.getLogger("coursesignal.jobs").addHandler(Told())
asyncio.run(main())
