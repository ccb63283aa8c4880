"""``plugins.toml``: which plugins an installation runs, in which order, and their installation-wide settings."""

from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

import coursesignal
from coursesignal.errors import ConfigurationError

GROUP = "coursesignal.plugins"
DISTRIBUTION = "coursesignal"

OnError = Literal["quarantine", "abort"]


class HostTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [host]."""

    on_error: OnError = "quarantine"


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's contents; a plugin's table holds installation-wide defaults of its settings, by field name."""

    host: HostTable = HostTable()
    plugins: dict[Annotated[str, Meta(min_length=1)], dict[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a plugin comes from: its import package, and whether it is part of this distribution."""

    package: str
    bundled: bool


def read_listing(path: Path) -> Listing:
    """The listing at ``path``; without that file, every bundled plugin with its own defaults."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Listing)
    except FileNotFoundError:
        return Listing(plugins={slug: {} for slug, origin in _entry_points().items() if origin.bundled})
    except (ValueError, msgspec.ValidationError) as error:
        raise ConfigurationError(
            f"{path.name} cannot be read: {error}. It has a table [host] with on_error and one table [plugins.<slug>] per plugin."
        ) from error


def origin(slug: str) -> Origin:
    """The package of entry point ``slug``, else ``coursesignal_<slug>`` (a bundled plugin that was added after the install)."""
    known = _entry_points().get(slug)
    if known is not None:
        return known
    package = f"coursesignal_{slug}"
    return Origin(package, (_source_root() / package).is_dir())


@cache
def _entry_points() -> Mapping[str, Origin]:
    found: dict[str, Origin] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        bundled = point.dist is not None and point.dist.name == DISTRIBUTION
        if bundled or point.name not in found:  # nobody replaces a bundled plugin by taking its name
            found[point.name] = Origin(point.value, bundled)
    return found


def _source_root() -> Path:
    """Where bundled plugins are in a source tree; an installed wheel has no such folder."""
    return Path(coursesignal.__file__).parents[2] / "plugins"
