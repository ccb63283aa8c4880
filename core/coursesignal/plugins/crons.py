"""Plugins' schedules: at each due time, one job for every tenant that has the plugin on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from coursesignal.jobs import outbox
from coursesignal.plugins.host import Host
from coursesignal.plugins.loaded import LoadedPlugin
from coursesignal.plugins.states import enabled_plugins


@dataclass(frozen=True, slots=True)
class Schedule:
    """``run`` is to be called with each due time of ``schedule`` (five fields, UTC); a due time twice makes no second job."""

    name: str
    schedule: str
    run: Callable[[datetime], Awaitable[None]]


def schedules(host: Host) -> list[Schedule]:
    """The schedules of every loaded plugin, named ``<plugin>.<cron>``."""
    return [
        Schedule(f"{plugin.slug}.{cron.name}", cron.schedule, partial(_expand, host, plugin, cron.name, cron.job))
        for plugin in host.registry.plugins
        for cron in plugin.declared.crons
    ]


async def _expand(host: Host, plugin: LoadedPlugin, cron: str, job: str, due_at: datetime) -> None:
    """Put the job on record for each tenant; a crash in between is made up for by running it again."""
    async with host.database.control() as conn:
        rows = await conn.fetch("select id from tenants where status = 'active' order by id")
    for row in rows:
        await _enqueue(host, plugin, row["id"], job, key=f"cron:{plugin.slug}.{cron}:{due_at.isoformat()}")


async def _enqueue(host: Host, plugin: LoadedPlugin, tenant_id: UUID, job: str, *, key: str) -> None:
    declared = plugin.job(job)
    assert declared is not None, "checked when the plugin was loaded"
    async with host.database.tenant(tenant_id) as conn:
        if plugin.slug in await enabled_plugins(conn, tenant_id, host.registry):
            name = f"{plugin.slug}.{job}"
            await outbox.enqueue(
                conn, tenant_id, name, {}, plugin=plugin.slug, key=key, max_attempts=declared.retries + 1
            )
