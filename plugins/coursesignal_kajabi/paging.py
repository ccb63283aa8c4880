"""Where the next page of a list is. Kajabi's own pages contradict each other on ``links`` and ``meta``, so every shape is read.

A list ends where the answer says so, else at its first empty page, and never because something is odd: a page that comes twice
though there is more to come is an error that can be seen, not an end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from coursesignal.plugin import Unavailable
from coursesignal_kajabi.resources import Resource


class Repeats(Unavailable):
    """A page came twice though there is more to come."""


class Body(msgspec.Struct, frozen=True):
    """A page as it comes."""

    data: list[Resource]
    links: Mapping[str, Any] | None = None
    meta: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list; ``cursor`` is None on the last one."""

    rows: Sequence[Resource]
    cursor: str | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """Which page to ask for, how many rows came before it, and what the page before it was."""

    number: int = 1
    seen: int = 0
    before: str = ""

    @classmethod
    def of(cls, cursor: str | None) -> Place:
        """The place of a cursor; None is the beginning."""
        number, _, rest = (cursor or "1").partition(":")
        seen, _, before = rest.partition(":")
        return cls(int(number), int(seen) if seen.isdigit() else 0, before)

    def __str__(self) -> str:
        return f"{self.number}:{self.seen}:{self.before}"


def listing(path: str, place: Place, page: Body) -> Listing:
    """The page at ``place`` with the way to the next one. Raises Repeats."""
    total, came = total_of(page), fingerprint(page.data)
    if came == place.before:
        if total is None or place.seen < total:
            raise Repeats(f"Kajabi sends the same page of {path} again and again, so the rest cannot be read.")
        return Listing((), None, total)
    seen = place.seen + len(page.data)
    more = has_more(page, place.number, seen)
    going_on = more if more is not None else bool(page.data)
    return Listing(page.data, str(Place(place.number + 1, seen, came)) if going_on else None, total)


def has_more(page: Body, number: int, seen: int) -> bool | None:
    """Whether pages follow: yes if anything in the answer says so, no if something says not, None if nothing does."""
    links, meta = page.links or {}, page.meta or {}
    told = _mapping(meta.get("pagination"))
    last = [_number(meta.get("total_pages")), _page_number(links.get("last")), _page_number(told.get("last"))]
    said = [number < one for one in last if one is not None]
    if links.get("next") or told.get("next"):
        return True
    if {"first", "last", "prev", "next"} & {*links, *told}:
        said.append(False)
    total = total_of(page)
    if page.data and total is not None and seen < total:
        return True
    return any(said) if said else None


def total_of(page: Body) -> int | None:
    """How many rows the whole list has, where the answer tells."""
    meta = page.meta or {}
    found = [_number(meta.get(name)) for name in ("total_count", "total")]
    found.append(_number(_mapping(meta.get("pagination")).get("records")))
    return next((one for one in found if one is not None), None)


def fingerprint(rows: Sequence[Resource]) -> str:
    """Equal for pages with the same rows."""
    return hashlib.sha256("\n".join(row.key for row in rows).encode()).hexdigest()[:16]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int | None:
    """A count, as a number or as text."""
    if isinstance(value, bool):
        return None
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdigit()) else None


def _page_number(link: object) -> int | None:
    """The page that a link, or a bare number, leads to."""
    if not isinstance(link, str):
        return _number(link)
    numbers = parse_qs(urlsplit(link).query).get("page[number]", [link])
    return int(numbers[0]) if numbers[0].isdigit() else None
