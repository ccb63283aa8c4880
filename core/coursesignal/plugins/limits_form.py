"""A connection's limits and schedule as a form: empty is what the connector says, which stands beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coursesignal.connections.records import ConnectionRow
from coursesignal.connections.schemas import LimitsChange
from coursesignal.errors import FieldError, Invalid
from coursesignal.plugin import Connector
from coursesignal.plugins.fields import Field


@dataclass(frozen=True, slots=True)
class Limit:
    """One input; ``attribute`` is its name in LimitsChange."""

    name: str
    attribute: str
    label: str
    least: int
    most: int
    help: str


LIMITS = (
    Limit("requestsPerMinute", "requests_per_minute", "Requests a minute", 1, 100_000, "At most."),
    Limit(
        "monthlyRequests", "monthly_requests", "Requests a month", 1, 2_000_000_000, "When they are used up, it waits."
    ),
    Limit("syncMinutes", "sync_minutes", "Minutes between syncs", 5, 1440, "How often it asks for what is new."),
    Limit("rescanDays", "rescan_days", "Days to look back", 1, 365, "Once a day, for refunds that come late."),
)


def limit_fields(connector: Connector[Any], row: ConnectionRow, sent: Mapping[str, Any] | None) -> list[Field]:
    """The inputs, with what was just sent or what is set."""
    usual = {
        "requests_per_minute": connector.requests_per_minute,
        "monthly_requests": connector.monthly_requests,
        "sync_minutes": round(connector.sync_every.total_seconds() / 60),
        "rescan_days": connector.rescan_days,
    }
    return [_field(limit, getattr(row, limit.attribute), usual[limit.attribute], sent) for limit in LIMITS]


def _field(limit: Limit, own: int | None, usual: int | None, sent: Mapping[str, Any] | None) -> Field:
    value = str(sent.get(limit.name, "")) if sent is not None else "" if own is None else str(own)
    empty = "no limit" if usual is None else f"{usual:,}"
    return Field(limit.name, limit.label, f"{limit.help} Empty: {empty}.", "number", required=False, value=value)


def limits_entered(form: Mapping[str, Any]) -> LimitsChange:
    """What the browser sent; raises Invalid that names every field that is wrong."""
    values, wrong = dict[str, int | None](), []
    for limit in LIMITS:
        text = re.sub(r"[\s,.]", "", str(form.get(limit.name, "")))
        if not text:
            values[limit.attribute] = None
        elif re.fullmatch(r"[0-9]{1,10}", text) and limit.least <= int(text) <= limit.most:
            values[limit.attribute] = int(text)
        else:
            words = f"Enter a whole number from {limit.least:,} to {limit.most:,}, or nothing."
            wrong.append(FieldError(limit.name, words))
    if wrong:
        raise Invalid("The limits were not saved.", errors=wrong)
    return LimitsChange(**values)
