"""What buyers say of where they came from, beside what is tracked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec

from coursesignal.reports.base import Report


class ClaimKinds(Report, frozen=True, kw_only=True):
    """Purchases by how the claim was made; one purchase can be in several."""

    survey: int
    coupon: int
    platform: int


class SelfReportedRow(Report, frozen=True, kw_only=True):
    """One claimed source beside what is tracked."""

    source: str
    kinds: ClaimKinds
    buyers: int
    purchases: int
    revenue_minor: int
    """Net revenue in the period of purchases with this claim."""
    tracked_minor: int
    """What the model credits to the same source in the period, claimed or not."""
    attributed: int
    """Of ``purchases``, those the model credits to anything."""
    agreeing: int
    """Of these, those it credits to this source too."""
    agreement_rate: float | None
    explains_minor: int
    """Net revenue of these purchases that the model credits to nothing."""
    explains_purchases: int
    """Of ``purchases``, those it credits to nothing at all."""


class SelfReportedReport(Report, frozen=True, kw_only=True):
    """Claims beside credits. A purchase with two claims is in both rows and once in the figures above them."""

    from_: date = msgspec.field(name="from")
    to: date
    currency: str
    model: str
    buyers: int
    purchases: int
    revenue_minor: int
    unattributed_minor: int
    """Everything the model credits to nothing in the period."""
    explains_minor: int
    """The part of it for which a claim names a source."""
    explains_purchases: int
    """The purchases behind it."""
    rows: Sequence[SelfReportedRow]
