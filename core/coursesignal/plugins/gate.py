"""What of the registry one tenant may see: an author cannot forget to ask, because only this is handed out.

``enabled`` is the answer of :func:`coursesignal.plugins.states.enabled_plugins`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from coursesignal.plugin import (
    AttributionModel,
    ChannelRule,
    Exporter,
    NavItem,
    Panel,
    RecommendationRule,
)
from coursesignal.plugins.loaded import LoadedPlugin
from coursesignal.plugins.registry import Registry


def plugins_for(registry: Registry, enabled: Collection[str]) -> list[LoadedPlugin]:
    """The plugins that are on, in load order."""
    return [plugin for plugin in registry.plugins if plugin.slug in enabled]


def models_for(registry: Registry, enabled: Collection[str]) -> Mapping[str, AttributionModel]:
    """Core's attribution models and those of the plugins that are on."""
    return {slug: model for slug, model in registry.models.items() if _visible(registry, "model", slug, enabled)}


def exporters_for(registry: Registry, enabled: Collection[str]) -> Mapping[str, Exporter]:
    """File formats beyond core's CSV."""
    return {slug: e for slug, e in registry.exporters.items() if _visible(registry, "exporter", slug, enabled)}


def rules_for(registry: Registry, enabled: Collection[str]) -> Mapping[str, RecommendationRule]:
    """Recommendation rules."""
    return {slug: rule for slug, rule in registry.rules.items() if _visible(registry, "rule", slug, enabled)}


def channel_rules_for(registry: Registry, enabled: Collection[str]) -> tuple[ChannelRule, ...]:
    """Channel rules, in the order they are asked."""
    return tuple(r for r in registry.channel_rules if _visible(registry, "channel_rule", r.slug, enabled))


def nav_for(registry: Registry, enabled: Collection[str]) -> list[tuple[LoadedPlugin, NavItem]]:
    """Menu entries by weight, then label."""
    items = [(plugin, item) for plugin in plugins_for(registry, enabled) for item in plugin.declared.nav_items]
    return sorted(items, key=lambda pair: (pair[1].weight, pair[1].label))


def panels_for(registry: Registry, enabled: Collection[str], slot: str) -> list[tuple[LoadedPlugin, Panel]]:
    """Panels that want to be in ``slot``."""
    return [
        (plugin, panel)
        for plugin in plugins_for(registry, enabled)
        for panel in plugin.declared.panels
        if panel.slot == slot
    ]


def _visible(registry: Registry, kind: str, slug: str, enabled: Collection[str]) -> bool:
    owner = registry.owners.get((kind, slug))
    return owner is None or owner in enabled
