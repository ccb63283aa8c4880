"""What an API key may be allowed: core's scopes, and for each installed plugin reading, writing and what it declares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from coursesignal.errors import FieldError, Invalid
from coursesignal.plugin import Permission

CORE_SCOPES = (
    "analytics:read",
    "analytics:write",
    "connections:read",
    "connections:write",
    "people:write",
    "plugins:read",
    "plugins:write",
    "tenant:read",
    "tenant:write",
    "tracking:read",
)


class Declared(Protocol):
    @property
    def permissions(self) -> Sequence[Permission]: ...


class InstalledPlugin(Protocol):
    """What the registry knows of a plugin."""

    @property
    def slug(self) -> str: ...
    @property
    def declared(self) -> Declared: ...


def known_scopes(plugins: Iterable[InstalledPlugin]) -> list[str]:
    """Every scope there is on this installation, sorted."""
    found = set(CORE_SCOPES)
    for plugin in plugins:
        own = ("read", "write", *(permission.slug for permission in plugin.declared.permissions))
        found |= {f"{plugin.slug}:{name}" for name in own}
    return sorted(found)


def check_scopes(wanted: Sequence[str], plugins: Iterable[InstalledPlugin]) -> list[str]:
    """The wanted scopes, each once; raises Invalid naming the unknown ones."""
    known = known_scopes(plugins)
    errors = [
        FieldError(f"scopes.{number}", f"There is no scope {scope[:80]!r}. Known: {', '.join(known)}.")
        for number, scope in enumerate(wanted)
        if scope not in known
    ]
    if errors:
        raise Invalid(errors=errors)
    return sorted(set(wanted))
