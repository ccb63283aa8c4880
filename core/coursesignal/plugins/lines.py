"""The plugins of an installation as one tenant sees them."""

from __future__ import annotations

from typing import Any

import msgspec

from coursesignal.connections.forms import form_schema
from coursesignal.errors import NotFound
from coursesignal.plugin import Tenant
from coursesignal.plugins import forms
from coursesignal.plugins.host import Host
from coursesignal.plugins.loaded import LoadedPlugin, Quarantined, SettingsUnreadable
from coursesignal.plugins.states import PluginState, current_values, enabled_plugins, read_states


class PluginLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A plugin as one tenant sees it.

    ``enabled`` is the tenant's own decision. ``state`` is "ok", "failing" (see ``problem``), "waiting" (a plugin it requires is
    off, or it is not granted) or "unavailable" (it is installed and could not be loaded).
    """

    slug: str
    name: str
    summary: str
    version: str
    icon: str
    docs: str
    provides: tuple[str, ...]
    requires: tuple[str, ...]
    granted: bool
    enabled: bool
    can_be_turned_off: bool
    state: str
    problem: str | None = None
    settings_schema: dict[str, Any]
    settings: dict[str, Any]


async def line_of(host: Host, tenant: Tenant, slug: str) -> PluginLine:
    """The plugin ``slug`` as the tenant sees it; raises NotFound."""
    found = next((line for line in await lines_of(host, tenant) if line.slug == slug), None)
    if found is None:
        raise NotFound
    return found


async def lines_of(host: Host, tenant: Tenant) -> list[PluginLine]:
    """Every plugin of the installation as the tenant sees it."""
    async with host.database.tenant(tenant.id) as conn:
        states = await read_states(conn, tenant.id, host.registry, host.keys.box)
        on = await enabled_plugins(conn, tenant.id, host.registry)
    lines = [_shown(plugin, states[plugin.slug], works=plugin.slug in on) for plugin in host.registry.plugins]
    return [*lines, *(_unavailable(q) for q in host.registry.quarantined if q.manifest is not None)]


def _shown(plugin: LoadedPlugin, state: PluginState, *, works: bool) -> PluginLine:
    manifest, cls = plugin.manifest, plugin.declared.settings
    how, problem = state.state, state.problem
    try:
        values = current_values(plugin, state)
    except SettingsUnreadable as error:
        values, how, problem = {}, "failing", str(error)
    if state.enabled and not works:
        how = "waiting"
    return PluginLine(
        slug=manifest.slug,
        name=manifest.name,
        summary=manifest.summary,
        version=manifest.version,
        icon=manifest.icon,
        docs=manifest.docs,
        provides=manifest.provides,
        requires=manifest.requires,
        granted=state.granted,
        enabled=state.enabled,
        can_be_turned_off=manifest.tenant_default != "always",
        state=how,
        problem=problem,
        settings_schema=form_schema(cls),
        settings=forms.shown(cls, values),
    )


def _unavailable(quarantined: Quarantined) -> PluginLine:
    """A plugin that could not be loaded; why is the operator's business."""
    manifest = quarantined.manifest
    assert manifest is not None
    return PluginLine(
        slug=manifest.slug,
        name=manifest.name,
        summary=manifest.summary,
        version=manifest.version,
        icon=manifest.icon,
        docs=manifest.docs,
        provides=manifest.provides,
        requires=manifest.requires,
        granted=False,
        enabled=False,
        can_be_turned_off=True,
        state="unavailable",
        problem="It could not be loaded. The operator of this installation knows more.",
        settings_schema={},
        settings={},
    )
