"""Many tenants of very different sizes in one installation, as a host has them: few large ones and a long tail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from coursesignal.analytics.counting import refresh
from coursesignal.benchmark.history import Size, credit_all, superuser, vacuum, write_events, write_people
from coursesignal.benchmark.place import BenchTenant, add_tenant, find_tenant
from coursesignal.db.stale import mark_all
from coursesignal.errors import ConfigurationError
from coursesignal.runtime import Runtime

LARGEST_SHARE = 0.1
"""Of all events."""
SMALLEST_EVENTS = 100
LANES = 2
_OTHERS = "select count(*) from tenants where slug !~ '^bench-'"
_NAMES = "select slug from tenants where slug ~ '^bench-\\d{5}$' order by slug"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Tenants from the largest to the smallest, ``bench-00001`` first."""

    tenants: Sequence[BenchTenant]

    @property
    def largest(self) -> BenchTenant:
        return self.tenants[0]

    def around_the_median(self, number: int) -> Sequence[BenchTenant]:
        """``number`` tenants of about the median size."""
        start = max(0, len(self.tenants) // 2 - number // 2)
        return self.tenants[start : start + number]


def sizes(tenants: int, events: int) -> list[int]:
    """Events per tenant, falling with a power of the rank so that the first has LARGEST_SHARE of them all."""
    share = max(LARGEST_SHARE, 1 / tenants)
    low, high = 0.0, 10.0
    for _ in range(60):
        exponent = (low + high) / 2
        total = sum(rank**-exponent for rank in range(1, tenants + 1))
        low, high = (exponent, high) if 1 / total < share else (low, exponent)
    return [max(SMALLEST_EVENTS, round(events * share * rank**-exponent)) for rank in range(1, tenants + 1)]


async def load_crowd(runtime: Runtime, tenants: int, events: int, tell: Tell) -> Crowd:
    """Fill the installation; raises ConfigurationError when somebody else's tenants are in it."""
    async with runtime.database.control() as conn:
        if await conn.fetchval(_OTHERS) or await conn.fetchval(_NAMES):
            raise ConfigurationError("This installation is in use. Load into an empty one: set COURSESIGNAL_HOME.")
    wanted = sizes(tenants, events)
    found = [await add_tenant(runtime, f"bench-{rank:05}") for rank in range(1, tenants + 1)]
    work = iter(list(zip(found, wanted, strict=True)))
    await asyncio.gather(*(_write_some(runtime, work, len(found), tell) for _ in range(LANES)))
    tell("statistics of the planner …")
    await vacuum(runtime)
    for rank, tenant in enumerate(found):
        if rank % 100 == 0:
            tell(f"credits and days of tenant {rank + 1} of {len(found)} …")
        await credit_all(runtime, tenant)
        await _count_days(runtime, tenant)
    async with superuser(runtime) as conn:
        await conn.execute("delete from outbox")  # nobody waits for news of such a past
    await vacuum(runtime)
    return Crowd(found)


async def _write_some(runtime: Runtime, work: Iterator[tuple[BenchTenant, int]], number: int, tell: Tell) -> None:
    async with superuser(runtime) as conn:
        for tenant, events in work:
            size, now = Size(events), datetime.now(UTC)
            rank = int(tenant.slug.removeprefix("bench-"))
            if rank % 100 == 1 or rank < 10:
                tell(f"tenant {rank} of {number}: {events:,} events …")
            await write_events(conn, tenant, size, now)
            await write_people(conn, tenant, size, now)


async def _count_days(runtime: Runtime, tenant: BenchTenant) -> None:
    """What the worker does every ten minutes with what changed."""
    async with runtime.database.tenant(tenant.id) as conn:
        await mark_all(conn, tenant.id, "visits")
        await mark_all(conn, tenant.id, "money")
    await refresh(runtime.database, tenant.id)


async def loaded_crowd(runtime: Runtime) -> Crowd:
    """The tenants that ``load_crowd`` left here; raises ConfigurationError when there are none."""
    async with runtime.database.control() as conn:
        names = [row["slug"] for row in await conn.fetch(_NAMES)]
    if not names:
        raise ConfigurationError("Nothing is loaded here. Run `coursesignal bench load` first.")
    return Crowd([await find_tenant(runtime, name) for name in names])
