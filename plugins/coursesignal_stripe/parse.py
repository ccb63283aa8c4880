"""Stripe's webhooks: one event each, with the object it happened to as it was then. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from coursesignal.plugin import PlatformEvent
from coursesignal_stripe.objects import (
    Charge,
    Dispute,
    Invoice,
    InvoicePayment,
    Refund,
    Seconds,
    Session,
    Subscription,
    at,
)
from coursesignal_stripe.translate import (
    charge_events,
    charge_refunded,
    dispute_events,
    invoice_events,
    invoice_payment_events,
    refund_events,
    session_events,
    subscription_ended,
)


class Data(msgspec.Struct, frozen=True):
    """What happened to which object."""

    object: msgspec.Raw


class Event(msgspec.Struct, frozen=True):
    """A snapshot event. A thin one (``v2.core.event``) has another ``object`` and no data."""

    id: str
    type: str
    object: str = "event"
    created: Seconds | str | None = None
    livemode: bool | None = None
    account: str | None = None
    """Of a connected account, on a Connect platform's endpoint."""
    data: Data | None = None


def read(body: bytes) -> Event:
    """The event in ``body``. Raises msgspec.DecodeError, msgspec.ValidationError."""
    return msgspec.json.decode(body, type=Event)


def parse(body: bytes, received_at: datetime) -> Sequence[PlatformEvent]:
    """What a webhook tells; nothing for events that are not about payments, for thin ones and for other accounts'.

    Raises msgspec.ValidationError or ValueError for a body that cannot be read.
    """
    event = read(body)
    reader = READERS.get(event.type)
    if reader is None or event.object != "event" or event.account is not None:
        return []
    if event.data is None:
        raise ValueError("the event has no object")
    told_at = at(event.created) if isinstance(event.created, int) else received_at
    return reader(bytes(event.data.object), told_at, event.type)


Reader = Callable[[bytes, datetime, str], Sequence[PlatformEvent]]


def _charge(body: bytes, told_at: datetime, topic: str) -> Sequence[PlatformEvent]:
    return charge_events(msgspec.json.decode(body, type=Charge))


def _charge_refunded(body: bytes, told_at: datetime, topic: str) -> Sequence[PlatformEvent]:
    return charge_refunded(msgspec.json.decode(body, type=Charge), told_at)


def _refund(body: bytes, told_at: datetime, topic: str) -> Sequence[PlatformEvent]:
    return refund_events(msgspec.json.decode(body, type=Refund), told_at)


def _dispute(body: bytes, told_at: datetime, topic: str) -> Sequence[PlatformEvent]:
    return dispute_events(msgspec.json.decode(body, type=Dispute), told_at, topic)


def _session(body: bytes, told_at: datetime, topic: str) -> Sequence[PlatformEvent]:
    return session_events(msgspec.json.decode(body, type=Session), told_at)


def _invoice(body: bytes, told_at: datetime, topic: str) -> Sequence[PlatformEvent]:
    return invoice_events(msgspec.json.decode(body, type=Invoice), told_at)


def _invoice_payment(body: bytes, told_at: datetime, topic: str) -> Sequence[PlatformEvent]:
    return invoice_payment_events(msgspec.json.decode(body, type=InvoicePayment), told_at)


def _subscription(body: bytes, told_at: datetime, topic: str) -> Sequence[PlatformEvent]:
    return subscription_ended(msgspec.json.decode(body, type=Subscription), told_at)


READERS: Mapping[str, Reader] = {
    "checkout.session.completed": _session,
    "checkout.session.async_payment_succeeded": _session,
    "invoice.paid": _invoice,
    "invoice.payment_succeeded": _invoice,
    "invoice_payment.paid": _invoice_payment,
    "charge.succeeded": _charge,
    "charge.captured": _charge,
    "charge.updated": _charge,
    "charge.refunded": _charge_refunded,
    "charge.refund.updated": _refund,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.dispute.created": _dispute,
    "charge.dispute.updated": _dispute,
    "charge.dispute.funds_withdrawn": _dispute,
    "charge.dispute.funds_reinstated": _dispute,
    "charge.dispute.closed": _dispute,
    "customer.subscription.deleted": _subscription,
}
"""Every event that moves money or says whose it is."""
ASKED_FOR = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "invoice.paid",
    "invoice_payment.paid",
    "charge.succeeded",
    "charge.captured",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "charge.dispute.closed",
    "customer.subscription.deleted",
)
"""What a creator is asked to tick; the others say the same again, or are old names."""
