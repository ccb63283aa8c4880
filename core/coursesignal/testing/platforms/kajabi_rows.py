"""The JSON:API resources and webhook bodies of the fake Kajabi, shaped as its documentation shows them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from coursesignal.testing.platforms.books import Buyer, FakeSale, Product

Row = dict[str, Any]


def iso(at: datetime) -> str:
    """A time as the API writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def ui_iso(at: datetime) -> str:
    """A time as the UI's webhooks write it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.000+00:00")


def link(kind: str, key: object) -> Row:
    """A to-one relationship."""
    return {"data": {"id": str(key), "type": kind}}


def site(key: str, title: str) -> Row:
    return {"id": key, "type": "sites", "attributes": {"title": title, "subdomain": title.lower().replace(" ", "-")}}


def customer(buyer: Buyer, site_id: str) -> Row:
    attributes = {"name": buyer.name, "email": buyer.email, "external_user_id": None, "net_revenue": "0.0"}
    return {
        "id": str(buyer.id),
        "type": "customers",
        "attributes": attributes,
        "relationships": {"site": link("sites", site_id)},
    }


def offer(product: Product) -> Row:
    attributes: Row = {"title": product.title, "description": None, "internal_title": None, "free": False}
    attributes |= {
        "subscription": product.recurring,
        "one_time": not product.recurring,
        "single": not product.recurring,
    }
    return {"id": str(product.id), "type": "offers", "attributes": attributes}


PLAN = "payment_plan"
"""What ``payment_type`` a plan has is not documented."""


def purchase(sale: FakeSale, *, source: str | None = None, referrer: str | None = None, is_plan: bool = False) -> Row:
    kind = PLAN if is_plan else "subscription" if sale.product.recurring else "single"
    attributes: Row = {
        "amount_in_cents": sale.amount_minor, "payment_type": kind,
        "multipay_payments_made": 0 if is_plan else None, "opt_in": False, "raw_extra_contact_information": {},
        "currency": sale.currency,
        "effective_start_at": None, "deactivated_at": None, "deactivation_reason": None, "coupon_code": sale.coupon,
        "source": source, "referrer": referrer, "quantity": 1, "created_at": iso(sale.at), "updated_at": iso(sale.at),
    }  # fmt: skip
    relationships: Row = {"customer": link("customers", sale.buyer.id), "offer": link("offers", sale.product.id)}
    relationships |= {"transactions": {"data": []}, "products": {"data": []}}
    return {"id": str(sale.purchase_id), "type": "purchases", "attributes": attributes, "relationships": relationships}


def transaction(key: int, sale: FakeSale, action: str, amount_in_cents: int, at: datetime) -> Row:
    attributes = {
        "action": action, "state": "succeeded", "payment_type": "charge" if action == "charge" else "subscription",
        "amount_in_cents": amount_in_cents, "sales_tax_in_cents": 0, "currency": sale.currency, "currency_symbol": "$",
        "formatted_amount": f"${amount_in_cents / 100:.2f}", "created_at": iso(at),
    }  # fmt: skip
    relationships = {
        "customer": link("customers", sale.buyer.id),
        "offer": link("offers", sale.product.id),
        "purchases": {"data": [{"id": str(sale.purchase_id), "type": "purchases"}]},
    }
    return {"id": str(key), "type": "transactions", "attributes": attributes, "relationships": relationships}


def order(parts: Sequence[FakeSale], order_id: int, item_ids: Sequence[int], payments: Sequence[int]) -> list[Row]:
    """An order and its items: ``parts`` says what each thing cost."""
    first = parts[0]

    def money(amount: int) -> Row:
        return {
            "total_price_in_cents": amount, "subtotal_in_cents": amount, "sales_tax_amount_in_cents": 0,
            "discount_amount_in_cents": 0, "currency_code": first.currency, "fulfilled_at": None, "created_at": iso(first.at),
        }  # fmt: skip

    relationships: Row = {
        "customer": link("customers", first.buyer.id),
        "order_items": {"data": [{"id": str(key), "type": "order_items"} for key in item_ids]},
        "payment_transactions": {"data": [{"id": str(key), "type": "transactions"} for key in payments]},
    }
    attributes = {"order_number": order_id, **money(sum(part.amount_minor for part in parts))}
    items = [
        {
            "id": str(key), "type": "order_items", "relationships": {"order": link("orders", order_id)},
            "attributes": {"quantity": 1, "item_type": "Offer", "item_id": part.product.id, "title": part.product.title,
                           **money(part.amount_minor)},
        }
        for key, part in zip(item_ids, parts, strict=True)
    ]  # fmt: skip
    return [{"id": str(order_id), "type": "orders", "attributes": attributes, "relationships": relationships}, *items]


def purchase_created(sale: FakeSale, affiliate: str | None = None) -> Row:
    """The UI's flat ``purchase.created``."""
    first, _, last = sale.buyer.name.partition(" ")
    payload = {
        "offer_id": sale.product.id, "offer_title": sale.product.title, "offer_type": _offer_type(sale),
        "offer_reference": f"kajabi_offer_{sale.product.id}", "member_id": sale.buyer.id, "member_email": sale.buyer.email,
        "member_name": sale.buyer.name, "member_first_name": first, "member_last_name": last, "transaction_id": sale.id,
        "transaction_created_at": ui_iso(sale.at), "amount_paid": sale.amount_minor,
        "amount_paid_decimal": sale.amount_minor / 100, "currency": sale.currency, "coupon_code": sale.coupon, "quantity": 1,
        "affiliate_user_id": 900 if affiliate else 0, "affiliate_user_name": affiliate or "",
    }  # fmt: skip
    return {"id": secrets.token_hex(16), "event": "purchase.created", "payload": payload}


def nested_purchase_created(sale: FakeSale) -> Row:
    """``purchase.created`` in groups."""
    told = payment_succeeded(sale)
    groups = {name: told[name] for name in ("offer", "member", "payment_transaction")}
    return {"id": told["id"], "event": "purchase.created", "payload": groups}


def payment_succeeded(sale: FakeSale) -> Row:
    """The UI's nested ``payment.succeeded``."""
    first, _, last = sale.buyer.name.partition(" ")
    paid = {"id": sale.id, "amount_paid": sale.amount_minor, "amount_paid_decimal": sale.amount_minor / 100}
    return {
        "id": secrets.token_hex(16), "event": "payment.succeeded",
        "offer": {"id": sale.product.id, "title": sale.product.title, "type": _offer_type(sale)},
        "member": {"id": sale.buyer.id, "email": sale.buyer.email, "name": sale.buyer.name, "first_name": first,
                   "last_name": last},
        "payment_transaction": {**paid, "currency": sale.currency},
    }  # fmt: skip


def test_event() -> Row:
    """What "send test" in the UI sends: a purchase that is none."""
    payload = {
        "offer_id": 0, "member_id": 0, "offer_reference": "kajabi_offer_0", "offer_title": "Test", "transaction_id": 0,
        "member_email": "nobody@kajabi.com", "amount_paid": 100, "currency": "USD",
    }  # fmt: skip
    return {"id": "00000000-0000-4000-8000-000000000000", "event": "purchase.created", "payload": payload}


def with_integer_ids(value: Any) -> Any:
    """The same resources with numbers for ids."""
    if isinstance(value, dict):
        return {key: int(v) if key == "id" and str(v).isdigit() else with_integer_ids(v) for key, v in value.items()}
    return [with_integer_ids(item) for item in value] if isinstance(value, list) else value


def _offer_type(sale: FakeSale) -> str:
    return "subscription" if sale.product.recurring else "single"
