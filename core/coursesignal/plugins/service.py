"""A tenant turns a plugin on or off and fills in its settings; what is saved was checked, and tested where it can be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.auth.callers import Caller
from coursesignal.connections.context import Place, platform_context
from coursesignal.errors import Busy, Conflict, FieldError, Forbidden, Invalid, NotFound
from coursesignal.plugin import AuthFailed, Connector, CredentialsRejected, Settings, Tenant
from coursesignal.plugins import forms
from coursesignal.plugins.calls import PluginFault, call_plugin
from coursesignal.plugins.context import house_of
from coursesignal.plugins.host import Host
from coursesignal.plugins.lifecycle import announce_changes
from coursesignal.plugins.loaded import LoadedPlugin, SettingsUnreadable
from coursesignal.plugins.states import (
    PluginState,
    current_values,
    enabled_plugins,
    read_state,
    save,
)
from coursesignal.tenancy import audit

log = logging.getLogger(__name__)

TEST_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a tenant asks for; None leaves it as it is."""

    enabled: bool | None = None
    settings: Mapping[str, Any] | None = None


async def change(host: Host, caller: Caller, tenant: Tenant, slug: str, wish: Wish) -> None:
    """Carry out ``wish``.

    Raises NotFound, Forbidden, Conflict, Invalid that names fields, Busy when the settings cannot be tested now.
    """
    plugin = host.registry.by_slug.get(slug)
    if plugin is None:
        raise NotFound
    async with host.database.tenant(tenant.id) as conn:
        state = await read_state(conn, tenant.id, plugin, host.keys.box)
        on = await enabled_plugins(conn, tenant.id, host.registry)
    enabled = state.enabled if wish.enabled is None else wish.enabled
    _check_grant(plugin, state)
    _check_switch(host, plugin, on, was=state.enabled, wanted=enabled)
    values = _checked_values(plugin, state, wish, enabled=enabled)
    if wish.settings is not None and values != state.values:
        await _test(host, plugin, tenant, {**plugin.defaults, **values})
    await _store(host, caller, tenant, plugin, wish, values)


def _check_grant(plugin: LoadedPlugin, state: PluginState) -> None:
    if not state.granted:
        title = f"{plugin.manifest.name} is not granted to this tenant. Ask your agency for it."
        raise Forbidden(title, kind="plugin-not-granted")


def _check_switch(host: Host, plugin: LoadedPlugin, on: frozenset[str], *, was: bool, wanted: bool) -> None:
    """What it requires is on when it is turned on; nothing on requires it when it is turned off."""
    manifest = plugin.manifest
    if wanted and not was:
        missing = [host.registry.by_slug[slug].manifest.name for slug in manifest.requires if slug not in on]
        if missing:
            raise Invalid(errors=[FieldError("enabled", f"Turn on {' and '.join(missing)} first.")])
    if was and not wanted:
        if manifest.tenant_default == "always":
            raise Invalid(errors=[FieldError("enabled", f"{manifest.name} cannot be turned off.")])
        users = [
            p.manifest.name for p in host.registry.plugins if manifest.slug in p.manifest.requires and p.slug in on
        ]
        if users:
            raise Conflict(f"{' and '.join(users)} needs it. Turn that off first.", kind="plugin-required")


def _checked_values(plugin: LoadedPlugin, state: PluginState, wish: Wish, *, enabled: bool) -> dict[str, Any]:
    """The tenant's settings after ``wish``, by wire name; raises Invalid."""
    cls = plugin.declared.settings
    try:
        stored = {
            n: v for n, v in current_values(plugin, state).items() if n in state.values or n not in plugin.defaults
        }
    except SettingsUnreadable:
        stored = {}
    values = stored if wish.settings is None else forms.merge(cls, wish.settings, stored)
    if wish.settings is not None or enabled:
        forms.fill_in(cls, {**plugin.defaults, **values})
    return values


async def _test(host: Host, plugin: LoadedPlugin, tenant: Tenant, values: Mapping[str, Any]) -> None:
    """Try the settings at the platform when they are the connector's credentials."""
    cls = plugin.declared.settings
    for connector in plugin.declared.connectors:
        if connector.credentials is cls:
            await _connect(host, plugin, tenant, connector, forms.fill_in(cls, values))


async def _connect(
    host: Host, plugin: LoadedPlugin, tenant: Tenant, connector: Connector[Any], credentials: Settings
) -> None:
    """Connect as the connector would, and undo at the platform what that set up."""
    ctx = platform_context(house_of(host), tenant, Place(connector, webhook_key="test"), credentials)
    connected = await _asked(plugin, connector, partial(connector.connect, ctx))
    if connected.webhooks == "registered":
        await _asked(plugin, connector, partial(connector.disconnect, replace(ctx, memo=connected.memo)))


async def _asked(plugin: LoadedPlugin, connector: Connector[Any], call: Callable[[], Any]) -> Any:
    """What the platform answered; its refusals as ours."""
    try:
        return await call_plugin(plugin.slug, "the test of its settings", TEST_TIMEOUT_S, call)
    except PluginFault as fault:
        cause = fault.__cause__
        if isinstance(cause, CredentialsRejected):
            raise Invalid(errors=[FieldError(f"settings.{e.path}", e.message) for e in cause.errors]) from fault
        if isinstance(cause, AuthFailed):
            raise Invalid(errors=[FieldError("settings", str(cause))]) from fault
        log.warning("%s", fault)
        title = f"The settings could not be tested with {connector.name}. Nothing was saved; try again in a moment."
        raise Busy(title, kind="untested", retry_after_s=30) from fault


async def _store(
    host: Host, caller: Caller, tenant: Tenant, plugin: LoadedPlugin, wish: Wish, values: Mapping[str, Any]
) -> None:
    """Save, announce and record, all or nothing; what changed is judged by what is stored now."""
    async with host.database.tenant(tenant.id) as conn:
        await _lock(conn, tenant.id, plugin.slug)
        before = await read_state(conn, tenant.id, plugin, host.keys.box)
        _check_grant(plugin, before)
        enabled = before.enabled if wish.enabled is None else wish.enabled
        kept = values if wish.settings is not None else before.values
        await save(conn, tenant.id, plugin, host.keys.box, enabled=enabled, values=kept)
        changed = await announce_changes(
            conn,
            tenant.id,
            plugin,
            was_on=before.enabled,
            is_on=enabled,
            before=before.values,
            after=kept,
        )
        if changed or enabled != before.enabled:
            detail = {"enabled": enabled, "settings": list(changed)}
            await audit.record(conn, tenant.id, caller, "plugin.changed", plugin.slug, detail)


async def _lock(conn: asyncpg.Connection, tenant_id: UUID, slug: str) -> None:
    """One change of a plugin's state at a time, also of the first."""
    await conn.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"plugin:{tenant_id}:{slug}")
