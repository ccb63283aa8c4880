"""``coursesignal worker``: background work until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from typing import Literal

import click

from coursesignal.analytics.rollup_tasks import crons as rollup_crons
from coursesignal.connections.schedule import crons as connection_crons
from coursesignal.jobs.running import LEASE_S
from coursesignal.jobs.upkeep import core_crons
from coursesignal.jobs.worker import Worker, keep_draining
from coursesignal.plugins.crons import crons_of
from coursesignal.privacy.tasks import crons as privacy_crons
from coursesignal.runtime import Runtime
from coursesignal.settings import Settings, load

NICENESS = 10
"""Whoever waits for an answer goes first where processors are short; what is stored can wait, and is caught up with."""
TESTING_LEASE_S = 5.0
"""So that tests which kill workers need not wait a minute for what those held."""


Share = Literal["everything", "events", "tasks"]


@click.command()
@click.option(
    "--only",
    type=click.Choice(["events", "tasks"]),
    help="events: turn tracked events into visits. tasks: all else. Apart, neither keeps the other waiting.",
)
def command(only: Share | None) -> None:
    """Run background work: events, webhooks, syncs, plugins, schedules and mails. Any number of workers may run."""
    from coursesignal.serve import end_with_parent

    settings = load()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("saq").setLevel(logging.ERROR)  # it warns at every stop that its waits for work were cancelled
    end_with_parent()
    if sys.platform != "win32":
        os.nice(NICENESS)
    asyncio.run(work(settings, only or "everything"))


async def work(settings: Settings, share: Share) -> None:
    """Run a worker in this process until a signal asks it to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C ends the process
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Runtime.opened(settings) as runtime:
        if share == "events":
            await keep_draining(runtime.event_turns().work, stop)
        else:
            await worker_of(runtime, events=share == "everything").run(stop)


def worker_of(runtime: Runtime, *, events: bool) -> Worker:
    """A worker with everything this installation can do, with or without its events."""
    return Worker(
        runtime.settings,
        runtime.database,
        runtime.where.app,
        runtime.handlers(),
        runtime.event_turns().work if events else None,
        runtime.mailer,
        (
            *core_crons(runtime.database, runtime.registry.models),
            *rollup_crons(runtime.database),
            *privacy_crons(runtime.database),
            *connection_crons(runtime.database, runtime.registry.connectors),
            *crons_of(runtime),
        ),
        lease_s=TESTING_LEASE_S if runtime.settings.testing else LEASE_S,
    )
