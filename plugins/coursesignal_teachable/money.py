"""A Teachable transaction as money: ``final_price`` in the buyer's currency, never mixed with ``charge``, which is in USD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from coursesignal.plugin import Charge, Contact, Item, PlatformEvent, PurchaseFacts, RefundTotal

Key = int | str
Cents = Annotated[int, Meta(ge=-(2**52), le=2**52)]
RefundsIn = Literal["usd", "buyer"]
USD = "USD"


class Transaction(msgspec.Struct, frozen=True):
    """A row of ``/transactions``; many fields are null in practice. Refunds and chargebacks change the row."""

    id: Key
    user_id: Key | None = None
    pricing_plan_id: Key | None = None
    sale_id: Key | None = None
    purchased_at: datetime | None = None
    created_at: datetime | None = None
    charge: Cents | None = None
    final_price: Cents | None = None
    currency: str | None = None
    has_chargeback: bool | None = None
    coupon_id: Key | None = None
    affiliate_id: Key | None = None
    refunded_at: datetime | None = None
    amount_refunded: Cents | None = None


def email_of(text: str | None) -> str | None:
    """An e-mail address, None for what is none."""
    address = (text or "").strip()
    return address if "@" in address else None


def in_utc(at: datetime) -> datetime:
    """``at`` in UTC; without an offset it already is."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def currency_of(text: str | None) -> str:
    """An ISO 4217 code; raises ValueError for anything else."""
    code = (text or "").strip().upper()
    if len(code) != 3 or not code.isascii() or not code.isalpha():
        raise ValueError(f"{text!r} is no currency")
    return code


def price(row: Transaction) -> tuple[int, str]:
    """What the buyer paid: ``final_price`` with ``currency``, or where they are missing ``charge`` in USD."""
    if row.final_price is not None and row.currency:
        return row.final_price, currency_of(row.currency)
    if row.charge is not None:
        return row.charge, USD
    raise ValueError(f"transaction {row.id} tells no amount")


def purchase_keys(row: Transaction) -> tuple[str, ...]:
    """Renewals and instalments share the sale."""
    sale = (f"sale:{row.sale_id}",) if row.sale_id is not None else ()
    return (f"transaction:{row.id}", *sale)


def events_of(
    row: Transaction, contact: Contact, items: Sequence[Item], seen_at: datetime, refunds_in: RefundsIn | None
) -> Sequence[PlatformEvent]:
    """The charge of a row and what became of it since; facts alone for a free one."""
    amount, currency = price(row)
    at = in_utc(row.purchased_at or row.created_at or seen_at)
    keys, hints = purchase_keys(row), _hints(row)
    if amount <= 0:
        return [PurchaseFacts(purchase_keys=keys, occurred_at=at, contact=contact, items=tuple(items), hints=hints)]
    charge = Charge(
        external_id=str(row.id),
        kind="sale",
        amount_minor=amount,
        currency=currency,
        occurred_at=at,
        purchase_keys=keys,
        contact=contact,
        items=tuple(items),
        hints=hints,
    )
    reversal = reversal_of(row, seen_at, refunds_in)
    return [charge] if reversal is None else [charge, reversal]


def reversal_of(row: Transaction, seen_at: datetime, refunds_in: RefundsIn | None) -> RefundTotal | None:
    """What went back of a row's price in all; None when nothing did, or when the row does not tell how much."""
    amount, currency = price(row)
    total = amount if row.has_chargeback else refunded(row, amount, currency, refunds_in)
    if not total or amount <= 0:
        return None
    return RefundTotal(
        charge_external_id=str(row.id),
        total_minor=min(total, amount),
        currency=currency,
        occurred_at=in_utc(row.refunded_at or seen_at),
        purchase_keys=purchase_keys(row),
        kind="dispute" if row.has_chargeback else "refund",
    )


def refunded(row: Transaction, amount: int, currency: str, refunds_in: RefundsIn | None) -> int | None:
    """How much of ``amount`` was refunded, in ``currency``.

    In which currency ``amount_refunded`` is told is not documented. A full refund is clear in either; a partial one of a sale
    in another currency than USD follows ``refunds_in``, and is None where that is unknown.
    """
    told = row.amount_refunded or 0
    if told <= 0:
        return 0
    if currency == USD or refunds_in == "buyer":
        return told
    if told == row.charge:
        return amount
    if refunds_in is None or not row.charge:
        return None
    return round(amount * told / row.charge)


def _hints(row: Transaction) -> Mapping[str, str]:
    hints = {"coupon": row.coupon_id, "affiliate": row.affiliate_id}
    return {name: str(value) for name, value in hints.items() if value}
