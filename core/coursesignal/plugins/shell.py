"""What surrounds a dashboard page: who looks, the menu, and the panels of every plugin that the tenant has on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

from coursesignal.auth.callers import Caller, memberships
from coursesignal.errors import NotFound
from coursesignal.plugin import NavLink, Panel, PanelLink, Tenant, TenantLink
from coursesignal.plugins.calls import PluginFault, call_plugin
from coursesignal.plugins.context import open_context
from coursesignal.plugins.frame import framed
from coursesignal.plugins.gate import nav_for, panels_for
from coursesignal.plugins.host import Host
from coursesignal.plugins.loaded import LoadedPlugin
from coursesignal.plugins.states import enabled_plugins
from coursesignal.plugins.templates import render

PANEL_TIMEOUT_S = 3.0


class DashboardShell:
    """Implements :class:`coursesignal.plugin.Shell`."""

    def __init__(self, host: Host, caller: Caller, tenant: Tenant, here: str) -> None:
        self._host = host
        self._caller = caller
        self._tenant = tenant
        self._here = here
        self._enabled: frozenset[str] | None = None

    @property
    def email(self) -> str:
        return self._caller.email

    @property
    def role(self) -> str:
        return self._caller.role

    @property
    def csrf_token(self) -> str:
        return self._caller.csrf_token

    @property
    def base_url(self) -> str:
        return self._host.settings.base_url

    async def tenants(self) -> Sequence[TenantLink]:
        if self._caller.user_id is None:
            return []
        async with self._host.database.control() as conn:
            found = await memberships(conn, self._caller.user_id)
        return [TenantLink(slug=m.tenant.slug, name=m.tenant.name, role=m.role) for m in found]

    async def nav(self) -> Sequence[NavLink]:
        top = f"/app/{self._tenant.slug}"
        return [
            NavLink(
                plugin=plugin.slug,
                label=item.label,
                href=f"{top}/{plugin.slug}/{item.path}".rstrip("/"),
                icon=item.icon,
            )
            for plugin, item in nav_for(self._host.registry, await self._on())
        ]

    async def panels(self, slot: Literal["overview", "purchase", "person", "channel"]) -> Sequence[PanelLink]:
        found = panels_for(self._host.registry, await self._on(), slot)
        return [PanelLink(plugin=plugin.slug, slug=panel.slug, title=panel.title) for plugin, panel in found]

    async def panel(self, plugin: str, slug: str) -> str:
        owner, panel = await self._find(plugin, slug)
        ctx = await open_context(self._host, self._tenant.id, plugin)
        values = await call_plugin(plugin, f"panel {slug}", PANEL_TIMEOUT_S, partial(panel.load, ctx))
        if not isinstance(values, Mapping):
            reason = f"returned {type(values).__name__} instead of a mapping"
            raise PluginFault(plugin, f"panel {slug}", reason, "Return the template's values.")
        return render(owner, panel.template, {**values, "tenant": self._tenant, "settings": ctx.settings})

    async def page(self, title: str, content: str) -> str:
        values = {
            "title": title,
            "tenant": self._tenant,
            "tenants": [link for link in await self.tenants() if link.slug != self._tenant.slug],
            "nav": [*await self.nav(), *self._own_pages()],
            "here": self._here,
            "email": self.email,
            "csrf_token": self.csrf_token,
        }
        return framed(content, values)

    def _own_pages(self) -> list[NavLink]:
        """Core's two, after the plugins'."""
        top = f"/app/{self._tenant.slug}"
        return [
            NavLink(plugin="connections", label="Connections", href=f"{top}/connections", icon="plug"),
            NavLink(plugin="plugins", label="Plugins", href=f"{top}/plugins", icon="puzzle"),
        ]

    async def _find(self, plugin: str, slug: str) -> tuple[LoadedPlugin, Panel]:
        owner = self._host.registry.by_slug.get(plugin)
        if owner is None or plugin not in await self._on():
            raise NotFound
        panel = next((panel for panel in owner.declared.panels if panel.slug == slug), None)
        if panel is None:
            raise NotFound
        return owner, panel

    async def _on(self) -> frozenset[str]:
        """The plugins this tenant has on, looked up once per request."""
        if self._enabled is None:
            async with self._host.database.tenant(self._tenant.id) as conn:
                self._enabled = await enabled_plugins(conn, self._tenant.id, self._host.registry)
        return self._enabled
