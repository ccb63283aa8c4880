"""Slugs, time zones and currencies: what a tenant or an agency may be called and reckon in."""

from __future__ import annotations

import functools
import re
import secrets
import unicodedata
import zoneinfo

from coursesignal.errors import FieldError
from coursesignal.tenancy.currencies import CURRENCIES

SLUG_LENGTH = 48
NAME_LENGTH = 100
_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def slug_problem(slug: str, path: str = "slug") -> list[FieldError]:
    """What is wrong with a slug; nothing for a good one. One that reads like an id could be taken for another tenant's."""
    if _SLUG.fullmatch(slug) and not _UUID.fullmatch(slug):
        return []
    text = "Use 1 to 48 lower-case letters, digits and hyphens, with a letter or digit at both ends."
    return [FieldError(path, text)]


def slug_from(name: str) -> str:
    """A slug that recalls ``name``; a made-up one where nothing of it can be written in ASCII."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name.replace("'", ""))[: SLUG_LENGTH - 8].strip("-")
    return slug if slug and not slug_problem(slug) else f"team-{secrets.token_hex(4)}"


def another(slug: str) -> str:
    """``slug`` with a tail that tells it from a taken one."""
    return f"{slug[: SLUG_LENGTH - 7].rstrip('-')}-{secrets.token_hex(3)}"


def name_problem(name: str, path: str = "name") -> list[FieldError]:
    """What is wrong with a name."""
    good = 0 < len(name.strip()) <= NAME_LENGTH and not any(
        unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in name
    )
    return [] if good else [FieldError(path, f"Write a name of 1 to {NAME_LENGTH} characters, on one line.")]


def time_zone_problem(time_zone: str, path: str = "timeZone") -> list[FieldError]:
    """What is wrong with a time zone."""
    if time_zone in _time_zones():
        return []
    return [FieldError(path, "Use the IANA name of a time zone, such as Europe/Berlin or UTC.")]


def currency_problem(currency: str, path: str = "currency") -> list[FieldError]:
    """What is wrong with a currency."""
    return [] if currency in CURRENCIES else [FieldError(path, "Use an ISO 4217 code, such as USD or EUR.")]


@functools.cache
def _time_zones() -> frozenset[str]:
    """What both Python and PostgreSQL know; files beside the zones, such as ``localtime``, are none."""
    return frozenset(zone for zone in zoneinfo.available_timezones() if zone == "UTC" or "/" in zone or zone == "GMT")
