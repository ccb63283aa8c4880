"""Look-up lists of this area, one text file each, in sections of lines."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files


def sections(name: str) -> Mapping[str, list[str]]:
    """The lines of a list under their ``[section]``; ``#`` starts a comment."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for raw in (files(__name__) / name).read_text(encoding="utf-8").splitlines():
        line = raw.partition("#")[0].strip()
        if line.startswith("["):
            lines = found.setdefault(line.strip("[]"), [])
        elif line:
            lines.append(line)
    return found
