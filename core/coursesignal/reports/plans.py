"""The answers of the reports on payment plans and on products."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec

from coursesignal.reports.base import Report

Standing = Literal["completed", "active", "at_risk", "unknown"]
"""``unknown``: the platform does not say how much is to be paid in all."""
Risk = Literal["", "overdue", "payment_failed", "cancelled", "disputed"]


class PlanRow(Report, frozen=True, kw_only=True):
    """One purchase that is paid in parts. What the platform does not tell is null, never guessed."""

    id: UUID
    platform: str
    product: str
    email: str | None
    purchased_at: datetime
    standing: Standing
    risk: Risk
    payments_made: int
    payments_planned: int | None
    charged_minor: int
    refunded_minor: int
    collected_minor: int
    """Charged less refunded and disputed."""
    contracted_minor: int | None
    """As the platform says it; else as many payments as planned, each as large as the first."""
    outstanding_minor: int | None
    """Contracted and not charged yet."""
    at_risk_minor: int | None
    """What is outstanding, when ``risk`` says why it may not come."""
    next_due_at: datetime | None
    """As the platform says it; else one interval between the last two payments after the last one."""
    next_due_is_estimated: bool


class PlanTotals(Report, frozen=True, kw_only=True):
    """Over all plans of the report; of money in unknown plans only what was collected."""

    plans: int
    unknown: int
    collected_minor: int
    contracted_minor: int
    outstanding_minor: int
    at_risk_minor: int


class PlansReport(Report, frozen=True, kw_only=True):
    """Plans of purchases made in the period, as they are now: those at risk first, then by what is outstanding."""

    from_: date = msgspec.field(name="from")
    to: date
    currency: str
    hint: str | None
    rows: tuple[PlanRow, ...]
    totals: PlanTotals


class ProductSource(Report, frozen=True, kw_only=True):
    """What the model credits to a source of one product's net revenue."""

    source: str
    revenue_minor: int


class ProductRow(Report, frozen=True, kw_only=True):
    """One product; its part of every charge, refunds and renewals too."""

    product: str
    """Empty where the platform names no item."""
    external_id: str
    platform: str
    charged_minor: int
    refunded_minor: int
    revenue_minor: int
    """Charged less refunded."""
    purchases: int
    sources: tuple[ProductSource, ...]
    unattributed_minor: int
    """``revenue_minor`` less what is credited to ``sources``."""


class ProductTotals(Report, frozen=True, kw_only=True):
    """All charges of the period: exactly what the rows add up to."""

    charged_minor: int
    refunded_minor: int
    revenue_minor: int


class ProductsReport(Report, frozen=True, kw_only=True):
    """What was sold in the period by product, most net revenue first."""

    from_: date = msgspec.field(name="from")
    to: date
    currency: str
    model: str
    hint: str | None
    rows: tuple[ProductRow, ...]
    totals: ProductTotals
