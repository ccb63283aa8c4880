"""Stripe's objects, as far as they are read here. API versions differ, so nearly everything may be missing.

Names follow stripe-python 15 (API version 2026-06-24.dahlia); what older versions had instead is marked "until basil"
(2025-03-31.basil).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

Amount = Annotated[int, Meta(ge=0, le=2**52)]
Signed = Annotated[int, Meta(ge=-(2**52), le=2**52)]
Seconds = Annotated[int, Meta(ge=0, le=32_503_680_000)]
"""Unix time; until the year 3000."""
Id = Annotated[str, Meta(min_length=1, max_length=255)]
Metadata = Mapping[str, Any]
T = TypeVar("T")


class Ref(msgspec.Struct, frozen=True):
    """An object that was asked to be expanded."""

    id: Id


Link = Id | Ref | None
"""Another object: its id, or the object itself."""


class Listed(msgspec.Struct, Generic[T], frozen=True):
    """A list inside an object, or a page of one."""

    data: list[T]
    has_more: bool = False


def id_of(link: Link) -> str | None:
    """The id of what is linked."""
    return link.id if isinstance(link, Ref) else link


def at(seconds: int) -> datetime:
    """A Unix time as a moment."""
    return datetime.fromtimestamp(seconds, UTC)


class Person(msgspec.Struct, frozen=True):
    """Who pays: ``billing_details``, ``customer_details``."""

    email: str | None = None
    name: str | None = None


class Price(msgspec.Struct, frozen=True):
    """What a line costs, and of which product it is."""

    id: Id | None = None
    product: Link = None


class PriceDetails(msgspec.Struct, frozen=True):
    """Price and product of an invoice's line since basil."""

    price: Link = None
    product: str | None = None


class Pricing(msgspec.Struct, frozen=True):
    """How an invoice's line came to its amount since basil."""

    price_details: PriceDetails | None = None


class Line(msgspec.Struct, frozen=True):
    """One line of a checkout session (``amount_total``) or an invoice (``amount``)."""

    id: Id
    description: str | None = None
    quantity: Amount | None = None
    amount_total: Amount | None = None
    amount: Signed | None = None
    price: Price | None = None
    pricing: Pricing | None = None


class Answer(msgspec.Struct, frozen=True):
    """What a buyer wrote or chose."""

    value: str | None = None


class Field(msgspec.Struct, frozen=True):
    """A custom field of a checkout."""

    key: str
    text: Answer | None = None
    dropdown: Answer | None = None


class Session(msgspec.Struct, frozen=True):
    """A checkout session."""

    id: Id
    mode: str = ""
    payment_status: str = ""
    created: Seconds | None = None
    amount_total: Amount | None = None
    currency: str | None = None
    payment_intent: Link = None
    invoice: Link = None
    subscription: Link = None
    customer: Link = None
    customer_email: str | None = None
    customer_details: Person | None = None
    client_reference_id: str | None = None
    metadata: Metadata | None = None
    line_items: Listed[Line] | None = None
    custom_fields: list[Field] | None = None
    livemode: bool = True


class Refund(msgspec.Struct, frozen=True):
    """Money on its way back."""

    id: Id
    amount: Amount
    currency: str
    created: Seconds
    status: str | None = None
    reason: str | None = None
    charge: Link = None
    payment_intent: Link = None


class Charge(msgspec.Struct, frozen=True):
    """One attempt to take money; ``amount_refunded`` is cumulative."""

    id: Id
    amount: Amount
    currency: str
    created: Seconds
    status: str = "succeeded"
    captured: bool = True
    amount_captured: Amount | None = None
    amount_refunded: Amount = 0
    payment_intent: Link = None
    invoice: Link = None
    """Until basil."""
    customer: Link = None
    billing_details: Person | None = None
    receipt_email: str | None = None
    metadata: Metadata | None = None
    refunds: Listed[Refund] | None = None
    """Only where it is expanded since 2022-11-15."""
    livemode: bool = True


class Movement(msgspec.Struct, frozen=True):
    """A balance transaction: what a dispute took or gave back, in the currency of settlement."""

    amount: Signed
    created: Seconds | None = None


class Dispute(msgspec.Struct, frozen=True):
    """A buyer's bank asks for the money back."""

    id: Id
    amount: Amount
    currency: str
    created: Seconds
    status: str = ""
    charge: Link = None
    payment_intent: Link = None
    balance_transactions: list[Movement] | None = None
    livemode: bool = True


class Payment(msgspec.Struct, frozen=True):
    """What paid an invoice: a payment intent, an old charge, or a record of money that came another way."""

    type: str = ""
    payment_intent: Link = None
    charge: Link = None


class Transitions(msgspec.Struct, frozen=True):
    """When an object reached a status."""

    paid_at: Seconds | None = None


class InvoicePayment(msgspec.Struct, frozen=True):
    """A payment of an invoice, since basil."""

    id: Id
    currency: str
    payment: Payment
    invoice: Link = None
    status: str = "paid"
    amount_paid: Amount | None = None
    created: Seconds | None = None
    status_transitions: Transitions | None = None
    livemode: bool = True


class SubscriptionDetails(msgspec.Struct, frozen=True):
    """The subscription an invoice is for, with its metadata."""

    subscription: Link = None
    metadata: Metadata | None = None


class Parent(msgspec.Struct, frozen=True):
    """What made an invoice, since basil."""

    subscription_details: SubscriptionDetails | None = None


class Invoice(msgspec.Struct, frozen=True):
    """A bill."""

    id: Id
    currency: str
    created: Seconds
    amount_paid: Amount = 0
    billing_reason: str | None = None
    customer: Link = None
    customer_email: str | None = None
    customer_name: str | None = None
    lines: Listed[Line] | None = None
    metadata: Metadata | None = None
    status_transitions: Transitions | None = None
    parent: Parent | None = None
    payments: Listed[InvoicePayment] | None = None
    """Only where it is expanded."""
    subscription: Link = None
    """Until basil, as the next four."""
    subscription_details: SubscriptionDetails | None = None
    payment_intent: Link = None
    charge: Link = None
    paid_out_of_band: bool = False
    livemode: bool = True


class Subscription(msgspec.Struct, frozen=True):
    """An agreement to pay again and again."""

    id: Id
    customer: Link = None
    created: Seconds | None = None
    ended_at: Seconds | None = None
    canceled_at: Seconds | None = None
    metadata: Metadata | None = None
    livemode: bool = True
