"""What the reports on visits per day answer."""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

By = Literal["channel", "source", "medium", "campaign"]


class VisitDay(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One day: ``visitors`` are that day's own, and do not add up over days."""

    date: date
    visitors: int
    sessions: int
    pageviews: int
    opt_ins: int


class VisitRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where touches of the period came from; ``source`` where the row is of one."""

    name: str
    channel: str | None
    source: str | None
    touches: int
    opt_ins: int


class VisitTotals(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of all days and of all rows, also those left out."""

    sessions: int
    pageviews: int
    touches: int
    opt_ins: int


class DailyVisits(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every day of the period, oldest first, and where its touches came from, most touches first."""

    from_: date = msgspec.field(name="from")
    to: date
    time_zone: str
    by: By
    days: tuple[VisitDay, ...]
    rows: tuple[VisitRow, ...]
    rows_left_out: int
    totals: VisitTotals


class SourceDay(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What came from one place on one day."""

    date: date
    channel: str
    source: str
    medium: str
    campaign: str
    touches: int
    visitors: int
    opt_ins: int


class DailySources(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every day and every place that somebody came from, oldest first, most touches first."""

    from_: date = msgspec.field(name="from")
    to: date
    time_zone: str
    rows: tuple[SourceDay, ...]
