"""Teachable's webhooks, as an object or an array of them. Money comes from Transaction events, never from Sale or Enrollment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from coursesignal.plugin import Contact, Item, PlatformEvent, PurchaseFacts
from coursesignal_teachable.money import Key, Transaction, email_of, events_of, in_utc, purchase_keys, reversal_of


class Envelope(msgspec.Struct, frozen=True):
    """What every webhook is wrapped in; ``id`` is the object's, ``hook_event_id`` the event's."""

    type: str
    object: msgspec.Raw
    id: Key | None = None
    created: str | None = None
    hook_event_id: Key | None = None


def envelopes(body: bytes) -> Sequence[Envelope]:
    """The events in ``body``. Raises msgspec.ValidationError or msgspec.DecodeError."""
    several = body.lstrip()[:1] == b"["
    return msgspec.json.decode(body, type=list[Envelope]) if several else [msgspec.json.decode(body, type=Envelope)]


def delivery_id(body: bytes) -> str | None:
    """Names the delivery, equal on each retry. ``hook_event_id`` alone is not trusted: the one genuine capture has a 1 there."""
    told = [(e.type, e.id, e.created, e.hook_event_id) for e in envelopes(body)]
    if any(created is None and event is None for _, _, created, event in told):
        return None
    return msgspec.json.encode(told).decode()


def parse(body: bytes, received_at: datetime) -> Sequence[PlatformEvent]:
    """What a webhook tells; nothing for events that are not about purchases.

    Raises msgspec.ValidationError or ValueError for a body that cannot be read.
    """
    events: list[PlatformEvent] = []
    for envelope in envelopes(body):
        read = READERS.get(envelope.type)
        if read is not None:
            events += read(bytes(envelope.object), _moment(envelope, received_at))
    return events


def _moment(envelope: Envelope, received_at: datetime) -> datetime:
    return in_utc(msgspec.convert(envelope.created, datetime)) if envelope.created else received_at


class _User(msgspec.Struct, frozen=True):
    id: Key | None = None
    email: str | None = None
    name: str | None = None
    src: str | None = None
    first_touch: Any = None
    last_touch: Any = None


class _Product(msgspec.Struct, frozen=True):
    id: Key | None = None
    name: str | None = None


class _Ref(msgspec.Struct, frozen=True):
    id: Key | None = None
    product: _Product | None = None
    code: str | None = None


class _Told(Transaction, frozen=True):
    """A pushed transaction: the row, its buyer and its sale."""

    user: _User | None = None
    sale: _Ref | None = None


class _Sale(msgspec.Struct, frozen=True):
    """A sale: anybody enrolled in a product, free, paid or by hand."""

    id: Key
    created_at: datetime | None = None
    user_id: Key | None = None
    user: _User | None = None
    product: _Product | None = None
    course: _Product | None = None
    coupon: _Ref | None = None
    affiliate: _Ref | None = None
    transactions: list[_Ref] | None = None


def _transaction_created(body: bytes, at: datetime) -> Sequence[PlatformEvent]:
    told = _of_sale(msgspec.json.decode(body, type=_Told))
    return events_of(
        told, _contact(told.user, told.user_id), _items(told.sale.product if told.sale else None), at, None
    )


def _transaction_refunded(body: bytes, at: datetime) -> Sequence[PlatformEvent]:
    """No genuine body was ever seen: what it tells for certain is booked, the rest comes with the next sync."""
    told = _of_sale(msgspec.json.decode(body, type=_Told))
    contact = _contact(told.user, told.user_id)
    if told.refunded_at is None or not told.amount_refunded or (told.final_price is None and told.charge is None):
        return [_noted(told, contact, at)]
    reversal = reversal_of(told, at, None)
    return [_noted(told, contact, at)] if reversal is None else [reversal]


def _noted(told: _Told, contact: Contact, at: datetime) -> PurchaseFacts:
    hints = {"refund": "announced, its amount comes with the next sync"}
    return PurchaseFacts(
        purchase_keys=purchase_keys(told), occurred_at=_sold_at(told, at), contact=contact, hints=hints
    )


def _sold_at(told: Transaction, at: datetime) -> datetime:
    return in_utc(told.purchased_at or told.created_at or at)


def _sale_created(body: bytes, at: datetime) -> Sequence[PlatformEvent]:
    """Facts only: a sale may be free, and its money arrives with its transactions."""
    sale = msgspec.json.decode(body, type=_Sale)
    transactions = tuple(f"transaction:{t.id}" for t in sale.transactions or () if t.id is not None)
    facts = PurchaseFacts(
        purchase_keys=(f"sale:{sale.id}", *transactions),
        occurred_at=in_utc(sale.created_at or at),
        contact=_contact(sale.user, sale.user_id),
        items=_items(sale.product or sale.course),
        hints=_hints(sale),
    )
    return [facts]


def _subscription_canceled(body: bytes, at: datetime) -> Sequence[PlatformEvent]:
    """The sale will not be renewed; what was paid stays paid."""
    sale = msgspec.json.decode(body, type=_Sale)
    contact = _contact(sale.user, sale.user_id)
    return [PurchaseFacts(purchase_keys=(f"sale:{sale.id}",), occurred_at=at, contact=contact, cancelled_at=at)]


def _of_sale(told: _Told) -> _Told:
    """``told`` with its sale's id, wherever the body has it."""
    if told.sale_id is None and told.sale is not None and told.sale.id is not None:
        return msgspec.structs.replace(told, sale_id=told.sale.id)
    return told


def _contact(user: _User | None, user_id: Key | None) -> Contact:
    user = user or _User()
    key = user.id if user.id is not None else user_id
    return Contact(
        email=email_of(user.email), external_id=f"user:{key}" if key is not None else None, name=user.name or None
    )


def _items(product: _Product | None) -> tuple[Item, ...]:
    if product is None or product.id is None:
        return ()
    return (Item(external_id=str(product.id), title=product.name or f"Product {product.id}"),)


def _hints(sale: _Sale) -> Mapping[str, str]:
    coupon, affiliate = sale.coupon or _Ref(), sale.affiliate or _Ref()
    hints: dict[str, Any] = {"coupon": coupon.code or coupon.id, "affiliate": affiliate.id}
    if sale.user:
        hints |= {"source": sale.user.src, "first_touch": sale.user.first_touch, "last_touch": sale.user.last_touch}
    return {name: str(value) for name, value in hints.items() if value}


READERS: Mapping[str, Callable[[bytes, datetime], Sequence[PlatformEvent]]] = {
    "Transaction.created": _transaction_created,
    "Transaction.refunded": _transaction_refunded,
    "Sale.created": _sale_created,
    "Sale.subscription_canceled": _subscription_canceled,
}
"""Of Teachable's 20 events the ones about purchases; Enrollment events say nothing more, a bundle sends several."""
