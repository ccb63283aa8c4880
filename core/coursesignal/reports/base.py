"""What the answers of several reports have in common."""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

ReportPeriod = Literal["7d", "30d", "90d", "all"] | tuple[date, date]
"""A named range that ends today; the first and last day, both included; or two aware datetimes, half-open."""


class Report(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base class of every answer."""


class CurrencyTotal(Report, frozen=True, kw_only=True):
    """What came in in a currency that is not the report's."""

    currency: str
    revenue_minor: int
    refunded_minor: int
    net_revenue_minor: int
    purchases: int


class Insight(Report, frozen=True, kw_only=True):
    """What every one of these reports begins with; ``hint`` says in words why there is nothing to see, when there is nothing."""

    from_: date = msgspec.field(name="from")
    to: date
    currency: str
    model: str
    hint: str | None
