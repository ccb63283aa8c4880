"""The webhooks made in Kajabi's UI: ``purchase.created`` is flat, ``payment.succeeded`` nests at the top level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from coursesignal.plugin import Charge, Contact, Item, PlatformEvent, PurchaseFacts
from coursesignal_kajabi.resources import Cents, Key, Quantity, email_of, in_utc
from coursesignal_kajabi.translate import currency_of

ONE_TIME = ("single", "one_time", "one-time", "free", "")


class _Offer(msgspec.Struct, frozen=True):
    id: Key | None = None
    title: str | None = None
    type: str | None = None


class _Member(msgspec.Struct, frozen=True):
    id: Key | None = None
    email: str | None = None
    name: str | None = None


class _Payment(msgspec.Struct, frozen=True):
    id: Key | None = None
    amount_paid: Cents | None = None
    currency: str | None = None
    created_at: datetime | None = None


class _Payload(msgspec.Struct, frozen=True):
    """``purchase.created``: flat keys, or the groups a newer help page lists."""

    offer_id: Key | None = None
    offer_title: str | None = None
    offer_type: str | None = None
    member_id: Key | None = None
    member_email: str | None = None
    member_name: str | None = None
    transaction_id: Key | None = None
    transaction_created_at: datetime | None = None
    amount_paid: Cents | None = None
    currency: str | None = None
    quantity: Quantity | None = None
    coupon_code: str | None = None
    affiliate_user_id: Key | None = None
    subscription_id: Key | None = None
    offer: _Offer | None = None
    member: _Member | None = None
    payment_transaction: _Payment | None = None
    transaction: _Payment | None = None


class _PurchaseCreated(msgspec.Struct, frozen=True):
    payload: _Payload


class Sold(msgspec.Struct, frozen=True):
    """One payment told by the UI's webhooks, whichever way it nests."""

    offer: _Offer
    member: _Member
    payment: _Payment
    quantity: Quantity | None = None
    subscription_id: Key | None = None
    hints: Mapping[str, str] = {}


def purchase_created(body: bytes, received_at: datetime) -> Sequence[PlatformEvent]:
    """A first payment: of a one-time purchase, a subscription or a payment plan."""
    payload = msgspec.json.decode(body, type=_PurchaseCreated).payload
    flat = Sold(
        offer=_Offer(payload.offer_id, payload.offer_title, payload.offer_type),
        member=_Member(payload.member_id, payload.member_email, payload.member_name),
        payment=_Payment(payload.transaction_id, payload.amount_paid, payload.currency, payload.transaction_created_at),
        quantity=payload.quantity,
        subscription_id=payload.subscription_id,
        hints=_hints(payload),
    )
    return _events(_nested(payload, flat), received_at)


def payment_succeeded(body: bytes, received_at: datetime) -> Sequence[PlatformEvent]:
    """Any successful charge, renewals included; the body tells no time, so it happened when it came."""
    told = msgspec.json.decode(body, type=_Payload)
    return _events(_nested(told, Sold(_Offer(), _Member(), _Payment(), hints=_hints(told))), received_at)


def _nested(payload: _Payload, sold: Sold) -> Sold:
    """``sold``, with the groups where the payload has them."""
    return msgspec.structs.replace(
        sold,
        offer=payload.offer or sold.offer,
        member=payload.member or sold.member,
        payment=payload.payment_transaction or payload.transaction or sold.payment,
    )


def _events(sold: Sold, received_at: datetime) -> Sequence[PlatformEvent]:
    if _is_test(sold):
        return []
    if sold.payment.id is None or sold.payment.amount_paid is None:
        raise ValueError("the payment has no transaction id or no amount")
    at = in_utc(sold.payment.created_at or received_at)
    keys = (f"transaction:{sold.payment.id}", *_purchase_keys(sold))
    if sold.payment.amount_paid <= 0:  # the start of a free trial, a free grant
        return [
            PurchaseFacts(
                purchase_keys=keys, occurred_at=at, contact=_contact(sold), items=_items(sold), hints=sold.hints
            )
        ]
    charge = Charge(
        external_id=str(sold.payment.id),
        kind="sale",  # a renewal looks the same here; its transaction, when synced, says so
        amount_minor=sold.payment.amount_paid,
        currency=currency_of(sold.payment.currency),
        occurred_at=at,
        purchase_keys=keys,
        contact=_contact(sold),
        items=_items(sold),
        hints=sold.hints,
    )
    return [charge]


def _is_test(sold: Sold) -> bool:
    """Whether somebody pressed "send test": offer and member 0."""
    return str(sold.offer.id) == "0" or str(sold.member.id) == "0"


def _purchase_keys(sold: Sold) -> tuple[str, ...]:
    """Charges of one subscription share buyer and offer; one-time purchases of the same offer stay apart."""
    keys = [f"subscription:{sold.subscription_id}"] if sold.subscription_id is not None else []
    if (sold.offer.type or "") not in ONE_TIME and None not in (sold.offer.id, sold.member.id):
        keys.append(f"member:{sold.member.id}/offer:{sold.offer.id}")
    return tuple(keys)


def _contact(sold: Sold) -> Contact:
    member = sold.member
    key = f"member:{member.id}" if member.id is not None else None
    return Contact(email=email_of(member.email), external_id=key, name=member.name or None)


def _items(sold: Sold) -> tuple[Item, ...]:
    if sold.offer.id is None:
        return ()
    title = sold.offer.title or f"Offer {sold.offer.id}"
    return (Item(external_id=str(sold.offer.id), title=title, quantity=sold.quantity or 1),)


def _hints(payload: _Payload) -> Mapping[str, str]:
    affiliate: Any = payload.affiliate_user_id or ""
    hints = {"coupon": payload.coupon_code or "", "affiliate": str(affiliate)}
    return {name: text for name, text in hints.items() if text}
