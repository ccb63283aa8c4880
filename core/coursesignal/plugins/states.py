"""What one tenant decided about a plugin: granted, enabled, settings, sealed secrets, and how it fares.

A tenant without a row has what the manifest's ``tenant_default`` says. *Granted* is the agency's word, *enabled* the tenant's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.errors import Invalid
from coursesignal.plugin import Settings
from coursesignal.plugins import forms
from coursesignal.plugins.loaded import LoadedPlugin, SettingsUnreadable
from coursesignal.plugins.registry import Registry
from coursesignal.security.box import Box, CannotOpen, aad


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginState:
    """One tenant's relation to one plugin; ``values`` are the settings it chose, secrets included, by wire name."""

    plugin: str
    granted: bool = True
    enabled: bool = False
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    version: int = 1
    """The ``settings_version`` that ``values`` were written under."""
    state: str = "ok"
    problem: str | None = None


async def read_state(conn: asyncpg.Connection, tenant_id: UUID, plugin: LoadedPlugin, box: Box) -> PluginState:
    """The stored state, else the one the manifest gives to a tenant that never decided."""
    row = await conn.fetchrow(
        "select * from plugin_states where tenant_id = $1 and plugin = $2", tenant_id, plugin.slug
    )
    return _state(row, tenant_id, plugin, box)


async def read_states(
    conn: asyncpg.Connection, tenant_id: UUID, registry: Registry, box: Box
) -> dict[str, PluginState]:
    """The state of every plugin, by slug."""
    rows = await conn.fetch("select * from plugin_states where tenant_id = $1", tenant_id)
    by_plugin = {row["plugin"]: row for row in rows}
    return {p.slug: _state(by_plugin.get(p.slug), tenant_id, p, box) for p in registry.plugins}


def _state(row: Any, tenant_id: UUID, plugin: LoadedPlugin, box: Box) -> PluginState:
    default = plugin.manifest.tenant_default
    if row is None:
        return PluginState(plugin=plugin.slug, enabled=default != "off", version=plugin.manifest.settings_version)
    secrets, state, problem = {}, row["state"], row["problem"]
    if row["secrets"] is not None:
        try:
            opened = box.open(row["secrets"], aad(tenant_id, "plugin_states", "secrets", plugin.slug))
            secrets = msgspec.json.decode(opened)
        except CannotOpen as error:
            state, problem = "failing", f"settings: {error}; enter the secrets again"
    return PluginState(
        plugin=plugin.slug,
        granted=row["granted"],
        enabled=_wanted(row["enabled"], default),
        values={**row["settings"], **secrets},
        version=row["settings_version"],
        state=state,
        problem=problem,
    )


def _wanted(decided: bool | None, default: str) -> bool:
    """Whether the tenant has it on: its decision, else the manifest's default; "always" leaves no choice."""
    return default == "always" or (default == "on" if decided is None else decided)


async def enabled_plugins(conn: asyncpg.Connection, tenant_id: UUID, registry: Registry) -> frozenset[str]:
    """The plugins that are granted to the tenant and turned on, and whose required plugins are too."""
    rows = await conn.fetch("select plugin, granted, enabled from plugin_states where tenant_id = $1", tenant_id)
    decided = {row["plugin"]: row for row in rows}
    on: set[str] = set()
    for plugin in registry.plugins:  # what a plugin requires comes before it
        row = decided.get(plugin.slug)
        granted = row is None or row["granted"]
        wanted = _wanted(None if row is None else row["enabled"], plugin.manifest.tenant_default)
        if granted and wanted and on.issuperset(plugin.manifest.requires):
            on.add(plugin.slug)
    return frozenset(on)


def current_values(plugin: LoadedPlugin, state: PluginState) -> dict[str, Any]:
    """The tenant's settings over the installation's defaults, in the form of the installed version.

    Raises SettingsUnreadable when they were written by another version and cannot be migrated.
    """
    return {**plugin.defaults, **_migrated(plugin, state).values}


def settings_of(plugin: LoadedPlugin, state: PluginState) -> Settings:
    """The settings as the plugin's class; raises SettingsUnreadable."""
    try:
        return forms.fill_in(plugin.declared.settings, current_values(plugin, state))
    except Invalid as error:
        fields = ", ".join(f"{e.path} ({e.message})" for e in error.errors)
        raise SettingsUnreadable(
            f"plugin {plugin.slug!r}: its stored settings do not fit: {fields} Save them again under Plugins."
        ) from error


def _migrated(plugin: LoadedPlugin, state: PluginState) -> PluginState:
    wanted = plugin.manifest.settings_version
    if not state.values or state.version == wanted:
        return replace(state, version=wanted)
    if state.version > wanted:
        raise SettingsUnreadable(
            f"plugin {plugin.slug!r}: its settings were saved by a newer version of it. Install that version again."
        )
    hook = plugin.hooks.get("migrate_settings")
    if hook is None:
        return replace(state, version=wanted)
    try:
        values = dict(hook.call(settings=dict(state.values), from_version=state.version))
    except Exception as error:
        raise SettingsUnreadable(
            f"plugin {plugin.slug!r}: migrate_settings from version {state.version} raised {type(error).__name__}: {error}. "
            "Correct the hook; the stored settings are unchanged."
        ) from error
    return replace(state, values=values, version=wanted)


async def save(
    conn: asyncpg.Connection,
    tenant_id: UUID,
    plugin: LoadedPlugin,
    box: Box,
    *,
    enabled: bool,
    values: Mapping[str, Any],
) -> None:
    """Store the tenant's decision; ``granted`` stays as it is."""
    plain, secret = forms.split(plugin.declared.settings, values)
    place = aad(tenant_id, "plugin_states", "secrets", plugin.slug)
    sealed = box.seal(msgspec.json.encode(secret), place) if secret else None
    await conn.execute(
        """
        insert into plugin_states (tenant_id, plugin, enabled, settings, secrets, settings_version, changed_at)
        values ($1, $2, $3, $4, $5, $6, now())
        on conflict (tenant_id, plugin) do update set enabled = excluded.enabled, settings = excluded.settings,
            secrets = excluded.secrets, settings_version = excluded.settings_version, changed_at = excluded.changed_at
        """,
        tenant_id, plugin.slug, enabled, plain, sealed, plugin.manifest.settings_version,
    )  # fmt: skip


async def note_failure(conn: asyncpg.Connection, tenant_id: UUID, plugin: str, what: str, problem: str) -> None:
    """Show the tenant that ``what`` (a hook or job) of the plugin failed."""
    await conn.execute(
        """
        insert into plugin_states (tenant_id, plugin, state, problem) values ($1, $2, 'failing', $3)
        on conflict (tenant_id, plugin) do update set state = excluded.state, problem = excluded.problem
        """,
        tenant_id, plugin, f"{what}: {problem}"[:500],
    )  # fmt: skip


async def note_success(conn: asyncpg.Connection, tenant_id: UUID, plugin: str, what: str) -> None:
    """Take back what :func:`note_failure` showed about ``what``."""
    await conn.execute(
        "update plugin_states set state = 'ok', problem = null "
        "where tenant_id = $1 and plugin = $2 and state <> 'ok' and problem ^@ $3",
        tenant_id, plugin, f"{what}: ",
    )  # fmt: skip
