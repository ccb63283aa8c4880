"""The plugins of a tenant over HTTP."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from coursesignal.auth.access import tenant as of_tenant
from coursesignal.auth.callers import Caller, parts_of
from coursesignal.connections.forms import form_schema
from coursesignal.errors import NotFound
from coursesignal.plugin import Tenant
from coursesignal.plugins import forms
from coursesignal.plugins.frame import ROUTES as FRAME
from coursesignal.plugins.host import Host
from coursesignal.plugins.loaded import LoadedPlugin, Quarantined, SettingsUnreadable
from coursesignal.plugins.service import Wish, change
from coursesignal.plugins.states import PluginState, current_values, enabled_plugins, read_states

TAGS = ["plugins"]


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


class PluginChange(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """What to change; settings replace the former ones, except secrets, which stay when they are left out."""

    enabled: bool | None = None
    settings: dict[str, Any] | None = None


@get(
    "/api/plugins",
    operation_id="list_plugins",
    summary="The plugins of this installation, as this tenant has them",
    tags=TAGS,
    opt=of_tenant("viewer", scope="plugins:read"),
)
async def list_plugins(request: Request[Any, Any, Any], tenant: NamedDependency[Tenant]) -> list[PluginLine]:
    return await _lines(_host(request), tenant)


@get(
    "/api/plugins/{slug:str}",
    operation_id="get_plugin",
    summary="One plugin, as this tenant has it",
    tags=TAGS,
    opt=of_tenant("viewer", scope="plugins:read"),
)
async def get_plugin(
    request: Request[Any, Any, Any], tenant: NamedDependency[Tenant], slug: FromPath[str]
) -> PluginLine:
    return await _line(_host(request), tenant, slug)


@put(
    "/api/plugins/{slug:str}",
    operation_id="change_plugin",
    summary="Turn a plugin on or off, or save its settings; they are tested before they are saved",
    tags=TAGS,
    opt=of_tenant("admin", scope="plugins:write"),
)
async def change_plugin(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
    slug: FromPath[str],
    data: JSONBody[PluginChange],
) -> PluginLine:
    host = _host(request)
    await change(host, caller, tenant, slug, Wish(data.enabled, data.settings))
    return await _line(host, tenant, slug)


ROUTES = [list_plugins, get_plugin, change_plugin, *FRAME]


def _host(request: Request[Any, Any, Any]) -> Host:
    """The process's parts, left by the application."""
    host: Any = parts_of(request)
    found: Host = host
    return found


async def _line(host: Host, tenant: Tenant, slug: str) -> PluginLine:
    found = next((line for line in await _lines(host, tenant) if line.slug == slug), None)
    if found is None:
        raise NotFound
    return found


async def _lines(host: Host, tenant: Tenant) -> list[PluginLine]:
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
