"""Numbers and times as people read them; the filters of the templates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from coursesignal.plugin import JourneyBucket, decimal_amount

SYMBOLS = {
    "USD": "$",
    "EUR": "€",
    "GBP": "£",
    "JPY": "¥",
    "INR": "₹",
    "BRL": "R$",
    "AUD": "A$",
    "CAD": "CA$",
    "NZD": "NZ$",
}
NOTHING = "–"
"""Shown where there is nothing to divide by."""
STATUSES = {
    "paid": "Paid",
    "partially_refunded": "Partly refunded",
    "refunded": "Refunded",
    "cancelled": "Cancelled",
}


def money(amount_minor: int | None, currency: str) -> str:
    """Such as $1,234.50, -€3.00, BHD 1.250; NOTHING for None."""
    if amount_minor is None:
        return NOTHING
    whole, dot, rest = decimal_amount(abs(amount_minor), currency).partition(".")
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{SYMBOLS.get(currency, currency + ' ')}{int(whole):,}{dot}{rest}"


def round_money(amount_minor: int, currency: str) -> str:
    """Such as $2,000 on an axis, where cents only matter when there are any."""
    whole, dot, rest = money(amount_minor, currency).partition(".")
    return whole if not rest.strip("0") else f"{whole}{dot}{rest}"


def rate(value: float | None) -> str:
    """Such as 12.5 %; NOTHING for None."""
    return NOTHING if value is None else f"{value:,.1f} %"


def trend(value: float | None) -> dict[str, str] | None:
    """Arrow, words and class of a change in percent; None when there is nothing to compare with."""
    if value is None:
        return None
    if abs(value) < 0.05:
        return {"arrow": "→", "words": "no change", "kind": "flat"}
    kind = "up" if value > 0 else "down"
    return {"arrow": "↑" if value > 0 else "↓", "words": f"{kind} {abs(value):,.1f} %", "kind": kind}


def status(value: str) -> str:
    """A purchase's status in a word."""
    return STATUSES.get(value, value)


def share(part: int, whole: int) -> str:
    """A width in percent, 0 to 100."""
    return f"{max(0.0, min(100.0, 100 * part / whole)):.2f}" if whole > 0 else "0"


def moment(zone: str) -> Callable[[datetime], str]:
    """A filter that writes a time in ``zone``: "23 Nov 2026, 15:04"."""
    place = ZoneInfo(zone)

    def written(value: datetime) -> str:
        local = value.astimezone(place)
        return f"{local.day} {local:%b %Y, %H:%M}"

    return written


def span(hours: float | None) -> str:
    """Such as "40 minutes", "5 hours", "3.5 days"; NOTHING for None."""
    if hours is None:
        return NOTHING
    if hours < 1 / 120:
        return "a minute"
    for below, size, unit in ((1.0, 1 / 60, "minute"), (48.0, 1.0, "hour"), (float("inf"), 24.0, "day")):
        if hours < below:
            number = f"{hours / size:.0f}" if unit != "day" else f"{hours / size:.1f}".removesuffix(".0")
            return f"{number} {unit}{'' if number == '1' else 's'}"
    raise AssertionError(hours)


def days(bucket: JourneyBucket) -> str:
    """Such as "less than 1", "1 to 3", "30 or more": of whole days."""
    if bucket.to_days is None:
        return f"{bucket.from_days} or more"
    return f"less than {bucket.to_days}" if bucket.from_days == 0 else f"{bucket.from_days} to {bucket.to_days}"


FILTERS: dict[str, Callable[..., Any]] = {
    "money": money,
    "round_money": round_money,
    "rate": rate,
    "trend": trend,
    "status": status,
    "share": share,
    "span": span,
    "days": days,
}
