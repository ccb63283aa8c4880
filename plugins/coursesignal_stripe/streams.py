"""What is fetched from Stripe, list by list: where, since when, and what a row means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from coursesignal.plugin import PlatformEvent
from coursesignal_stripe.objects import Charge, Dispute, Invoice, Refund, Session, Subscription, at
from coursesignal_stripe.parse import Event
from coursesignal_stripe.translate import (
    charge_events,
    dispute_events,
    invoice_events,
    refund_events,
    session_events,
    subscription_ended,
)

NOTHING = timedelta()


@dataclass(frozen=True, slots=True)
class Stream:
    """One list. ``reach`` is how long after it was made an object may still change what is booked of it."""

    path: str
    shape: type[Any]
    label: str
    """What a key's permission for it is called in Stripe's dashboard."""
    events: Callable[[Any, datetime], Sequence[PlatformEvent]]
    params: Mapping[str, str] = field(default_factory=dict)
    reach: timedelta = NOTHING

    def query(self, since: datetime) -> Mapping[str, str]:
        """What to ask for to find everything that changed at or after ``since``."""
        return {**self.params, "created[gte]": str(int((since - self.reach).timestamp()))}


def _charge(row: Charge, since: datetime) -> Sequence[PlatformEvent]:
    return charge_events(row)


def _session(row: Session, since: datetime) -> Sequence[PlatformEvent]:
    return session_events(row, None)


def _invoice(row: Invoice, since: datetime) -> Sequence[PlatformEvent]:
    """Bills are often paid long after they were made: what counts is when."""
    paid_at = row.status_transitions.paid_at if row.status_transitions else None
    paid = at(row.created if paid_at is None else paid_at)
    return invoice_events(row, paid) if paid >= since else []


def _refund(row: Refund, since: datetime) -> Sequence[PlatformEvent]:
    return refund_events(row, at(row.created))


def _dispute(row: Dispute, since: datetime) -> Sequence[PlatformEvent]:
    """A dispute is decided months after it began: one of which nothing moved since is not news."""
    events = dispute_events(row, at(row.created))
    return events if any(event.occurred_at >= since for event in events) else []


def _cancellation(row: Event, since: datetime) -> Sequence[PlatformEvent]:
    if row.data is None or not isinstance(row.created, int):
        return []
    return subscription_ended(msgspec.json.decode(row.data.object, type=Subscription), at(row.created))


STREAMS: Mapping[str, Stream] = {
    "charges": Stream("/v1/charges", Charge, "Charges and Refunds", _charge),
    "checkout_sessions": Stream(
        "/v1/checkout/sessions",
        Session,
        "Checkout Sessions",
        _session,
        {"status": "complete", "expand[]": "data.line_items"},
        reach=timedelta(days=1),  # a checkout stays open for a day at most
    ),
    "invoices": Stream(
        "/v1/invoices",
        Invoice,
        "Invoices",
        _invoice,
        {"status": "paid", "expand[]": "data.payments"},
        reach=timedelta(days=30),
    ),
    "refunds": Stream(
        "/v1/refunds", Refund, "Charges and Refunds", _refund, reach=timedelta(days=35)
    ),  # may fail as late
    "disputes": Stream("/v1/disputes", Dispute, "Disputes", _dispute, reach=timedelta(days=120)),
    "cancellations": Stream("/v1/events", Event, "Events", _cancellation, {"type": "customer.subscription.deleted"}),
}
"""Charges first: they are the payments that progress is counted in."""
