"""A task under a lease: its effects and its completion are one transaction that only the lease's holder can commit."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.db.engine import Database
from coursesignal.errors import LeaseLost


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One outbox row, leased to this worker."""

    tenant_id: UUID
    id: UUID
    lease_token: UUID
    kind: str
    plugin: str
    name: str
    payload: Mapping[str, Any]
    attempts: int
    max_attempts: int
    failed_before: bool = False
    """Whether an earlier attempt raised; the others' workers ended while they ran."""


@dataclass(slots=True)
class TaskRun:
    """One attempt at a task, handed to its handler."""

    task: Task
    db: Database
    finished: bool = field(default=False)

    @contextlib.asynccontextmanager
    async def effects(self) -> AsyncIterator[asyncpg.Connection]:
        """The tenant's transaction in which the task takes effect and is marked done.

        Raises LeaseLost at its end, rolling everything back, when another worker took the task over meanwhile.
        """
        async with self.db.tenant(self.task.tenant_id) as conn:
            await hold(conn, self.task)
            yield conn
            await finish(conn, self.task)
        self.finished = True

    @contextlib.asynccontextmanager
    async def step(self) -> AsyncIterator[asyncpg.Connection]:
        """The tenant's transaction for a part of a long task that may take effect before the rest; several may run at once.

        Raises LeaseLost at its beginning; until it ends nobody else can take the task over.
        """
        async with self.db.tenant(self.task.tenant_id) as conn:
            await share(conn, self.task)
            yield conn


Handler = Callable[[TaskRun], Awaitable[None]]
"""Runs one task. A handler that never enters ``effects()`` is marked done after it returns."""


async def hold(conn: asyncpg.Connection, task: Task) -> None:
    """Lock the task's row for this transaction; raises LeaseLost when it is no longer ours."""
    mine = await conn.fetchval(
        "select 1 from outbox where tenant_id = $1 and id = $2 and lease_token = $3 and status = 'pending' for update",
        task.tenant_id, task.id, task.lease_token,
    )  # fmt: skip
    if mine is None:
        raise LeaseLost(f"task {task.id} ({task.name}) was taken over")


async def share(conn: asyncpg.Connection, task: Task) -> None:
    """Keep the task ours for this transaction, beside others of the same attempt; raises LeaseLost when it is no longer ours."""
    mine = await conn.fetchval(
        "select 1 from outbox where tenant_id = $1 and id = $2 and lease_token = $3 and status = 'pending' for share",
        task.tenant_id, task.id, task.lease_token,
    )  # fmt: skip
    if mine is None:
        raise LeaseLost(f"task {task.id} ({task.name}) was taken over")


async def finish(conn: asyncpg.Connection, task: Task) -> None:
    """Mark the task done under its lease; raises LeaseLost."""
    done = await conn.execute(
        """
        update outbox set status = 'done', done_at = clock_timestamp(), lease_token = null, lease_until = null, last_error = null
        where tenant_id = $1 and id = $2 and lease_token = $3 and status = 'pending'
        """,
        task.tenant_id, task.id, task.lease_token,
    )  # fmt: skip
    if done != "UPDATE 1":
        raise LeaseLost(f"task {task.id} ({task.name}) was taken over")
