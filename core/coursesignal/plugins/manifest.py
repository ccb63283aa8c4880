"""A plugin's manifest: ``plugin.toml`` in its package, read without importing it."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from coursesignal import __version__
from coursesignal.errors import PluginLoadError
from coursesignal.plugin import API_VERSION

Slug = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{1,30}$")]
Host = Annotated[str, Meta(pattern=r"^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$")]
Scope = Annotated[str, Meta(pattern=r"^[a-z_]+:[a-z_]+$")]
Word = Annotated[str, Meta(pattern=r"^[a-z][a-z_]*$")]
Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\r\n]*$")]

# fmt: off
RESERVED = frozenset({
    "agencies", "analytics", "api", "app", "audit", "auth", "bench", "charge", "commands", "connections", "core",
    "coursesignal", "credit", "cron", "database", "demo", "docs", "doctor", "drop", "event", "health", "inbox",
    "jobs", "mail", "merge", "metrics", "migrate", "outbox", "people", "person", "platforms", "plugin", "plugins",
    "public", "purchase", "rate", "refresh", "script", "serve", "sessions", "sites", "static", "sync", "tenants",
    "tracking", "users", "visitors", "web", "webhooks", "worker",
})
# fmt: on
"""Slugs that would collide with core's addresses, table names or commands."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a plugin says about itself."""

    slug: Slug
    """Never changes: it prefixes addresses, tables, jobs, permissions and templates."""
    name: Line
    summary: Line
    api: int
    """Version of the plugin API it was written for."""
    version: str = ""
    """Its own version; a bundled plugin leaves it out and has core's."""
    authors: tuple[Line, ...] = ()
    docs: str = ""
    """Address of its documentation."""
    icon: Word = "puzzle"
    provides: tuple[Word, ...] = ()
    """What it adds, in words such as "connector", for the list of plugins."""
    requires: tuple[Slug, ...] = ()
    """Plugins it cannot work without: loaded before it, and enabled before it by a tenant."""
    after: tuple[Slug, ...] = ()
    """Plugins that load before it when they are there."""
    scopes: tuple[Scope, ...] = ()
    """What it reads and writes, for whoever reviews it; not enforced, the code is trusted."""
    hosts: tuple[Host, ...] = ()
    """Hosts ``ctx.http`` reaches; ``*.example.com`` names every host below it."""
    settings_version: Annotated[int, Meta(ge=1)] = 1
    tenant_default: Literal["off", "on", "always"] = "off"
    """Whether a tenant that never decided has it on; "always" cannot be turned off by the tenant."""

    def reaches(self, host: str) -> bool:
        """Whether ``hosts`` names ``host``."""
        return any(host == h or (h.startswith("*.") and host.endswith(h[1:])) for h in self.hosts)


def find_package(slug: str, package: str) -> Path:
    """The folder of ``package``, found without importing it."""
    if "." in package or ":" in package:
        mend = f'Point the entry point {slug} at a top-level package, as in {slug} = "{package.partition(".")[0]}".'
        raise PluginLoadError(slug, f"its entry point {package!r} is not a top-level package", mend)
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        mend = f"Install the distribution that has it, or take [plugins.{slug}] out of plugins.toml."
        raise PluginLoadError(slug, f"there is no package {package!r}", mend)
    return Path(next(iter(spec.submodule_search_locations)))


def read_manifest(slug: str, folder: Path, *, bundled: bool = False) -> Manifest:
    """The checked manifest in ``folder`` of the plugin that ``plugins.toml`` calls ``slug``."""
    raw = _read(slug, folder)
    _check_api(slug, raw.get("api"))
    try:
        manifest = msgspec.convert(raw, Manifest)
    except msgspec.ValidationError as error:
        mend = f"Correct plugin.toml of the package {folder.name}; docs/manifest.md lists its keys."
        raise PluginLoadError(slug, f"its plugin.toml is not valid: {error}", mend) from error
    manifest = _versioned(manifest, bundled=bundled)
    _check(slug, manifest)
    return manifest


def _read(slug: str, folder: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((folder / "plugin.toml").read_text("utf-8"))
    except FileNotFoundError:
        mend = f"Add it beside __init__.py of the package {folder.name}."
        raise PluginLoadError(slug, "it has no plugin.toml", mend) from None
    except ValueError as error:  # TOML or UTF-8
        mend = f"Correct plugin.toml of the package {folder.name}."
        raise PluginLoadError(slug, f"its plugin.toml is not TOML: {error}", mend) from error


def _check_api(slug: str, api: object) -> None:
    """Before anything else: a manifest of another API may have other keys."""
    if not isinstance(api, int):
        raise PluginLoadError(slug, "its plugin.toml names no API version", f"Add the line api = {API_VERSION}.")
    if api != API_VERSION:
        newer = "Update CourseSignal, or install" if api > API_VERSION else "Install"
        reason = f"it is written for plugin API {api}, this is {API_VERSION}"
        raise PluginLoadError(slug, reason, f"{newer} a version of it for API {API_VERSION}.")


def _versioned(manifest: Manifest, *, bundled: bool) -> Manifest:
    if bundled and not manifest.version:
        return msgspec.structs.replace(manifest, version=__version__)
    if bundled and manifest.version != __version__:
        mend = "Take version out of its plugin.toml: bundled plugins follow core."
        raise PluginLoadError(manifest.slug, f"it says version {manifest.version}, core is {__version__}", mend)
    return manifest


def _check(slug: str, manifest: Manifest) -> None:
    if manifest.slug != slug:
        mend = f"Write [plugins.{manifest.slug}] in plugins.toml, and name its entry point {manifest.slug}."
        raise PluginLoadError(slug, f"its plugin.toml says slug = {manifest.slug!r}", mend)
    if slug in RESERVED:
        raise PluginLoadError(
            slug, "core uses this slug itself", "Choose another slug; it is also the prefix of your tables."
        )
    if not manifest.version:
        raise PluginLoadError(slug, "its plugin.toml has no version", 'Add a line such as version = "1.0.0".')
