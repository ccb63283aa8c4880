"""Purchases: in a list, and each with all that explains its numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from coursesignal.reports.base import Report

PurchaseStatus = Literal["paid", "partially_refunded", "refunded", "cancelled"]


class PurchaseLine(Report, frozen=True, kw_only=True):
    """A purchase in a list; ``amount_minor`` is all that was charged for it, ``source`` the touch with the most credit."""

    id: UUID
    platform: str
    amount_minor: int
    refunded_minor: int
    currency: str
    product: str
    email: str | None
    source: str | None
    channel: str | None
    purchased_at: datetime
    status: PurchaseStatus
    matched: bool
    match: str = "unmatched"
    """How the buyer was found: "email" surely, "probable" by the browser that was at the checkout, "unmatched" not at all."""


class RecentPurchases(Report, frozen=True, kw_only=True, omit_defaults=True):
    """Purchases, newest first; ``next_cursor`` is absent on the last page."""

    items: tuple[PurchaseLine, ...]
    next_cursor: str | None = None


class ItemLine(Report, frozen=True, kw_only=True):
    """One thing that was bought; the amount is null when the platform gives only a total."""

    external_id: str
    title: str
    quantity: int
    amount_minor: int | None


class ChargeLine(Report, frozen=True, kw_only=True):
    """Money that moved; negative when it went back."""

    id: UUID
    external_id: str
    kind: str
    amount_minor: int
    currency: str
    occurred_at: datetime


class Identifier(Report, frozen=True, kw_only=True):
    """One thing by which a person is known, and how we came to know it."""

    kind: str
    value: str
    evidence: str
    confidence: str
    first_seen_at: datetime


class PersonLine(Report, frozen=True, kw_only=True):
    """Who bought, and the evidence."""

    id: UUID
    email: str | None
    name: str | None
    first_seen_at: datetime
    identifiers: tuple[Identifier, ...]


class PathTouch(Report, frozen=True, kw_only=True):
    """One touch before the purchase; only those ``in_window`` can be credited."""

    id: UUID
    visitor_id: UUID
    occurred_at: datetime
    source: str
    channel: str
    medium: str
    campaign: str
    content: str
    term: str
    referrer: str
    landing_url: str
    is_direct: bool
    in_window: bool


class TouchCredit(Report, frozen=True, kw_only=True):
    """A model's share for one touch: of all charges and refunds of the purchase."""

    touch_id: UUID
    source: str
    channel: str
    medium: str
    campaign: str
    weight: float
    amount_minor: int


class ModelCredits(Report, frozen=True, kw_only=True):
    """What one model makes of the purchase: credited + unattributed = charged − refunded."""

    model: str
    name: str
    default: bool
    credited_minor: int
    unattributed_minor: int
    touches: tuple[TouchCredit, ...]


class PurchaseClaim(Report, frozen=True, kw_only=True):
    """What the buyer, their coupon or the platform says of where the sale came from; never a touch, and credited nothing."""

    kind: Literal["survey", "coupon", "platform"]
    source: str
    answer: str
    """As it was said."""
    evidence: str
    """"api", "event", "coupon", or the platform that told it."""
    occurred_at: datetime


class PurchaseDetail(PurchaseLine, frozen=True, kw_only=True):
    """One purchase with all that explains its numbers."""

    net_minor: int
    external_keys: tuple[str, ...]
    gift_recipient: str | None
    cancelled_at: datetime | None
    items: tuple[ItemLine, ...]
    charges: tuple[ChargeLine, ...]
    person: PersonLine | None
    lookback_days: int
    path: tuple[PathTouch, ...]
    claims: tuple[PurchaseClaim, ...] = ()
    credits: tuple[ModelCredits, ...]
