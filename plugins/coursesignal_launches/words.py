"""Numbers, times and phases as people read them; the filters of the templates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import jinja2

from coursesignal.plugin import decimal_amount

NOTHING = "–"
PHASES = {"pre_launch": "Pre-launch", "cart_open": "Cart open", "last_day": "Last day", "post": "After the close"}
STATUSES = {"active": "running now", "upcoming": "to come", "completed": "over"}
PACES = {
    "ahead": "ahead of an even pace",
    "on_pace": "on an even pace",
    "behind": "behind an even pace",
    "reached": "reached",
    "missed": "not reached",
    "not_started": "not begun",
}


def money(minor: int | None, currency: str) -> str:
    """Such as 12,345.00 USD; NOTHING for None."""
    return NOTHING if minor is None else f"{Decimal(decimal_amount(minor, currency)):,} {currency}"


def rate(value: float | None) -> str:
    """Such as 12.5 %."""
    return NOTHING if value is None else f"{value:,.1f} %"


def count(value: int) -> str:
    return f"{value:,}"


def moment(zone: str) -> Callable[[datetime], str]:
    """Writes a time of ``zone``: "23 Nov 2026, 15:04"."""
    place = ZoneInfo(zone)

    def written(at: datetime) -> str:
        local = at.astimezone(place)
        return f"{local.day} {local:%b %Y, %H:%M}"

    return written


def share(part: float, whole: float) -> str:
    """A width in percent, 0 to 100."""
    return f"{max(0.0, min(100.0, 100 * part / whole)):.2f}" if whole > 0 else "0"


@cache
def templates() -> jinja2.Environment:
    """The plugin's own, with these words."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(money=money, rate=rate, count=count, share=share)
    environment.globals.update(PHASES=PHASES, STATUSES=STATUSES, PACES=PACES)
    return environment
