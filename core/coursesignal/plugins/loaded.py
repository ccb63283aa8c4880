"""A plugin as the host keeps it: its manifest and everything it declared, checked and frozen."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from coursesignal.plugin import (
    AttributionModel,
    ChannelRule,
    Command,
    Connector,
    Cron,
    EmailTemplate,
    Exporter,
    Job,
    NavItem,
    NoSettings,
    Panel,
    Permission,
    PluginError,
    RecommendationRule,
    Routes,
    Settings,
)
from coursesignal.plugins.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Hook:
    """A plugin's implementation of one hook; it takes a subset of the hook's arguments."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    def call(self, **offered: Any) -> Any:
        """Call it with the arguments it takes."""
        return self.function(*(offered[name] for name in self.arguments))


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """What the registration hooks of one plugin returned."""

    settings: type[Settings] = NoSettings
    routes: tuple[Routes, ...] = ()
    tables: tuple[type[Any], ...] = ()
    jobs: tuple[Job, ...] = ()
    crons: tuple[Cron, ...] = ()
    connectors: tuple[Connector[Any], ...] = ()
    attribution_models: tuple[AttributionModel, ...] = ()
    rules: tuple[RecommendationRule, ...] = ()
    nav_items: tuple[NavItem, ...] = ()
    panels: tuple[Panel, ...] = ()
    email_templates: tuple[EmailTemplate, ...] = ()
    exporters: tuple[Exporter, ...] = ()
    permissions: tuple[Permission, ...] = ()
    channel_rules: tuple[ChannelRule, ...] = ()
    commands: tuple[Command, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPlugin:
    """A plugin that passed every check."""

    manifest: Manifest
    package: str
    folder: Path
    bundled: bool
    declared: Declarations
    hooks: Mapping[str, Hook] = field(default_factory=lambda: MappingProxyType({}))
    """Event and lifecycle hooks by name."""
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Installation-wide settings from plugins.toml, under the tenant's own; wire names."""

    @property
    def slug(self) -> str:
        return self.manifest.slug

    @property
    def summary(self) -> str:
        return self.manifest.summary

    def job(self, name: str) -> Job | None:
        """The job called ``name`` within the plugin."""
        return next((job for job in self.declared.jobs if job.name == name), None)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A third-party plugin that is listed and does not run."""

    slug: str
    reason: str
    """Names the plugin and the mend."""
    manifest: Manifest | None = None

    def __str__(self) -> str:
        return self.reason


class SettingsUnreadable(PluginError):
    """A tenant's stored settings do not fit the plugin that is installed; the message names the plugin and the mend."""
