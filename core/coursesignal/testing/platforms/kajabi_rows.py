"""The JSON:API resources and webhook bodies of the fake Kajabi, shaped as its documentation shows them."""

from __future__ import annotations

import secrets
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


def purchase(sale: FakeSale) -> Row:
    attributes: Row = {
        "amount_in_cents": sale.amount_minor, "payment_type": "subscription" if sale.product.recurring else "single",
        "multipay_payments_made": None, "opt_in": False, "raw_extra_contact_information": {}, "currency": sale.currency,
        "effective_start_at": None, "deactivated_at": None, "deactivation_reason": None, "coupon_code": sale.coupon,
        "source": None, "referrer": None, "quantity": 1, "created_at": iso(sale.at), "updated_at": iso(sale.at),
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


def order(sale: FakeSale, order_id: int, item_id: int) -> list[Row]:
    """An order and its one item."""
    money = {
        "total_price_in_cents": sale.amount_minor, "subtotal_in_cents": sale.amount_minor, "sales_tax_amount_in_cents": 0,
        "discount_amount_in_cents": 0, "currency_code": sale.currency, "fulfilled_at": None, "created_at": iso(sale.at),
    }  # fmt: skip
    items = {"data": [{"id": str(item_id), "type": "order_items"}]}
    bought = {"quantity": 1, "item_type": "Offer", "item_id": sale.product.id, "title": sale.product.title, **money}
    return [
        {
            "id": str(order_id), "type": "orders", "attributes": {"order_number": order_id, **money},
            "relationships": {
                "customer": link("customers", sale.buyer.id), "order_items": items, "payment_transactions": {"data": []},
            },
        },
        {
            "id": str(item_id), "type": "order_items", "attributes": bought,
            "relationships": {"order": link("orders", order_id)},
        },
    ]  # fmt: skip


def purchase_created(sale: FakeSale) -> Row:
    """The UI's flat ``purchase.created``."""
    first, _, last = sale.buyer.name.partition(" ")
    payload = {
        "offer_id": sale.product.id, "offer_title": sale.product.title, "offer_type": _offer_type(sale),
        "offer_reference": f"kajabi_offer_{sale.product.id}", "member_id": sale.buyer.id, "member_email": sale.buyer.email,
        "member_name": sale.buyer.name, "member_first_name": first, "member_last_name": last, "transaction_id": sale.id,
        "transaction_created_at": ui_iso(sale.at), "amount_paid": sale.amount_minor,
        "amount_paid_decimal": sale.amount_minor / 100, "currency": sale.currency, "coupon_code": sale.coupon, "quantity": 1,
    }  # fmt: skip
    return {"id": secrets.token_hex(16), "event": "purchase.created", "payload": payload}


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
