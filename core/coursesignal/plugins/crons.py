"""Schedules of plugins: at each due time one task per tenant that has the plugin on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from coursesignal.jobs import outbox
from coursesignal.jobs.crons import Cron
from coursesignal.plugins.host import Host
from coursesignal.plugins.states import enabled_plugins


def crons_of(host: Host) -> Sequence[Cron]:
    """The schedules of every plugin, under their full names."""
    return [
        Cron(name, declared.schedule, partial(_enqueue, host, name, f"{name.partition('.')[0]}.{declared.job}"))
        for name, declared in host.registry.crons.items()
    ]


async def _enqueue(host: Host, name: str, job: str, due: datetime) -> None:
    slug = job.partition(".")[0]
    attempts = host.registry.jobs[job].retries + 1
    async with host.database.control() as conn:
        tenants = [row["id"] for row in await conn.fetch("select id from tenants where status = 'active' order by id")]
    for tenant_id in tenants:
        async with host.database.tenant(tenant_id) as conn:
            if slug in await enabled_plugins(conn, tenant_id, host.registry):
                key = f"cron:{name}:{due.isoformat()}"
                await outbox.enqueue(conn, tenant_id, job, {}, plugin=slug, key=key, max_attempts=attempts)
