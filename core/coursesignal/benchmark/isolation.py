"""What row-level security costs a report: the same queries, which name their tenant anyway, with and without it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from coursesignal.analytics import (
    cohorts,
    compare,
    content,
    coverage,
    daily,
    funnel,
    journeys,
    lifetime,
    products,
    purchases,
    reconciliation,
    sources,
    students,
    summary,
)  # fmt: skip
from coursesignal.analytics.period import given
from coursesignal.analytics.reading import Reading, reading
from coursesignal.benchmark.place import BenchTenant
from coursesignal.db.engine import Database
from coursesignal.plugin import Tenant
from coursesignal.runtime import Runtime

ROUNDS = 15
Report = Callable[[Reading], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Overhead:
    """One report's median times in milliseconds, as the application's role and as one that no policy binds."""

    report: str
    secured_ms: float
    bare_ms: float

    @property
    def ratio(self) -> float:
        """How much longer it takes; 0.1 is ten percent."""
        return self.secured_ms / self.bare_ms - 1


async def measure_isolation(runtime: Runtime, tenant: BenchTenant, rounds: int = ROUNDS) -> list[Overhead]:
    """Time every report both ways, in turns."""
    async with runtime.database.control() as conn:
        row = await conn.fetchrow("select slug, name, time_zone, currency from tenants where id = $1", tenant.id)
        name = await conn.fetchval("select current_database()")
    about = Tenant(id=tenant.id, **dict(row))
    admin = urlsplit(runtime.where.admin)._replace(path=f"/{name}").geturl()
    unbound = await Database.open(admin, runtime.where.ingest, pool_size=1)
    try:
        return [
            await _compare(report, (runtime.database, unbound), about, runtime.registry.models, rounds)
            for report in REPORTS.items()
        ]
    finally:
        await unbound.close()


async def _compare(
    report: tuple[str, Report],
    databases: tuple[Database, Database],
    tenant: Tenant,
    models: Mapping[str, Any],
    rounds: int,
) -> Overhead:
    name, run = report
    times: tuple[list[float], list[float]] = ([], [])
    for n in range(rounds + 1):
        for which, database in enumerate(databases):
            wanted = given("90d", ZoneInfo(tenant.time_zone), datetime.now(UTC))
            async with reading(database, tenant, models, wanted) as about:
                started = time.perf_counter()
                await run(about)
                if n > 0:
                    times[which].append((time.perf_counter() - started) * 1000)
    return Overhead(name, statistics.median(times[0]), statistics.median(times[1]))


REPORTS: Mapping[str, Report] = {
    "summary": summary.summarise,
    "sources": sources.by_source,
    "drilldown": lambda about: sources.of_source(about, "youtube"),
    "daily revenue": daily.by_day,
    "recent purchases": lambda about: purchases.recent(about, limit=50),
    "reconciliation": reconciliation.reconcile,
    "compare models": lambda about: compare.compare(about, about.models, "source"),
    "students": lambda about: students.students(about, sort="lifetimeValue", order="desc", limit=50),
    "lifetime value": lambda about: lifetime.lifetime_value(about, "source"),
    "cohorts": cohorts.cohorts,
    "funnel": lambda about: funnel.funnel(about, "source"),
    "journeys": lambda about: journeys.journeys(about, "channel", 20),
    "content": lambda about: content.content(about, "landing", 20),
    "coverage": coverage.coverage,
    "products": products.products,
}
