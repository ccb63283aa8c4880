"""How fast connections work: a first sync, webhooks under load, a backlog of webhooks; against fake platforms without limits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from coursesignal.benchmark.place import web_process, worker_processes
from coursesignal.benchmark.shops import Shop, connect, sell
from coursesignal.errors import ConfigurationError
from coursesignal.runtime import Runtime
from coursesignal.settings import Settings
from coursesignal.testing.platforms import FakeTeachable

POLL_S = 0.1
PATIENCE_S = 900.0
SENDERS = 64
COPIES = 4
"""Each delivery comes once and is repeated three times."""


@dataclass(slots=True)
class Acknowledged:
    """What a load of webhooks saw; latencies in seconds from the moment each was due to be sent."""

    statuses: Counter[int] = field(default_factory=Counter[int])
    latencies_s: list[float] = field(default_factory=list[float])
    seconds: float = 0.0

    def percentile_ms(self, percent: float) -> float:
        """The latency below which that share of the requests was."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000 if ordered else float("nan")


@dataclass(frozen=True, slots=True)
class Synced:
    """A sync that has ended."""

    seconds: float
    message: str
    webhook_path: str
    reconciled: str


def first_sync(settings: Settings, of: Shop) -> Synced:
    """Connect, and wait for the end of the sync that begins with it."""
    with worker_processes(settings):
        return asyncio.run(_first_sync(f"http://127.0.0.1:{settings.port}", of))


async def _first_sync(url: str, of: Shop) -> Synced:
    async with httpx.AsyncClient(base_url=url, headers=of.headers, timeout=30) as http:
        started = time.monotonic()
        address = await connect(http, of)
        status = await _end_of_sync(http, of, started)
        seconds = time.monotonic() - started
        reconciled = (await http.get(f"/api/{of.slug}/reconciliation")).json()["message"]
    return Synced(seconds, status["message"], urlsplit(address).path, reconciled)


async def _end_of_sync(http: httpx.AsyncClient, of: Shop, started: float) -> dict[str, Any]:
    while time.monotonic() - started < PATIENCE_S:
        status: dict[str, Any] = (await http.get(f"/api/{of.slug}/sync-status")).json()
        if status["status"] in ("completed", "failed"):
            return status
        await asyncio.sleep(POLL_S)
    raise ConfigurationError(f"The sync did not end within {PATIENCE_S:.0f} s.")


def acknowledge(port: int, path: str, bodies: Sequence[bytes], per_second: float) -> Acknowledged:
    """Post every body COPIES times at a steady rate, each whether or not the ones before were answered."""
    posts = [body for body in bodies for _ in range(COPIES)]
    return asyncio.run(_post_all(port, path, posts, per_second))


async def _post_all(port: int, path: str, posts: Sequence[bytes], per_second: float | None) -> Acknowledged:
    """Post at ``per_second``, or with None as fast as they are answered."""
    seen, began = Acknowledged(), time.perf_counter()
    queue = iter(enumerate(posts))

    async def sender() -> None:
        async with _connected(port) as post:
            for number, body in queue:
                due = began + number / per_second if per_second else time.perf_counter()
                if (early := due - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                seen.statuses[await post(path, body)] += 1
                seen.latencies_s.append(time.perf_counter() - due)

    await asyncio.gather(*(sender() for _ in range(SENDERS)))
    seen.seconds = time.perf_counter() - began
    return seen


@contextlib.asynccontextmanager
async def _connected(port: int) -> AsyncIterator[Any]:
    """A keep-alive connection: a function that posts a body and returns the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def post(path: str, body: bytes) -> int:
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2]) for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        await reader.readexactly(length)
        return int(answer[9:12])

    try:
        yield post
    finally:
        writer.close()


def new_bodies(of: Shop, count: int, first: int) -> Sequence[bytes]:
    """What the platform pushes for ``count`` new sales."""
    of.platform.pending.clear()
    if isinstance(of.platform, FakeTeachable):
        of.platform.quirks.pushes = ("Transaction.created",)
    sell(of.platform, count, first)
    bodies = [delivery.body for delivery in of.platform.pending]
    of.platform.pending.clear()
    return bodies


def drain(settings: Settings, of: Shop, path: str, bodies: Sequence[bytes]) -> tuple[Acknowledged, float]:
    """Take in webhooks while no worker runs, then start one: what taking in saw, and the seconds until all were processed."""
    taken = asyncio.run(_post_all(settings.port, path, bodies, None))
    started = time.monotonic()
    with worker_processes(settings):
        asyncio.run(_until_processed(settings, of, started))
        return taken, time.monotonic() - started


async def _until_processed(settings: Settings, of: Shop, started: float) -> None:
    async with Runtime.opened(settings) as runtime:
        while time.monotonic() - started < PATIENCE_S:
            async with runtime.database.tenant(of.tenant_id) as conn:
                waiting = await conn.fetchval(
                    "select count(*) from inbox where tenant_id = $1 and status = 'received'", of.tenant_id
                )
            if not waiting:
                return
            await asyncio.sleep(POLL_S)
    raise ConfigurationError(f"The backlog was not worked off within {PATIENCE_S:.0f} s.")


async def books_agree(settings: Settings, of: Shop) -> bool:
    """Whether every charge is there once, to the cent of the platform's own books."""
    async with Runtime.opened(settings) as runtime, runtime.database.tenant(of.tenant_id) as conn:
        ours = await conn.fetchrow(
            "select count(*) as charges, coalesce(sum(amount_minor), 0)::bigint as net from charges where tenant_id = $1",
            of.tenant_id,
        )
    theirs = of.platform.ledger()["USD"]
    return ours is not None and (ours["charges"], ours["net"]) == (theirs.charges, theirs.net_minor)


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[None]:
    """The web process that all parts talk to."""
    with web_process(settings, None):
        yield
