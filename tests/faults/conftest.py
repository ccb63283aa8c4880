"""Worker processes that tests freeze and kill, on a database of the module's own."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from coursesignal.db.engine import Database
from coursesignal.db.ids import uuid7
from coursesignal.jobs import outbox
from coursesignal.testing.waiting import eventually

if TYPE_CHECKING:
    from coursesignal.db.roles import Addresses
    from coursesignal.testing.server import TestServer

SCRIPT = Path(__file__).with_name("worker_process.py")


@pytest.fixture(scope="module")
async def where(anyio_backend: str, test_server: TestServer) -> Addresses:
    return test_server.addresses(await test_server.clone())


@pytest.fixture(scope="module")
async def database(where: Addresses) -> AsyncIterator[Database]:
    database = await Database.open(where.app, where.ingest)
    yield database
    await database.close()


@pytest.fixture
async def tenant_id(database: Database) -> UUID:
    """A tenant of this test's own."""
    made = uuid7()
    async with database.control() as conn:
        await conn.execute("insert into tenants (id, slug, name) values ($1, $2, 'Faults')", made, f"faults-{made}")
    return made


class WorkerProcess:
    """A worker in a process of its own that says on its output how far it is."""

    def __init__(self, where: Addresses, home: Path, **options: Any) -> None:
        self.gate = home / "gate"
        """Tasks that wait in a gap go on when this file is there."""
        words = {"app": where.app, "ingest": where.ingest, "home": str(home), "gate": str(self.gate), **options}
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), json.dumps(words)], stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.strip())

    def says(self, what: str, timeout_s: float = 30.0) -> None:
        """Wait until the worker has said ``what``; other words are forgotten."""
        deadline = time.monotonic() + timeout_s
        heard: list[str] = []
        while what not in heard:
            try:
                heard.append(self._lines.get(timeout=max(0.01, deadline - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"the worker did not say {what!r} within {timeout_s:g} s, but {heard}") from None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def start_worker(where: Addresses, tmp_path: Path) -> Iterator[StartWorker]:
    """``start_worker(lease_s=1.0)`` starts one; all are killed at the end."""
    started: list[WorkerProcess] = []

    def start(**options: Any) -> WorkerProcess:
        started.append(WorkerProcess(where, tmp_path, **options))
        started[-1].says("ready")
        return started[-1]

    yield start
    for worker in started:
        worker.signal(signal.SIGCONT)
        worker.kill()


Enqueue = Callable[..., Awaitable[None]]


@pytest.fixture
def enqueue(database: Database, tenant_id: UUID) -> Enqueue:
    """``await enqueue("a name", stops="inside")``: a task whose one effect is a line with its name in the audit log."""

    async def put(name: str, *, stops: str = "", job: str = "test.effect", max_attempts: int = 8) -> None:
        async with database.tenant(tenant_id) as conn:
            payload = {"name": name, "stops": stops}
            await outbox.enqueue(conn, tenant_id, job, payload, max_attempts=max_attempts)

    return put


@pytest.fixture
def effects(database: Database, tenant_id: UUID) -> Callable[[], Awaitable[list[str]]]:
    """``await effects()``: the names of all effects so far, sorted."""

    async def read() -> list[str]:
        async with database.tenant(tenant_id) as conn:
            rows = await conn.fetch("select subject from audit_log where tenant_id = $1 order by subject", tenant_id)
        return [row["subject"] for row in rows]

    return read


@pytest.fixture
def tasks(database: Database, tenant_id: UUID) -> Callable[[], Awaitable[list[Any]]]:
    """``await tasks()``: every outbox row of the tenant, oldest first."""

    async def read() -> list[Any]:
        async with database.tenant(tenant_id) as conn:
            return list(await conn.fetch("select * from outbox where tenant_id = $1 order by id", tenant_id))

    return read


@pytest.fixture
def all_done(tasks: Callable[[], Awaitable[list[Any]]]) -> Callable[..., Awaitable[list[Any]]]:
    """``await all_done(timeout_s=30)``: wait until no task of the tenant is left to do; returns the rows."""

    async def done() -> list[Any]:
        rows = await tasks()
        return rows if all(row["status"] == "done" for row in rows) else []

    async def wait(timeout_s: float = 30) -> list[Any]:
        return await eventually(done, timeout_s, "the end of all tasks")

    return wait
