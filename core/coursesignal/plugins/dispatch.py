"""Run what plugins asked for: an event becomes one task per plugin, and each task is one call that can fail on its own.

The outbox retries a task with growing pauses and keeps it as a dead letter in the end; here a failure gets the plugin's name.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import asyncpg
import msgspec

from coursesignal.errors import NotFound
from coursesignal.events import EVENTS, Event
from coursesignal.jobs import outbox
from coursesignal.jobs.tasks import Handler, Task, TaskRun
from coursesignal.plugin import PluginError
from coursesignal.plugins.calls import PluginFault, call_plugin
from coursesignal.plugins.context import PluginContext, open_context
from coursesignal.plugins.host import Host
from coursesignal.plugins.lifecycle import RUN_WHEN_OFF, erase, still_wanted
from coursesignal.plugins.loaded import Hook, LoadedPlugin
from coursesignal.plugins.states import enabled_plugins, note_failure, note_success
from coursesignal.plugins.watchdog import WATCHDOG, end_process

log = logging.getLogger(__name__)

HOOK_TIMEOUT_S = 30.0
TEST_TIMEOUT_S = 1.0
"""How long a hook may take in an installation under test."""

_EVENT_TYPES: dict[str, type[Event]] = {event.name: event for event in EVENTS}


def handlers(host: Host) -> dict[str, Handler]:
    """How to run tasks of kind "event" and "hook", and every plugin's jobs by full name."""
    if not host.settings.testing:
        WATCHDOG.when_blocked = end_process
    jobs: dict[str, Handler] = {name: partial(run_job, host) for name in host.registry.jobs}
    return {"event": partial(fan_out, host), "hook": partial(run_hook, host), **jobs}


async def fan_out(host: Host, run: TaskRun) -> None:
    """Put one hook task on record for each plugin that listens and that the tenant has on; the same event twice is no more.

    Whoever's turn it is does it for the events that wait beside its own: a sync tells of thousands.
    """
    task = run.task
    async with run.effects() as conn:
        enabled = await enabled_plugins(conn, task.tenant_id, host.registry)
        for name, payload in [(task.name, task.payload), *await outbox.take_events(conn, task.tenant_id, task.id)]:
            for slug in host.registry.subscribers(name):
                if slug in enabled:
                    key = f"{payload['id']}:{slug}"
                    await outbox.put(conn, task.tenant_id, "hook", name, payload, plugin=slug, key=key)


async def run_hook(host: Host, run: TaskRun) -> None:
    """Call one plugin's hook for one event or change of its life with the tenant."""
    task = run.task
    plugin = _plugin(host, task)
    ctx = await _context(host, run, even_if_off=task.name in RUN_WHEN_OFF)
    hook = plugin.hooks.get(task.name)
    if ctx is None or (hook is None and task.name != "purge_tenant"):
        return
    try:
        answer = None if hook is None else await _call_hook(host, plugin, hook, task, ctx)
    except PluginFault as fault:
        await _failed(run, fault)
        raise
    async with run.effects() as conn:
        if task.name == "purge_tenant":
            await erase(conn, plugin, task.tenant_id)
        elif answer is None:
            await note_success(conn, task.tenant_id, plugin.slug, task.name)
        else:
            await _answered(conn, task, answer)


async def run_job(host: Host, run: TaskRun) -> None:
    """Run one of a plugin's own jobs; for a tenant that has the plugin off meanwhile, nothing."""
    task = run.task
    slug, _, name = task.name.partition(".")
    ctx = await _context(host, run)
    if ctx is None:
        return
    job = host.registry.jobs[task.name]
    try:
        await call_plugin(slug, f"job {name}", job.timeout.total_seconds(), partial(job.function, ctx, **task.payload))
    except PluginFault as fault:
        await _failed(run, fault)
        raise
    async with run.effects() as conn:
        await note_success(conn, task.tenant_id, slug, task.name)


async def _call_hook(host: Host, plugin: LoadedPlugin, hook: Hook, task: Task, ctx: PluginContext) -> Any:
    timeout_s = TEST_TIMEOUT_S if host.settings.testing else HOOK_TIMEOUT_S
    call = partial(hook.call, **_arguments(task, ctx))
    return await call_plugin(plugin.slug, f"hook {hook.name}", timeout_s, call, in_thread=not hook.is_async)


def _arguments(task: Task, ctx: PluginContext) -> dict[str, Any]:
    """What the hook is offered: the event, or what a lifecycle hook is told."""
    event_type = _EVENT_TYPES.get(task.name)
    if event_type is not None:
        return {"ctx": ctx, "event": msgspec.convert(dict(task.payload), event_type)}
    return {"ctx": ctx, **task.payload}


def _plugin(host: Host, task: Task) -> LoadedPlugin:
    """The plugin a task is for; one that is gone may come back, so its tasks wait."""
    slug = task.plugin or task.name.partition(".")[0]
    plugin = host.registry.by_slug.get(slug)
    if plugin is None:
        mend = "Add it to plugins.toml again or mend it; `coursesignal plugins list` says what is wrong."
        raise PluginFault(slug, task.name, "cannot run: the plugin is not loaded", mend)
    return plugin


async def _context(host: Host, run: TaskRun, *, even_if_off: bool = False) -> PluginContext | None:
    """The context of the task's plugin; None when the tenant does not have it on, or what the task is about is past."""
    task = run.task
    slug = _plugin(host, task).slug
    try:
        ctx = await open_context(host, task.tenant_id, slug, even_if_off=even_if_off)
    except NotFound:
        return None
    except PluginError as error:  # its settings cannot be read
        await _failed(run, PluginFault(slug, task.name, f"cannot run: {error}", ""))
        raise
    return ctx if still_wanted(task.name, on=slug in ctx.enabled) else None


async def _failed(run: TaskRun, fault: PluginFault) -> None:
    """Log the failure and show it to the tenant; the task itself is still to do."""
    task = run.task
    log.error(
        "plugin.error plugin=%s what=%s tenant=%s task=%s: %s", fault.plugin, task.name, task.tenant_id, task.id, fault
    )
    async with run.db.tenant(task.tenant_id) as conn:
        await note_failure(conn, task.tenant_id, fault.plugin, task.name, fault.reason)


async def _answered(conn: asyncpg.Connection, task: Task, answer: object) -> None:
    """A hook broke its contract by returning something; its effects are made, so it is not tried again."""
    reason = f"returned {type(answer).__name__} instead of nothing; correct the plugin"
    log.error("plugin.contract_violation plugin=%s what=%s task=%s: it %s", task.plugin, task.name, task.id, reason)
    await note_failure(conn, task.tenant_id, task.plugin, task.name, reason)
