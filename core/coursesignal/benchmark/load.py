"""A load generator for one kind of request: keep-alive connections that each send the next request when the last is answered."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

_REQUEST = (
    b"POST %b HTTP/1.1\r\nhost: %b\r\nuser-agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64)\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
)


@dataclass(slots=True)
class Measured:
    """What a run saw; latencies in seconds, of requests answered with the expected status inside the measured time."""

    seconds: float
    server_s: float = 0.0
    """Processor time the server used meanwhile."""
    statuses: Counter[int] = field(default_factory=Counter[int])
    latencies_s: list[float] = field(default_factory=list[float])
    broken: int = 0
    """Connections that ended before the run did."""

    @property
    def per_second(self) -> float:
        return len(self.latencies_s) / self.seconds

    @property
    def per_core_second(self) -> float:
        """Requests per second of the server's processor time: what one core of it does when it has the core to itself."""
        return len(self.latencies_s) / self.server_s if self.server_s else float("nan")

    def percentile_ms(self, percent: float) -> float:
        """The latency below which ``percent`` of the requests were, in milliseconds; nan without any."""
        if not self.latencies_s:
            return float("nan")
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send what; ``expected`` is the status that counts."""

    host: str
    port: int
    path: str
    expected: int
    make_body: Callable[[], bytes]

    def request(self) -> bytes:
        body = self.make_body()
        return _REQUEST % (self.path.encode(), self.host.encode(), len(body), body)


async def run_load(
    target: Target,
    *,
    connections: int,
    seconds: float,
    server_s: Callable[[], float],
    warm_up_s: float = 1.0,
    per_second: float = 0.0,
) -> Measured:
    """Load ``target`` for ``warm_up_s`` + ``seconds`` and return what the second part saw.

    ``server_s`` tells the processor time the server has used so far. With ``per_second`` requests go out at that rate, late ones
    at once; without, each connection sends when it has its last answer.
    """
    measured = Measured(seconds)
    starts_at = time.perf_counter() + warm_up_s
    loop = asyncio.get_running_loop()
    loop.call_later(warm_up_s, lambda: setattr(measured, "server_s", -server_s()))
    loop.call_later(warm_up_s + seconds, lambda: setattr(measured, "server_s", measured.server_s + server_s()))
    pause_s = connections / per_second if per_second else 0.0
    clients = [_Client(target, measured, starts_at, starts_at + seconds, pause_s) for _ in range(connections)]
    transports = []
    for client in clients:
        transport, _ = await loop.create_connection(lambda client=client: client, target.host, target.port)  # type: ignore[misc]
        transports.append(transport)
    try:
        await asyncio.wait([client.done for client in clients], timeout=warm_up_s + seconds + 10)
    finally:
        for transport in transports:
            transport.abort()
    return measured


class _Client(asyncio.Protocol):
    """One connection: HTTP/1.1 as our own servers answer it, with a content-length on every response."""

    def __init__(self, target: Target, measured: Measured, starts_at: float, ends_at: float, pause_s: float) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._target = target
        self._measured = measured
        self._starts_at = starts_at
        self._ends_at = ends_at
        self._pause_s = pause_s
        """From one request to the next, when they are paced."""
        self._due_at = time.perf_counter() + random.uniform(0, pause_s)  # noqa: S311 – no secret
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        self._send_when_due()

    def data_received(self, data: bytes) -> None:
        self._buffer = data if not self._buffer else self._buffer + data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(rest) < _content_length(head):
            return
        self._buffer = b""
        self._count(int(head[9:12]))
        if time.perf_counter() < self._ends_at:
            self._send_when_due()
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._measured.broken += 1
            self.done.set_result(None)

    def _send_when_due(self) -> None:
        if not self._pause_s:
            self._send()
            return
        self._due_at += self._pause_s
        asyncio.get_running_loop().call_later(max(0.0, self._due_at - time.perf_counter()), self._send)

    def _send(self) -> None:
        assert self._transport is not None
        if self._transport.is_closing():
            return
        request = self._target.request()
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def _count(self, status: int) -> None:
        now = time.perf_counter()
        if not self._starts_at <= now <= self._ends_at:
            return
        self._measured.statuses[status] += 1
        if status == self._target.expected:
            self._measured.latencies_s.append(now - self._sent_at)


def _content_length(head: bytes) -> int:
    start = head.lower().find(b"content-length:")
    if start < 0:
        return 0
    return int(head[start + 15 :].split(b"\r\n", 1)[0])
