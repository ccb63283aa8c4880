"""On Redis as on PostgreSQL: a queue that dies, forgets or is asked by two workers loses and repeats nothing."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coursesignal.testing.live import free_port, wait_for

PROGRAM = shutil.which("redis-server")
pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(PROGRAM is None, reason="no redis-server on this machine; CI installs one"),
]

Read = Callable[[], Awaitable[list[Any]]]
AllDone = Callable[..., Awaitable[list[Any]]]


class Redis:
    """A Redis of the test's own that keeps nothing on disk."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.port = free_port()
        self.process = self._start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _start(self) -> subprocess.Popen[bytes]:
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._home)]
        process = subprocess.Popen([str(PROGRAM), *words], stdout=subprocess.DEVNULL)
        wait_for(self._answers, 10, "the start of Redis")
        return process

    def _answers(self) -> bool:
        try:
            return self.says("PING") == b"+PONG\r\n"
        except OSError:
            return False

    def says(self, command: str) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(4096)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def start_again(self) -> None:
        self.process = self._start()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    yield server
    server.kill()


def both_halves(*names: str) -> list[str]:
    return sorted(f"{name} {half}" for name in names for half in ("first", "second"))


async def test_two_workers_share_the_tasks_and_run_each_once(
    redis: Redis, start_worker: Any, enqueue: Any, effects: Read, all_done: AllDone
) -> None:
    workers = [start_worker(queue_url=redis.url) for _ in range(2)]
    names = [f"sale {n}" for n in range(40)]
    for name in names:
        await enqueue(name)
    rows = await all_done()
    assert await effects() == both_halves(*names)
    assert {row["attempts"] for row in rows} == {1}
    for worker in workers:
        worker.signal(signal.SIGTERM)
        assert worker.process.wait(10) == 0


async def test_a_killed_workers_task_goes_to_another(
    redis: Redis, start_worker: Any, enqueue: Any, effects: Read, all_done: AllDone
) -> None:
    for gap in ("before", "inside", "after"):
        worker = start_worker(queue_url=redis.url, lease_s=1.0)
        await enqueue(f"sale {gap}", stops=gap)
        worker.says(f"sale {gap} stops {gap}")
        worker.kill()
    start_worker(queue_url=redis.url, lease_s=1.0)
    await all_done()
    assert await effects() == both_halves("sale before", "sale inside", "sale after")


async def test_a_queue_that_forgot_everything_is_filled_again(
    redis: Redis, start_worker: Any, enqueue: Any, effects: Read, all_done: AllDone
) -> None:
    frozen = start_worker(queue_url=redis.url, lease_s=1.0)
    await enqueue("warm up")
    await all_done()
    frozen.signal(signal.SIGSTOP)
    await enqueue("forgotten")
    redis.says("FLUSHALL")
    frozen.signal(signal.SIGCONT)
    await all_done()
    assert await effects() == both_halves("forgotten", "warm up")


async def test_a_killed_redis_delays_and_loses_nothing(
    redis: Redis, start_worker: Any, enqueue: Any, effects: Read, all_done: AllDone
) -> None:
    worker = start_worker(queue_url=redis.url, lease_s=1.0)
    await enqueue("before")
    await all_done()
    redis.kill()
    await enqueue("meanwhile")
    worker.says("waits")
    redis.start_again()
    await enqueue("after")
    await all_done()
    assert await effects() == both_halves("after", "before", "meanwhile")
    assert worker.process.poll() is None
