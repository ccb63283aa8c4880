"""What an author wants to know before anybody installs the plugin: does it load, and does everything it declares hold?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import msgspec

from coursesignal.errors import CourseSignalError, PluginLoadError
from coursesignal.plugin import Settings as PluginSettings
from coursesignal.plugin import Tenant
from coursesignal.plugins.listing import HostTable, Listing, origin, read_listing
from coursesignal.plugins.loaded import LoadedPlugin
from coursesignal.plugins.manifest import find_package, read_manifest
from coursesignal.plugins.registry import load_listing
from coursesignal.plugins.templates import check_template, render_mail
from coursesignal.settings import Settings

EXAMPLE = Tenant(id=UUID(int=0), slug="example", name="Example Academy", currency="USD", time_zone="UTC")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    problem: str | None = None


def check_plugin(settings: Settings, slug: str) -> list[Finding]:
    """Load the plugin ``slug``, listed or not, with what it requires, and look at everything it declares."""
    try:
        plugin = load_one(settings, slug)
    except PluginLoadError as error:
        return [Finding("it loads", str(error))]
    return [Finding("it loads"), *_findings(plugin)]


def load_one(settings: Settings, slug: str) -> LoadedPlugin:
    """The plugin ``slug``, loaded with what it requires and nothing else; raises PluginLoadError."""
    listed = read_listing(settings.plugins_file).plugins
    wanted: dict[str, dict[str, object]] = {}
    waiting = [slug]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted[name] = dict(listed.get(name, {}))
            source = origin(name)
            folder = find_package(name, source.package)
            waiting += read_manifest(name, folder, bundled=source.bundled).requires
    registry = load_listing(Listing(host=HostTable(on_error="abort"), plugins=wanted))
    return registry.by_slug[slug]


def _findings(plugin: LoadedPlugin) -> Iterator[Finding]:
    for panel in plugin.declared.panels:
        yield _tried(f"template of panel {panel.slug}", partial(check_template, plugin, panel.template))
    settings = _defaults(plugin)
    for mail in plugin.declared.email_templates:
        values = {**mail.example, "tenant": EXAMPLE, "settings": settings}
        yield _tried(f"mail {mail.slug} with its example", partial(render_mail, plugin, mail, values))
    yield _tables_have_migrations(plugin)


def _tried(what: str, step: Callable[[], object]) -> Finding:
    try:
        step()
    except CourseSignalError as error:
        return Finding(what, str(error))
    return Finding(what)


def _defaults(plugin: LoadedPlugin) -> PluginSettings | None:
    """The settings nobody filled in, when that is possible."""
    try:
        return msgspec.convert(dict(plugin.defaults), plugin.declared.settings)
    except msgspec.ValidationError:
        return None


def _tables_have_migrations(plugin: LoadedPlugin) -> Finding:
    missing = bool(plugin.declared.tables) and not list((plugin.folder / "migrations").glob(f"{plugin.slug}_*.py"))
    mend = f"Add the folder migrations with a file {plugin.slug}_<time>_<what>.py."
    return Finding(
        "its tables", f"plugin {plugin.slug!r}: it has tables and no migrations. {mend}" if missing else None
    )
