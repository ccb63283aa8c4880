"""How fast a change of settings reaches a tenant's whole history: purchases per second under the rule models."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from coursesignal.attribution.models import RULE_MODELS
from coursesignal.attribution.recompute import Recompute
from coursesignal.benchmark.history import Size, superuser, vacuum, write_people
from coursesignal.benchmark.place import BenchTenant
from coursesignal.jobs.tasks import Task, TaskRun
from coursesignal.plugin import AttributionModel
from coursesignal.runtime import Runtime
from coursesignal.tenancy.tenants import models_concerned

_TASK = """
    insert into outbox (tenant_id, kind, name, payload, lease_token, lease_until)
    values ($1, 'job', 'core.recredit', '{}', gen_random_uuid(), now() + interval '1 hour') returning id, lease_token"""
CHANGES: Mapping[str, Mapping[str, float]] = {
    "from nothing, all models": {},
    "nothing changed, all models": {},
    "30 days instead of 90, all models": {"lookback_days": 30},
    "90 days again, all models": {"lookback_days": 90},
    "another half-life, one model": {"half_life_days": 3},
    "other shares, two models": {"first_share": 0.3, "last_share": 0.5, "w_first_share": 0.4, "w_last_share": 0.4},
}
"""Settings that a tenant changes, each after the one before."""


@dataclass(frozen=True, slots=True)
class RecomputeTime:
    """One recompute of ``purchases``."""

    change: str
    purchases: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.purchases / self.seconds


async def measure_recompute(runtime: Runtime, tenant: BenchTenant, purchases: int) -> AsyncIterator[RecomputeTime]:
    """Give an empty tenant so many purchases, and recompute after each of CHANGES."""
    size = Size(purchases * 100)
    async with superuser(runtime) as conn:
        await write_people(conn, tenant, size, datetime.now(UTC))
    await vacuum(runtime)
    for change in CHANGES:
        yield await time_recompute(runtime, tenant.id, change)
        await vacuum(runtime)


async def time_recompute(runtime: Runtime, tenant_id: UUID, change: str) -> RecomputeTime:
    """Make one of CHANGES and credit the history again under the rule models."""
    models: Mapping[str, AttributionModel] = {model.slug: model for model in RULE_MODELS}
    settings = CHANGES[change]
    payload = models_concerned(settings) if settings else {}
    async with runtime.database.tenant(tenant_id) as conn:
        for name, value in settings.items():
            await conn.execute(f"update tenants set {name} = $2 where id = $1", tenant_id, value)  # noqa: S608 – of constants
        task = await conn.fetchrow(_TASK, tenant_id)
        purchases = await conn.fetchval("select count(*) from purchases where tenant_id = $1", tenant_id)
    run = TaskRun(
        Task(
            tenant_id=tenant_id, id=task["id"], lease_token=task["lease_token"], kind="job", plugin="",
            name="core.recredit", payload=payload, attempts=1, max_attempts=8,
        ),
        runtime.database,
    )  # fmt: skip
    started = time.perf_counter()
    await Recompute(models, run).everything()
    return RecomputeTime(change, purchases, time.perf_counter() - started)
