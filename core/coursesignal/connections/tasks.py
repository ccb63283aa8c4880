"""The background work of connections, by task name."""

from __future__ import annotations

from functools import partial

from coursesignal.connections.house import Process, house
from coursesignal.connections.inbox import process
from coursesignal.connections.schedule import crons
from coursesignal.connections.sync import run_sync
from coursesignal.jobs.tasks import Handler

__all__ = ["crons", "handlers"]


def handlers(runtime: Process) -> dict[str, Handler]:
    """``core.inbox`` understands stored webhooks, ``core.sync`` fetches a stretch of a sync run."""
    parts = house(runtime)
    return {"core.inbox": partial(process, house=parts), "core.sync": partial(run_sync, house=parts)}
