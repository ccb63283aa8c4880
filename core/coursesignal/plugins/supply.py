"""What lower floors are handed of plugins, for one tenant at a time: models for its pickers, channel rules for its touches."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from uuid import UUID

from coursesignal.errors import Busy
from coursesignal.plugin import AttributionModel, ChannelRule, Exporter
from coursesignal.plugins.gate import channel_rules_for, exporters_for, models_for
from coursesignal.plugins.host import Host
from coursesignal.plugins.states import enabled_plugins
from coursesignal.tracking.pipeline import ChannelRulesOf

log = logging.getLogger(__name__)


async def plugin_is_on(host: Host, tenant_id: UUID, slug: str) -> bool:
    """Whether the tenant is granted the plugin and has it on."""
    async with host.database.tenant(tenant_id) as conn:
        return slug in await enabled_plugins(conn, tenant_id, host.registry)


async def models_of(host: Host, tenant_id: UUID) -> Mapping[str, AttributionModel]:
    """The attribution models a tenant may choose."""
    registry = host.registry
    if not any(kind == "model" for kind, _ in registry.owners):
        return registry.models
    async with host.database.tenant(tenant_id) as conn:
        return models_for(registry, await enabled_plugins(conn, tenant_id, registry))


async def exporters_of(host: Host, tenant_id: UUID) -> Mapping[str, Exporter]:
    """The file formats a tenant may choose besides core's CSV; one that fails says so by its name."""
    registry = host.registry
    if not registry.exporters:
        return {}
    async with host.database.tenant(tenant_id) as conn:
        found = exporters_for(registry, await enabled_plugins(conn, tenant_id, registry))
    return {slug: _Named(registry.owners[("exporter", slug)], exporter) for slug, exporter in found.items()}


class _Named(Exporter):
    """An exporter whose failure is logged under its plugin and told as one."""

    def __init__(self, plugin: str, exporter: Exporter) -> None:
        self._plugin = plugin
        self._exporter = exporter
        self.media_type = exporter.media_type  # type: ignore[misc]
        self.suffix = exporter.suffix  # type: ignore[misc]

    async def export(self, columns: Sequence[str], rows: AsyncIterable[Sequence[object]]) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._exporter.export(columns, rows):
                yield chunk
        except Exception as error:
            what = f"exporter {self._exporter.slug} raised {type(error).__name__}: {error}"
            log.error("plugin.error plugin=%s what=%s; correct the plugin", self._plugin, what)
            title = f"This file could not be written. The plugin {self._plugin} failed; choose another format."
            raise Busy(title, kind="plugin-failed", retry_after_s=60) from error


def channel_rules_of(host: Host) -> ChannelRulesOf:
    """For a tenant, the channel rules of the plugins it has on."""
    registry = host.registry

    async def of(tenant_id: UUID) -> Sequence[ChannelRule]:
        if not registry.channel_rules:
            return ()
        async with host.database.tenant(tenant_id) as conn:
            enabled = await enabled_plugins(conn, tenant_id, registry)
        return channel_rules_for(registry, enabled)

    return of
