"""A plugin's life with one tenant: turned on, turned off, set up, erased. Its hooks are tasks like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.jobs import outbox
from coursesignal.plugins.loaded import LoadedPlugin

RUN_WHEN_OFF = frozenset({"plugin_disabled", "settings_changed", "purge_tenant"})
"""Lifecycle hooks that run for a tenant that does not have the plugin on."""


def still_wanted(hook: str, *, on: bool) -> bool:
    """Whether a task is about the present: a plugin that is on again is not told any more that it was turned off."""
    return not (hook == "plugin_disabled" and on)


async def announce(
    conn: asyncpg.Connection, tenant_id: UUID, plugin: LoadedPlugin, hook: str, **arguments: Any
) -> None:
    """Have a lifecycle hook of the plugin run once this transaction has committed, if it has one."""
    if hook in plugin.hooks:
        await outbox.put(conn, tenant_id, "hook", hook, arguments, plugin=plugin.slug)


async def announce_changes(
    conn: asyncpg.Connection,
    tenant_id: UUID,
    plugin: LoadedPlugin,
    *,
    was_on: bool,
    is_on: bool,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> Sequence[str]:
    """Announce what a save changed; return the names of the settings that did."""
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    if changed:
        await announce(conn, tenant_id, plugin, "settings_changed", changed=changed)
    if is_on and not was_on:
        await announce(conn, tenant_id, plugin, "plugin_enabled")
    if was_on and not is_on:
        await announce(conn, tenant_id, plugin, "plugin_disabled")
    return changed


async def purge(conn: asyncpg.Connection, tenant_id: UUID, plugin: LoadedPlugin) -> None:
    """Have everything the plugin keeps about the tenant erased: its hook first, then its tables and its state."""
    await outbox.put(conn, tenant_id, "hook", "purge_tenant", {}, plugin=plugin.slug)


async def erase(conn: asyncpg.Connection, plugin: LoadedPlugin, tenant_id: UUID) -> None:
    """Empty the plugin's registered tables of the tenant, and forget its settings, secrets and decision."""
    for table in reversed(plugin.declared.tables):
        name = table._meta.tablename  # checked at load: it begins with the slug
        await conn.execute(f'delete from "{name}" where tenant_id = $1', tenant_id)  # noqa: S608
    await forget_state(conn, tenant_id, plugin.slug)


async def forget_state(conn: asyncpg.Connection, tenant_id: UUID, slug: str) -> None:
    """Forget the tenant's settings, secrets, decision, links and notices; what its agency granted stays as it is."""
    for table in ("notices", "share_links"):
        await conn.execute(f"delete from {table} where tenant_id = $1 and plugin = $2", tenant_id, slug)  # noqa: S608
    await conn.execute(
        "update plugin_states set enabled = false, settings = '{}', secrets = null, state = 'ok', problem = null, "
        "changed_at = now() where tenant_id = $1 and plugin = $2",
        tenant_id,
        slug,
    )
