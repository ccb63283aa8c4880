"""What only HTTP answers; the reports that plugins read too are in ``coursesignal.reports``."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import msgspec

from coursesignal.reports import PurchaseLine, Report


class ModelInfo(Report, frozen=True, kw_only=True):
    """An attribution model that reports can be asked for."""

    slug: str
    name: str
    description: str
    default: bool
    ready: bool
    """False for a model that learns and has not yet; it credits nobody until then."""
    problem: str | None
    """Why it could not learn last night, in words for the tenant."""
    learnt_at: datetime | None


class LedgerCredit(Report, frozen=True, kw_only=True):
    """What one touch got of a purchase's money in the period, and why; ``selected`` when it counts in the row asked for."""

    touch_id: UUID
    source: str
    channel: str
    medium: str
    campaign: str
    content: str
    landing: str
    weight: float
    amount_minor: int
    selected: bool
    reason: str


class LedgerLine(PurchaseLine, frozen=True, kw_only=True):
    """A purchase whose money moved in the period: charges − refunds = credited + unattributed, of this period alone."""

    charges_minor: int
    refunds_minor: int
    credited_minor: int
    unattributed_minor: int
    selected_minor: int
    """What counts in the row that was asked for: all that is credited when none was."""
    evidence: str
    """What ties the purchase to the visits, in words."""
    credits: tuple[LedgerCredit, ...]


class LedgerSum(Report, frozen=True, kw_only=True):
    """What the touches asked for got in one currency."""

    currency: str
    amount_minor: int
    purchases: int


class Ledger(Report, frozen=True, kw_only=True, omit_defaults=True):
    """Purchases with their credits, newest first; ``next_cursor`` is absent on the last page.

    ``selected`` is the row that was asked for, over all pages; absent when none of touches was.
    """

    from_: date = msgspec.field(name="from")
    to: date
    model: str
    items: tuple[LedgerLine, ...]
    selected: tuple[LedgerSum, ...] | None = None
    next_cursor: str | None = None


class ReconciliationRow(Report, frozen=True, kw_only=True):
    """One currency of one platform.

    Each amount is summed from its own rows, so a difference of 0 is a finding, not arithmetic.
    """

    currency: str
    platform: str
    charges_minor: int
    """Sales, renewals and instalments."""
    refunds_minor: int
    """Refunds and disputes, less disputes won."""
    credited_minor: int
    """Every credit of the model."""
    unattributed_minor: int
    """Charges and refunds that have no credit at all."""
    difference_minor: int
    """charges − refunds − credited − unattributed."""


class Reconciliation(Report, frozen=True, kw_only=True):
    """Whether every cent that moved in the period is either credited or listed as unattributed."""

    from_: date = msgspec.field(name="from")
    to: date
    model: str
    balanced: bool
    """Every difference is 0."""
    rows: tuple[ReconciliationRow, ...]
