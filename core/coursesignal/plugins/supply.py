"""What lower floors are handed of plugins, for one tenant at a time: models for its pickers, channel rules for its touches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from coursesignal.plugin import AttributionModel, ChannelRule
from coursesignal.plugins.gate import channel_rules_for, models_for
from coursesignal.plugins.host import Host
from coursesignal.plugins.states import enabled_plugins
from coursesignal.tracking.pipeline import ChannelRulesOf


async def models_of(host: Host, tenant_id: UUID) -> Mapping[str, AttributionModel]:
    """The attribution models a tenant may choose."""
    registry = host.registry
    if not any(kind == "model" for kind, _ in registry.owners):
        return registry.models
    async with host.database.tenant(tenant_id) as conn:
        return models_for(registry, await enabled_plugins(conn, tenant_id, registry))


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
