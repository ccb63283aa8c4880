"""Reading addresses as the web sends them: never raises, never lower-cases what a tenant may need literally."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache, lru_cache
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from publicsuffixlist import PublicSuffixList

from coursesignal.tracking.data import sections

MAX_PARAMETERS = 200
REMEMBERED = 4096
"""How many addresses each of these functions remembers: most visits come to few pages from few places."""

PERSONAL_PARAMETERS = frozenset(
    {
        "cs_link", "mc_eid", "_kx", "_hsenc", "ck_subscriber_id", "email", "e-mail", "email_address", "mkt_tok", "vero_id", "__s",
        "ml_subscriber", "ml_subscriber_hash", "oly_enc_id", "oly_anon_id", "subscriber_id",
    }
)  # fmt: skip
"""Parameters that identify a person: stripped from stored addresses."""
_MARKERS = (
    "cs_link",
    "mc_eid",
    "_kx",
    "_hsenc",
    "mail",
    "mkt_tok",
    "vero_id",
    "__s",
    "subscriber",
    "oly_",
    "@",
    "%40",
    "%5f",
    "%6",
)
"""Lower-case text without which an address holds nothing personal: most are told at a glance."""
# Looked for from the "@" on: from any letter on, a long text would be read again from each of its letters.
_ADDRESS = re.compile(r"(?<=[^@\s/])@[^@\s/]+\.[^@\s/.]{2,}")
_SHARED_SUFFIXES = frozenset(ending for endings in sections("shared_suffixes.txt").values() for ending in endings)


@lru_cache(maxsize=REMEMBERED)
def host_of(url: str) -> str:
    """The lower-case host name, empty when there is none or it cannot be read."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


@lru_cache(maxsize=REMEMBERED)
def path_of(url: str) -> str:
    """The path without query and fragment; "/" for none, empty for an address that cannot be read."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts.path or ("/" if parts.netloc else "")


def without_www(host: str) -> str:
    """The host as people call it."""
    return host.removeprefix("www.")


def host_matches(host: str, names: Collection[str]) -> bool:
    """Whether ``host`` is one of ``names`` or a subdomain of one."""
    while host:
        if host in names:
            return True
        host = host.partition(".")[2]
    return False


def parameters(url: str) -> Mapping[str, str]:
    """First non-empty value of every parameter, names in lower case; those of the fragment fill what the query leaves open."""
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, max_num_fields=MAX_PARAMETERS) if parts.query else []
        if "=" in parts.fragment:
            pairs += parse_qsl(parts.fragment.rpartition("?")[2], max_num_fields=MAX_PARAMETERS)
    except ValueError:
        return {}
    found: dict[str, str] = {}
    for name, value in pairs:
        # A percent-encoded NUL passed the gate as text; it cannot be stored.
        found.setdefault(name.lower(), value.replace("\x00", "").strip())
    return found


@lru_cache(maxsize=REMEMBERED)
def strip_personal(url: str) -> str:
    """The address without parameters that identify a person or hold an e-mail address; the rest stays byte for byte."""
    lowered = url.lower()
    if not any(marker in lowered for marker in _MARKERS):
        return url
    rest, hash_sign, fragment = url.partition("#")
    path, question_mark, query = rest.partition("?")
    kept = _impersonal(query)
    address = path + (question_mark if kept or not query else "") + kept
    return address + hash_sign + (_impersonal(fragment) if "=" in fragment else fragment)


def _impersonal(query: str) -> str:
    """The query's parameters that say nothing about who somebody is, as they were written."""
    return "&".join(pair for pair in query.split("&") if not _is_personal(pair))


def _is_personal(pair: str) -> bool:
    name, _, value = pair.partition("=")
    name = unquote_plus(name.rpartition("?")[2]).strip().lower()
    return name in PERSONAL_PARAMETERS or bool(_ADDRESS.search(unquote_plus(value)))


def spelling(url: str, name: str) -> str:
    """How the address writes a parameter that is ``name`` in lower case."""
    found = re.search(rf"[?&#]({re.escape(name)})=", url, re.IGNORECASE)
    return found[1] if found else name


@cache
def _public_suffixes() -> PublicSuffixList:
    """The list as the installed package has it; it never asks the network."""
    return PublicSuffixList()


@lru_cache(maxsize=REMEMBERED)
def registrable(host: str) -> str:
    """The part of a host name that one owner registered: shop.example.co.uk → example.co.uk."""
    if "." not in host or host.rpartition(".")[2].isdigit() or ":" in host:
        return host
    found = _public_suffixes().privatesuffix(host) or host
    if found in _SHARED_SUFFIXES and host != found:
        return host.removesuffix("." + found).rpartition(".")[2] + "." + found
    return str(found)


def same_site(one: str, other: str) -> bool:
    """Whether two host names belong to one owner."""
    return bool(one) and registrable(one) == registrable(other)
