"""Minutes of traffic to all tenants at a steady rate, with the whole pipeline running: does it keep up, how fresh are reports?"""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg
import httpx

from coursesignal.benchmark.crowd import Crowd, sizes
from coursesignal.benchmark.history import superuser
from coursesignal.benchmark.load import Measured, Target, run_load
from coursesignal.benchmark.place import BenchTenant, cpu_seconds
from coursesignal.benchmark.traffic import bodies, event_of
from coursesignal.errors import ConfigurationError
from coursesignal.runtime import Runtime
from coursesignal.tracking.collect import EVENT_PATH

LOOK_EVERY_S = 5.0
CLICK_EVERY_S = 7.0
ASK_EVERY_S = 0.1
GIVE_UP_S = 60.0
IDLE_WITHIN_S = 900.0
_BACKLOG = """
    select coalesce(sum(cardinality(event_ids)), 0)::int as events,
        coalesce(extract(epoch from clock_timestamp() - min(received_at)), 0)::float as oldest_s
    from event_batches"""

_IS_BUSY = """
    select exists (select from outbox where status = 'pending' and run_at < now()) or exists (select from event_batches)"""


@dataclass(frozen=True, slots=True)
class Look:
    """What waited for the pipeline, ``at_s`` seconds after the start."""

    at_s: float
    events: int
    oldest_s: float


@dataclass(slots=True)
class Sustained:
    """A run: what was acknowledged, what waited meanwhile, and how long clicks took to be in a report, in seconds."""

    load: Measured
    looks: list[Look] = field(default_factory=list)
    clicks_s: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """Events per second by which the backlog grew between the run's second and its last fifth, on average."""
        fifth = len(self.looks) // 5
        if fifth == 0:
            return float("nan")
        early, late = self.looks[fifth : 2 * fifth], self.looks[-fifth:]
        between_s = late[0].at_s - early[0].at_s
        return (_mean(late) - _mean(early)) / between_s if between_s else float("nan")


def _mean(looks: Sequence[Look]) -> float:
    return statistics.fmean(look.events for look in looks)


@dataclass(frozen=True, slots=True)
class Traffic:
    """``per_second`` requests with ``events`` each for ``seconds``; 0 per second: as many as are answered."""

    per_second: float
    events: int
    seconds: float
    connections: int


async def sustain(runtime: Runtime, crowd: Crowd, traffic: Traffic, port: int, pid: int) -> Sustained:
    """Send ``traffic`` to the tenants by their sizes, to the web process on ``port`` with the id ``pid``."""
    target = Target("127.0.0.1", port, EVENT_PATH, 202, _bodies_for(crowd, traffic.events))
    looks: list[Look] = []
    clicks_s: list[float] = []
    async with superuser(runtime) as conn:
        await _until_idle(conn)
    async with superuser(runtime) as conn, asyncio.TaskGroup() as group:
        beside = [
            group.create_task(_look(conn, looks)),
            group.create_task(_click(crowd.around_the_median(1)[0], port, clicks_s)),
        ]
        load = await run_load(
            target, connections=traffic.connections, seconds=traffic.seconds, server_s=lambda: cpu_seconds(pid),
            per_second=traffic.per_second,
        )  # fmt: skip
        for task in beside:
            task.cancel()
    return Sustained(load, looks, clicks_s)


def _bodies_for(crowd: Crowd, events: int) -> Callable[[], bytes]:
    """Bodies for all tenants, each as often as its size says."""
    makers = [bodies(tenant.site_key, events, visitors=500) for tenant in crowd.tenants]
    weights = list(itertools.accumulate(sizes(len(makers), 1_000_000)))
    dice = random.Random(1)  # noqa: S311 – no secret
    return lambda: dice.choices(makers, cum_weights=weights)[0]()


async def _until_idle(conn: asyncpg.Connection) -> None:
    """Wait for what an installation does at its first start, like crediting under models that are new to it."""
    for _ in range(int(IDLE_WITHIN_S)):
        await asyncio.sleep(1)
        if not await conn.fetchval(_IS_BUSY):
            return
    raise ConfigurationError(f"The workers are still busy after {IDLE_WITHIN_S:.0f} s, without any traffic.")


async def _look(conn: asyncpg.Connection, looks: list[Look]) -> None:
    """Count what waits, every few seconds."""
    started = time.monotonic()
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        row = await conn.fetchrow(_BACKLOG)
        looks.append(Look(time.monotonic() - started, row["events"], row["oldest_s"]))


async def _click(tenant: BenchTenant, port: int, took_s: list[float]) -> None:
    """Visit from a source of its own, and ask for the report until it is there; again every few seconds."""
    headers = {"authorization": f"Bearer {tenant.api_key}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as http:
        for number in itertools.count():
            source = f"click-{number}-{datetime.now(UTC):%H%M%S}"
            started = time.monotonic()
            await http.post(EVENT_PATH, content=event_of(tenant.site_key, source), headers={"user-agent": AGENT})
            for _ in range(int(GIVE_UP_S / ASK_EVERY_S)):
                if await _reported(http, source):
                    break
                await asyncio.sleep(ASK_EVERY_S)
            took_s.append(time.monotonic() - started)
            await asyncio.sleep(CLICK_EVERY_S)


async def _reported(http: httpx.AsyncClient, source: str) -> bool:
    answer = await http.get("/api/analytics/sources?range=7d")
    return any(row["source"] == source for row in answer.json()["rows"])


AGENT = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
