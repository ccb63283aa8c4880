"""Revenue: the period on one card, by source, by day."""

from __future__ import annotations

from datetime import date

import msgspec

from coursesignal.reports.base import CurrencyTotal, Report


class Trends(Report, frozen=True, kw_only=True):
    """Percent against the period of the same length just before; null when that was 0."""

    revenue: float | None
    """Of what was charged."""
    net_revenue: float | None
    students: float | None
    average_order: float | None
    purchases: float | None
    visitors: float | None


class Summary(Report, frozen=True, kw_only=True):
    """The period on one card. ``revenue_minor`` is what was charged, before refunds.

    With ``source`` only what the model credits to it is counted, and ``unattributed_minor`` is 0.
    """

    from_: date = msgspec.field(name="from")
    to: date
    time_zone: str
    currency: str
    model: str
    source: str | None = None
    revenue_minor: int
    refunded_minor: int
    net_revenue_minor: int
    purchases: int
    students: int
    average_order_minor: int | None
    visitors: int
    conversion_rate: float | None
    match_rate: float | None
    """Purchases whose buyer was seen as a visitor, by purchases."""
    unattributed_minor: int
    """Net; part of ``net_revenue_minor``."""
    trends: Trends
    other_currencies: tuple[CurrencyTotal, ...]


class Totals(Report, frozen=True, kw_only=True):
    """The columns of a table of sources. ``revenue_minor`` is net: charged less refunded."""

    visitors: int
    revenue_minor: int
    charged_minor: int
    refunded_minor: int
    students: int
    purchases: int
    conversion_rate: float | None
    average_order_minor: int | None
    """Charged by purchases."""
    revenue_per_visitor_minor: int | None


class SourceRow(Totals, frozen=True, kw_only=True):
    """One source; ``channel`` is the one most of its purchases came through, without any the first by name."""

    source: str
    channel: str


class Unattributed(Report, frozen=True, kw_only=True):
    """What the model can credit to no touch."""

    revenue_minor: int
    charged_minor: int
    refunded_minor: int
    purchases: int
    students: int


class SourcesReport(Report, frozen=True, kw_only=True):
    """Revenue by source, most first: rows + unattributed = totals, and totals' revenue is the summary's net.

    A model that shares a purchase among sources counts it in each of their rows; totals count it once. A visitor of two sources
    is in both rows.
    """

    from_: date = msgspec.field(name="from")
    to: date
    currency: str
    model: str
    rows: tuple[SourceRow, ...]
    unattributed: Unattributed
    totals: Totals
    other_currencies: tuple[CurrencyTotal, ...]


class DrilldownRow(SourceRow, frozen=True, kw_only=True):
    """One source by medium, campaign and content; empty text where the link carried none."""

    medium: str
    campaign: str
    content: str


class DrilldownReport(Report, frozen=True, kw_only=True):
    """One source opened; ``totals`` equal its row in :class:`SourcesReport`."""

    from_: date = msgspec.field(name="from")
    to: date
    currency: str
    model: str
    source: str
    rows: tuple[DrilldownRow, ...]
    totals: Totals


class Day(Report, frozen=True, kw_only=True):
    """One day of the tenant's zone; ``revenue_minor`` is what was charged, as in :class:`Summary`."""

    date: date
    revenue_minor: int
    refunded_minor: int
    net_revenue_minor: int
    purchases: int


class DailyReport(Report, frozen=True, kw_only=True):
    """Every day of the period, oldest first."""

    from_: date = msgspec.field(name="from")
    to: date
    time_zone: str
    currency: str
    days: tuple[Day, ...]
