"""The registry: every plugin that runs and everything it offers, built once at the start and never changed.

A bundled plugin that is broken stops the start; a third-party one is quarantined, wholly, and the rest runs
(``on_error = "abort"`` in plugins.toml stops the start for both).
"""

from __future__ import annotations

import graphlib
import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import pluggy

from coursesignal.attribution.catalogue import CORE_MODELS
from coursesignal.db.engine import ENGINE
from coursesignal.db.migrate import MigrationSource
from coursesignal.errors import PluginLoadError
from coursesignal.plugin import (
    PROJECT,
    AttributionModel,
    ChannelRule,
    Connector,
    Cron,
    Exporter,
    Job,
    RecommendationRule,
)
from coursesignal.plugins import hookspecs
from coursesignal.plugins.breaker import harmless
from coursesignal.plugins.declarations import declarations, installation_defaults
from coursesignal.plugins.history import check_history, core_ids
from coursesignal.plugins.listing import Listing, Origin, origin, read_listing
from coursesignal.plugins.loaded import Hook, LoadedPlugin, Quarantined
from coursesignal.plugins.manifest import Manifest, find_package, read_manifest
from coursesignal.plugins.routing import check_routes
from coursesignal.settings import Settings

CORE_EXPORTERS = frozenset({"csv"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """What plugins registered; mappings are by slug."""

    plugins: tuple[LoadedPlugin, ...] = ()
    """In load order: what a plugin requires stands before it."""
    quarantined: tuple[Quarantined, ...] = ()
    by_slug: Mapping[str, LoadedPlugin] = field(default_factory=dict)
    models: Mapping[str, AttributionModel] = field(default_factory=dict)
    """Core's attribution models, then the plugins'."""
    connectors: Mapping[str, Connector[Any]] = field(default_factory=dict)
    exporters: Mapping[str, Exporter] = field(default_factory=dict)
    rules: Mapping[str, RecommendationRule] = field(default_factory=dict)
    channel_rules: tuple[ChannelRule, ...] = ()
    """Lower weight first."""
    owners: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Plugin by (kind, slug); kind is "model", "rule", "exporter" or "channel_rule". Core's have no entry."""
    jobs: Mapping[str, Job] = field(default_factory=dict)
    """By full name, ``<plugin>.<job>``."""
    crons: Mapping[str, Cron] = field(default_factory=dict)
    """By full name, ``<plugin>.<cron>``."""
    migration_sources: tuple[MigrationSource, ...] = ()

    @property
    def hook_names(self) -> frozenset[str]:
        """Of all hooks that any plugin has."""
        return frozenset(name for plugin in self.plugins for name in plugin.hooks)

    def subscribers(self, event_name: str) -> tuple[str, ...]:
        """Slugs of the plugins with a hook of that name, in load order."""
        return tuple(plugin.slug for plugin in self.plugins if event_name in plugin.hooks)


def load_registry(settings: Settings) -> Registry:
    """Load what ``plugins.toml`` lists; raises PluginLoadError, ConfigurationError."""
    return load_listing(read_listing(settings.plugins_file))


def load_listing(listing: Listing) -> Registry:
    """Load what ``listing`` names; raises PluginLoadError."""
    loading = _Loading(listing)
    for candidate in loading.in_order(loading.candidates()):
        loading.attempt(candidate.slug, candidate.origin, candidate.manifest, partial(loading.load, candidate))
    return loading.frozen()


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A listed plugin whose manifest is fine; nothing of it has been imported."""

    manifest: Manifest
    origin: Origin
    folder: Path

    @property
    def slug(self) -> str:
        return self.manifest.slug


class _Loading:
    """One start: what was loaded and refused so far."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.loaded: dict[str, LoadedPlugin] = {}
        self.quarantined: list[Quarantined] = []
        self.owners: dict[tuple[str, str], str] = {}
        self.migration_ids = core_ids()
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(hookspecs)

    def attempt(self, slug: str, source: Origin, manifest: Manifest | None, step: Callable[[], None]) -> None:
        """Run ``step``; when it fails, stop the start or quarantine the plugin."""
        try:
            step()
        except PluginLoadError as error:
            if source.bundled or self.listing.host.on_error == "abort":
                raise
            self.quarantined.append(Quarantined(slug, str(error), manifest))

    def candidates(self) -> dict[str, _Candidate]:
        """Every listed plugin with a good manifest, in the order of the list."""
        found: dict[str, _Candidate] = {}

        def read(slug: str, source: Origin) -> None:
            folder = find_package(slug, source.package)
            found[slug] = _Candidate(read_manifest(slug, folder, bundled=source.bundled), source, folder)

        for slug in self.listing.plugins:
            source = origin(slug)
            self.attempt(slug, source, None, partial(read, slug, source))
        return found

    def in_order(self, candidates: dict[str, _Candidate]) -> Iterable[_Candidate]:
        """Sorted so that what a plugin requires, or comes after, is before it; plugins in a circle are refused."""
        while True:
            wishes = {
                slug: [s for s in (*c.manifest.requires, *c.manifest.after) if s in candidates]
                for slug, c in candidates.items()
            }
            try:
                return [candidates[slug] for slug in graphlib.TopologicalSorter(wishes).static_order()]
            except graphlib.CycleError as error:
                circle = list(dict.fromkeys(error.args[1]))
                for slug in circle:
                    self._refuse_circle(candidates.pop(slug), circle)

    def _refuse_circle(self, candidate: _Candidate, circle: list[str]) -> None:
        def refuse() -> None:
            mend = "Take one of them out of `requires` or `after` in a plugin.toml."
            raise PluginLoadError(candidate.slug, f"it waits for itself: {' and '.join(circle)} wait in a circle", mend)

        self.attempt(candidate.slug, candidate.origin, candidate.manifest, refuse)

    def load(self, candidate: _Candidate) -> None:
        """Import, register, ask for declarations, check; nothing of a plugin that fails stays behind."""
        slug = candidate.slug
        self._check_requirements(candidate)
        module = _import(slug, candidate.origin.package)
        try:
            hooks = self._register(slug, module)
            declared = declarations(candidate.manifest, candidate.folder, hooks)
            plugin = LoadedPlugin(
                manifest=candidate.manifest,
                package=candidate.origin.package,
                folder=candidate.folder,
                bundled=candidate.origin.bundled,
                declared=declared,
                hooks=MappingProxyType({n: h for n, h in hooks.items() if n not in hookspecs.REGISTRATION}),
                defaults=MappingProxyType(
                    installation_defaults(candidate.manifest, declared.settings, self.listing.plugins[slug])
                ),
            )
            check_routes(plugin)
            migration_ids = check_history(slug, plugin.folder / "migrations", self.migration_ids)
            owned = self._claim(plugin)
        except PluginLoadError:
            self.manager.unregister(name=slug)
            raise
        self.owners |= owned
        self.migration_ids |= migration_ids
        self.loaded[slug] = plugin
        for table in declared.tables:
            table._meta.db = ENGINE  # the one that knows the tenant's transaction; Piccolo would look for another

    def _check_requirements(self, candidate: _Candidate) -> None:
        for needed in candidate.manifest.requires:
            if needed not in self.loaded:
                listed = needed in self.listing.plugins
                mend = f"Mend {needed} first." if listed else f"Add [plugins.{needed}] to plugins.toml."
                state = "could not be loaded" if listed else "is not in plugins.toml"
                raise PluginLoadError(candidate.slug, f"it requires the plugin {needed!r}, which {state}", mend)

    def _register(self, slug: str, module: ModuleType) -> dict[str, Hook]:
        """The hooks of ``module``; pluggy checks their names and arguments."""
        mend = "Name hooks and their arguments as docs/hooks.md does, and install a version written for this API."
        try:
            self.manager.register(module, name=slug)
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            message = " ".join(str(error).split())
            raise PluginLoadError(slug, f"its hooks do not fit: {message}", mend) from error
        hooks = {}
        for caller in self.manager.get_hookcallers(module) or ():
            for impl in caller.get_hookimpls():
                if impl.plugin_name != slug:
                    continue
                if impl.wrapper or impl.hookwrapper:
                    raise PluginLoadError(slug, f"{caller.name} is a hook wrapper", "Use @hookimpl without arguments.")
                hooks[caller.name] = Hook(caller.name, impl.function, tuple(impl.argnames))
        return hooks

    def _claim(self, plugin: LoadedPlugin) -> dict[tuple[str, str], str]:
        """What the plugin now owns among names that all plugins share; refused when someone has it already."""
        declared = plugin.declared
        wanted = [
            *(("model", model.slug) for model in declared.attribution_models),
            *(("rule", rule.slug) for rule in declared.rules),
            *(("exporter", exporter.slug) for exporter in declared.exporters),
            *(("channel_rule", rule.slug) for rule in declared.channel_rules),
        ]
        cores = {("model", model.slug) for model in CORE_MODELS} | {("exporter", slug) for slug in CORE_EXPORTERS}
        for kind, slug in wanted:
            other = "core" if (kind, slug) in cores else self.owners.get((kind, slug))
            if other is not None:
                reason = f"its {kind.replace('_', ' ')} {slug!r} has a name that {other} uses already"
                raise PluginLoadError(plugin.slug, reason, f"Rename it, for example {plugin.slug}_{slug}.")
        return dict.fromkeys(wanted, plugin.slug)

    def frozen(self) -> Registry:
        """The registry of what was loaded."""
        plugins = tuple(self.loaded.values())
        models = [*CORE_MODELS, *(model for plugin in plugins for model in plugin.declared.attribution_models)]
        rules = [harmless(plugin.slug, rule) for plugin in plugins for rule in plugin.declared.channel_rules]
        return Registry(
            plugins=plugins,
            quarantined=tuple(self.quarantined),
            by_slug=MappingProxyType(dict(self.loaded)),
            models=MappingProxyType({model.slug: model for model in models}),
            connectors=MappingProxyType({c.slug: c for p in plugins for c in p.declared.connectors}),
            exporters=MappingProxyType({e.slug: e for p in plugins for e in p.declared.exporters}),
            rules=MappingProxyType({r.slug: r for p in plugins for r in p.declared.rules}),
            channel_rules=tuple(sorted(rules, key=lambda rule: rule.weight)),
            owners=MappingProxyType(dict(self.owners)),
            jobs=MappingProxyType({f"{p.slug}.{job.name}": job for p in plugins for job in p.declared.jobs}),
            crons=MappingProxyType({f"{p.slug}.{cron.name}": cron for p in plugins for cron in p.declared.crons}),
            migration_sources=tuple(
                MigrationSource(p.slug, p.folder / "migrations") for p in plugins if (p.folder / "migrations").is_dir()
            ),
        )


def _import(slug: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except (Exception, SystemExit) as error:
        reason = f"importing {package} raised {type(error).__name__}: {error}"
        mend = f"Correct the plugin, install what it needs, or take [plugins.{slug}] out of plugins.toml."
        raise PluginLoadError(slug, reason, mend) from error
