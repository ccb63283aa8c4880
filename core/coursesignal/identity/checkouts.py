"""Checkout pages: visits to them show which browser may have bought, where nobody gave an address."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache

MATCH = "core.match_purchases"
"""The job that looks again whose these purchases may be, and credits them."""
PAGES = ("*checkout*", "*thank*", "*/purchase*", "*order-confirm*", "*order-received*", "*payment*", "*enrolled*")
"""What is in the address of a page before or after paying, host and path, where the tenant names no pages of its own."""
BEFORE, AFTER = timedelta(minutes=30), timedelta(minutes=5)
"""How long before a sale its buyer may have opened a checkout page, and how long after it the page that says thanks."""
KIN = timedelta(hours=24)
"""How long the address of a network and the browser that uses it are taken for the same device."""


@lru_cache(maxsize=1024)
def page_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Matches an address of which host and path, in lower case, fit a pattern."""
    parts = [".*".join(map(re.escape, pattern.lower().split("*"))) for pattern in patterns or PAGES]
    return re.compile("|".join(f"(?:{part})" for part in parts))


def likes(patterns: Sequence[str]) -> list[str]:
    """The same for SQL's LIKE."""
    escaped = (re.sub(r"([\\%_])", r"\\\1", pattern.lower()) for pattern in patterns or PAGES)
    return [pattern.replace("*", "%") for pattern in escaped]


def place_of(url: str) -> str:
    """Host and path of an address, in lower case."""
    return url.partition("://")[2].partition("?")[0].partition("#")[0].lower()
