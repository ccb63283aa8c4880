"""What a call into a plugin is handed: one tenant, its settings, its rows, and nothing of the installation."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec

from coursesignal.analytics.reader import Reports
from coursesignal.connections.house import House
from coursesignal.db.engine import Database
from coursesignal.errors import NotFound
from coursesignal.jobs import outbox
from coursesignal.jobs.mail import queue_mail
from coursesignal.plugin import Advice, PluginError, Settings, Tenant
from coursesignal.plugins import notices
from coursesignal.plugins.advice import ask, raised
from coursesignal.plugins.gate import models_for, rules_for
from coursesignal.plugins.host import Host
from coursesignal.plugins.http import client
from coursesignal.plugins.loaded import LoadedPlugin
from coursesignal.plugins.shares import PluginShares
from coursesignal.plugins.states import enabled_plugins, read_state, settings_of
from coursesignal.plugins.templates import one_line, render_mail
from coursesignal.security import outbound


class TenantDatabase:
    """Transactions of one tenant, whatever the plugin does."""

    def __init__(self, database: Database, tenant_id: UUID) -> None:
        self._database = database
        self._tenant_id = tenant_id

    def transaction(self) -> contextlib.AbstractAsyncContextManager[asyncpg.Connection]:
        """A transaction bound to the tenant; inside another one it joins that."""
        return self._database.tenant(self._tenant_id)


class PluginBaseContext:
    """Implements :class:`coursesignal.plugin.BaseContext`."""

    def __init__(self, host: Host, plugin: LoadedPlugin, tenant: Tenant, enabled: frozenset[str]) -> None:
        self._host = host
        self._plugin = plugin
        self.enabled = enabled
        self.tenant = tenant
        self.db = TenantDatabase(host.database, tenant.id)
        self.log = logging.LoggerAdapter(
            logging.getLogger(f"coursesignal.plugins.{plugin.slug}"), {"plugin": plugin.slug, "tenant": tenant.slug}
        )

    @cached_property
    def http(self) -> httpx.AsyncClient:
        return client(self._plugin, self._host.settings.platform_urls.get(self._plugin.slug))

    @cached_property
    def outbound(self) -> httpx.AsyncClient:
        return outbound.client(outbound.Allowed.parse(self._host.settings.outbound_allow))

    @cached_property
    def reports(self) -> Reports:
        return Reports(self._host.database, self.tenant, models_for(self._host.registry, self.enabled))

    async def enqueue(
        self, job: str, /, *, run_at: datetime | None = None, key: str | None = None, **kwargs: Any
    ) -> None:
        declared = self._plugin.job(job)
        slug = self._plugin.slug
        if declared is None:
            known = ", ".join(j.name for j in self._plugin.declared.jobs) or "none"
            raise PluginError(f"plugin {slug!r}: there is no job {job!r}. Its jobs are: {known}.")
        async with self.db.transaction() as conn:
            await outbox.enqueue(
                conn,
                self.tenant.id,
                f"{slug}.{job}",
                kwargs,
                plugin=slug,
                run_at=run_at,
                key=None if key is None else f"{slug}.{job}:{key}",
                max_attempts=declared.retries + 1,
            )

    async def send_email(self, template: str, to: str, /, *, key: str, **values: Any) -> None:
        slug = self._plugin.slug
        mail = next((m for m in self._plugin.declared.email_templates if m.slug == template), None)
        if mail is None:
            known = ", ".join(m.slug for m in self._plugin.declared.email_templates) or "none"
            raise PluginError(f"plugin {slug!r}: there is no mail {template!r}. Its mails are: {known}.")
        one_line(slug, "recipient", to)
        rendered = render_mail(self._plugin, mail, {**values, "tenant": self.tenant, **self._mail_values()})
        async with self.db.transaction() as conn:
            await queue_mail(
                conn,
                self._host.keys,
                to=to,
                subject=rendered.subject,
                text=rendered.text,
                html=rendered.html,
                key=f"{self.tenant.id}:{slug}.{template}:{key}",
                tenant_id=self.tenant.id,
            )

    def _mail_values(self) -> Mapping[str, object]:
        return {}


class PluginContext(PluginBaseContext):
    """Implements :class:`coursesignal.plugin.Context`."""

    def __init__(
        self, host: Host, plugin: LoadedPlugin, tenant: Tenant, enabled: frozenset[str], settings: Settings
    ) -> None:
        super().__init__(host, plugin, tenant, enabled)
        self.settings = settings

    async def advice(self) -> Sequence[Advice]:
        registry = self._host.registry
        purchases = (await self.reports.summary("all")).purchases
        found: list[Advice] = []
        for slug, rule in rules_for(registry, self.enabled).items():
            if purchases >= rule.minimum_purchases:
                owner = registry.owners[("rule", slug)]
                found += await ask(owner, rule, open_context(self._host, self.tenant.id, owner))
        return sorted(found, key=lambda advice: advice.recommendation.priority)

    @cached_property
    def shares(self) -> PluginShares:
        return PluginShares(self._host, self.tenant, self._plugin.slug)

    async def publish(self, board: str, key: str, body: Mapping[str, Any], *, at: datetime | None = None) -> None:
        async with self.db.transaction() as conn:
            await notices.publish(conn, self.tenant.id, self._plugin.slug, board, key, body, at)

    async def withdraw(self, board: str, key: str | None = None) -> None:
        async with self.db.transaction() as conn:
            await notices.withdraw(conn, self.tenant.id, self._plugin.slug, board, key)

    async def raise_recommendation(self, advice: Advice) -> None:
        event = raised(self.tenant.id, advice)
        async with self.db.transaction() as conn:
            key = f"recommendation:{event.rule}:{event.key}"
            await outbox.put(conn, self.tenant.id, "event", event.name, msgspec.to_builtins(event), key=key)

    def _mail_values(self) -> Mapping[str, object]:
        return {"settings": self.settings}


def base_context(host: Host, tenant: Tenant, slug: str) -> PluginBaseContext:
    """What a connector of plugin ``slug`` works with, besides its connection; needs no look at the database."""
    plugin = host.registry.by_slug[slug]
    return PluginBaseContext(host, plugin, tenant, frozenset({slug, *plugin.manifest.requires}))


def house_of(host: Host) -> House:
    """What connections work with, on this installation."""
    registry = host.registry
    contexts = partial(base_context, host)
    return House(host.database, host.keys, host.settings, registry.connectors, registry.models, contexts)


async def find_tenant(conn: asyncpg.Connection, tenant_id: UUID) -> Tenant:
    """The tenant of that id; raises NotFound."""
    row = await conn.fetchrow("select id, slug, name, currency, time_zone from tenants where id = $1", tenant_id)
    if row is None:
        raise NotFound
    return Tenant(**dict(row))


async def open_context(host: Host, tenant_id: UUID, slug: str, *, even_if_off: bool = False) -> PluginContext:
    """The context of plugin ``slug`` for one tenant.

    Raises NotFound when the tenant does not have the plugin on (unless ``even_if_off``), SettingsUnreadable.
    """
    plugin = host.registry.by_slug.get(slug)
    if plugin is None:
        raise NotFound
    async with host.database.tenant(tenant_id) as conn:
        tenant = await find_tenant(conn, tenant_id)
        enabled = await enabled_plugins(conn, tenant_id, host.registry)
        if slug not in enabled and not even_if_off:
            raise NotFound
        state = await read_state(conn, tenant_id, plugin, host.keys.box)
    return PluginContext(host, plugin, tenant, enabled, settings_of(plugin, state))
