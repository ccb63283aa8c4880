"""A plugin's migrations, looked at without running them: names and ids that the migrator would stumble over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from coursesignal.db.migrate import core_source
from coursesignal.errors import PluginLoadError

_ID = re.compile(r"""^ID\s*(?::\s*str\s*)?=\s*["']([^"']+)["']""", re.MULTILINE)


def core_ids() -> dict[str, str]:
    """Core's migrations by id."""
    return {found: "core" for path in _files(core_source().folder) if (found := _id(path)) is not None}


def check_history(slug: str, folder: Path, taken: Mapping[str, str]) -> dict[str, str]:
    """The plugin by each id of its migrations in ``folder``; ``taken`` are the ids of others. Raises PluginLoadError."""
    own: dict[str, str] = {}
    for path in _files(folder):
        if not path.name.startswith(f"{slug}_"):
            mend = f"Call it {slug}_<time>_<what>.py: names of migrations are shared by all plugins."
            raise PluginLoadError(slug, f"its migration {path.name} does not begin with {slug}_", mend)
        found = _id(path)
        if found is None:
            mend = 'Begin it with a line such as ID = "2026-01-31T12:00:00:000001".'
            raise PluginLoadError(slug, f"its migration {path.name} has no ID", mend)
        other = taken.get(found) or own.get(found)
        if other is not None:
            raise PluginLoadError(
                slug, f"its migration {path.name} has the ID {found} of one of {other}", "Change the ID."
            )
        own[found] = slug
    return own


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")


def _id(path: Path) -> str | None:
    found = _ID.search(path.read_text("utf-8"))
    return found.group(1) if found else None
