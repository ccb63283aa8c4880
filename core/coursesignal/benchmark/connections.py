"""How fast connections work: a first sync, webhooks under load, a backlog of webhooks; against a fake platform without limits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from coursesignal.benchmark.place import add_tenant, web_process, worker_processes
from coursesignal.errors import ConfigurationError
from coursesignal.runtime import Runtime
from coursesignal.security.tokens import hash_token, new_token
from coursesignal.settings import Settings
from coursesignal.testing.platforms import FakeTeachable, TeachableQuirks

POLL_S = 0.1
PATIENCE_S = 900.0
SENDERS = 64
COPIES = 4
"""Each delivery comes once and is repeated three times."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A tenant on a platform of its own."""

    tenant_id: Any
    api_key: str
    platform: FakeTeachable


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


@contextlib.contextmanager
def shop(settings: Settings) -> Iterator[tuple[Settings, Shop]]:
    """A tenant and its platform, and settings with which connections reach it."""
    platform = FakeTeachable(quirks=TeachableQuirks(pushes=("Transaction.created",)))
    platform.start()
    try:
        settings = msgspec.structs.replace(settings, platform_urls={platform.slug: platform.url})
        tenant_id, key = asyncio.run(_tenant(settings))
        yield settings, Shop(tenant_id, key, platform)
    finally:
        platform.stop()


async def _tenant(settings: Settings) -> tuple[Any, str]:
    key = new_token("csk_")
    async with Runtime.opened(settings) as runtime:
        tenant = await add_tenant(runtime)
        async with runtime.database.tenant(tenant.id) as conn:
            await conn.execute(
                "insert into api_keys (tenant_id, name, scopes, key_hash, prefix) values ($1, 'Connections', $2, $3, $4)",
                tenant.id, ["connections:read", "connections:write"], hash_token(key), key[:8],
            )  # fmt: skip
    return tenant.id, key


def sell(platform: FakeTeachable, count: int, first: int = 0) -> None:
    """Sell to ``count`` different people, spread over the last weeks."""
    now = datetime.now(UTC)
    for number in range(first, first + count):
        platform.sell(
            f"buyer{number}@example.com", 1_000 + number % 900, at=now - timedelta(minutes=5 + 6 * (number % 6_000))
        )


def client(settings: Settings, of: Shop) -> httpx.Client:
    """HTTP to the installation as the shop."""
    headers = {"authorization": f"Bearer {of.api_key}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{settings.port}", headers=headers, timeout=30)


@dataclass(frozen=True, slots=True)
class Synced:
    """A sync that has ended."""

    seconds: float
    message: str
    webhook_path: str
    reconciled: str


def first_sync(settings: Settings, of: Shop) -> Synced:
    """Connect, and wait for the end of the sync that begins with it."""
    with client(settings, of) as http, worker_processes(settings):
        started = time.monotonic()
        answer = http.post("/api/teachable/connect", json={"apiKey": of.platform.api_key})
        answer.raise_for_status()
        status = _wait_for_sync(http, started)
        seconds = time.monotonic() - started
        reconciled = http.get("/api/teachable/reconciliation").json()["message"]
    return Synced(seconds, status["message"], urlsplit(answer.json()["webhookUrl"]).path, reconciled)


def _wait_for_sync(http: httpx.Client, started: float) -> dict[str, Any]:
    while time.monotonic() - started < PATIENCE_S:
        status: dict[str, Any] = http.get("/api/teachable/sync-status").json()
        if status["status"] in ("completed", "failed"):
            return status
        time.sleep(POLL_S)
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
