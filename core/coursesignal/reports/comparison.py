"""Models beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import msgspec

from coursesignal.reports.base import Report


class ModelComparisonRow(Report, frozen=True, kw_only=True):
    """Net revenue of one source or channel by model slug, with the range over the models that credit anything."""

    name: str
    channel: str
    revenue_minor: Mapping[str, int]
    lowest_minor: int
    highest_minor: int
    spread_minor: int
    """Highest less lowest: what the choice of a model is worth here."""
    share: Mapping[str, float | None]
    """Of the net revenue, in percent; with what is unattributed a model's shares are 100."""
    lowest_share: float | None
    highest_share: float | None


class ModelComparison(Report, frozen=True, kw_only=True):
    """Every model beside every other; for each: rows + unattributed = net revenue."""

    from_: date = msgspec.field(name="from")
    to: date
    currency: str
    models: tuple[str, ...]
    rows: tuple[ModelComparisonRow, ...]
    channels: tuple[ModelComparisonRow, ...]
    """The range of every channel, whatever the rows are by."""
    unattributed_minor: Mapping[str, int]
    net_revenue_minor: int
