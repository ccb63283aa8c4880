"""Places people come from: which names and hosts mean the same source, and what kind of place it is.

Two lists together: our own, which names places as people do and knows videos, shops, assistants and apps, and the open list
(:mod:`coursesignal.tracking.open_list`), which knows thousands of search engines, networks and mail services. The longest match
decides, our own before the open list's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from coursesignal.tracking.data import sections
from coursesignal.tracking.open_list import listed
from coursesignal.tracking.urls import registrable, without_www

REMEMBERED = 16_384


class Known(NamedTuple):
    """A source we know; ``kind`` is search, social, video, shopping, ai or email, or "site" for any other."""

    name: str
    kind: str


# google.com, google.de, www.google.co.uk – but not docs.google.com, and no stranger's google.evil.example.
_GOOGLE = re.compile(r"^(?:www\.|m\.|cse\.|images\.|encrypted\.)?google\.(?:com?\.)?[a-z]{2,3}$")
_COUNTRY = re.compile(r"(?:^|\.)(?:com?|[a-z]{2})$")
# Hosts that say what they are: somebody's server of a shared network, a search engine's start page, somebody's web mail.
_FEDERATED = re.compile(r"(?:^|\.)(?:mastodon|mstdn|masto|pixelfed|lemmy|misskey|friendica|lastfm)\.[a-z.]+$|\.social$")
_SEARCH_HOST = re.compile(r"^(?:web)?(?:search(?:es)?|suche|recherche|ricerca|buscador|szukaj)\d?\..+\.")
_MAIL_HOST = re.compile(r"^(?:web|e)?mail\d{0,2}\..+\.")
# "facebook-ads", "googleads", "fb_ad".
_ADVERTISED = re.compile(r"(.+?)[-_. ]?ads?")
_ADVERTISERS = {
    "adwords": "google",
    "google-adwords": "google",
    "googleadwords": "google",
    "gads": "google",
    "microsoft-ads": "bing",
    "msads": "bing",
}


@cache
def _own() -> dict[str, Known]:
    """Our lists by host and spelling, the longer one's additions after it.

    A line is a name with its hosts; after "+" and "=" every host is a place of its own, named without its ending or as it is.
    """
    table: dict[str, Known] = {}
    for list_name in ("known_sources.txt", "more_sources.txt"):
        for kind, lines in sections(list_name).items():
            for name, spellings in _entries(lines):
                for spelling in (name, *spellings):
                    table.setdefault(spelling, Known(name, kind))
    return table


def _entries(lines: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for line in lines:
        first, *others = line.split()
        if first not in ("+", "="):
            yield first, tuple(others)
            continue
        for host in others:
            yield registrable(host).partition(".")[0] if first == "+" else host, (host,)


@cache
def _open() -> dict[str, Known | None]:
    """The open list by address, under the names of our own; None for a part of a place that is no source of its kind."""
    own = _own()
    table: dict[str, Known | None] = {}
    for address, name, kind in listed():
        ours = own.get(name)
        table.setdefault(address, Known(ours.name if ours else name, kind) if kind else None)
    return table


@cache
def _open_names() -> dict[str, Known]:
    """What people may write for a place of the open list: its name, or its host without the ending."""
    table: dict[str, Known] = {}
    for address, known in _open().items():
        if known is not None and known.kind != "email" and "/" not in address:
            table.setdefault(known.name, known)
            if address.count(".") == 1:
                table.setdefault(address.partition(".")[0], known)
    return table


@cache
def _everywhere() -> frozenset[str]:
    """Brands whose every national domain is theirs."""
    return frozenset(name for lines in sections("national_domains.txt").values() for name in lines)


@lru_cache(maxsize=REMEMBERED)
def known_host(host: str, path: str = "") -> Known | None:
    """The source behind a referrer's host name, and path where the host alone does not tell; the longest match wins."""
    host = without_www(host)
    if _GOOGLE.match(host):
        return Known("google", "search")
    own, others = _own(), _open()
    part = host
    while "." in part and (part is host or not _GOOGLE.match(part)):
        if part in own:
            return own[part]
        by_path = _by_path(part, path) if len(path) > 1 else None
        if by_path is not None:
            return by_path
        if part in others:
            return others[part]
        part = part.partition(".")[2]
    return _national(host) or _self_described(host)


def _by_path(host: str, path: str) -> Known | None:
    """A place under ``host`` that the open list knows by the first or the first two steps of its path."""
    steps = path.strip("/").lower().split("/")
    return _open().get(f"{host}/{steps[0]}") or _open().get(f"{host}/{'/'.join(steps[:2])}")


def _national(host: str) -> Known | None:
    """A brand under a country's ending that no list has: pinterest.hu."""
    brand, _, ending = registrable(host).partition(".")
    return _own().get(brand) if brand in _everywhere() and _COUNTRY.search(ending) else None


def _self_described(host: str) -> Known | None:
    """A place of which no list knows, by a host name that says what it is."""
    if _FEDERATED.search(host):
        return Known(host, "social")
    if _SEARCH_HOST.match(host):
        return Known(registrable(host), "search")
    return Known(host, "email") if _MAIL_HOST.match(host) else None


@lru_cache(maxsize=REMEMBERED)
def known_source(source: str) -> Known | None:
    """What a source written by people ("fb", "YouTube.com", "Hacker News") stands for."""
    source = source.strip().lower().replace(" ", "-")
    return _own().get(source) or known_host(source) or _open_names().get(source) or _own().get(source.replace("_", "-"))


@lru_cache(maxsize=REMEMBERED)
def advertised(source: str) -> Known | None:
    """The known place in a source that says it is advertising there: "facebook-ads", "googleads", "adwords"."""
    advertiser = _ADVERTISERS.get(source.replace(" ", "-").replace("_", "-"))
    if advertiser is not None:
        return known_source(advertiser)
    match = _ADVERTISED.fullmatch(source)
    return known_source(match[1]) if match else None
