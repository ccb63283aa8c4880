"""Stripe's objects as stripe-python 15 (API version 2026-06-24.dahlia) describes them, and as older versions had them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from coursesignal.testing.platforms.books import Buyer, FakeSale

Row = dict[str, Any]
BASIL = "2025-03-31"
"""Since then invoices and charges do not name each other; an invoice's payments do."""
BARE_CHARGES = "2022-11-15"
"""Since then a charge does not list its refunds by itself."""
IN_WHOLE, IN_HUNDREDTHS = frozenset({"MGA"}), frozenset({"ISK", "UGX"})


def units(amount_minor: int, currency: str) -> int:
    """ISO minor units in Stripe's: MGA whole, ISK and UGX with two zeros."""
    if currency in IN_WHOLE:
        return amount_minor // 100
    return amount_minor * 100 if currency in IN_HUNDREDTHS else amount_minor


def seconds(at: datetime) -> int:
    return int(at.timestamp())


def person(buyer: Buyer) -> Row:
    return {"email": buyer.email, "name": buyer.name, "phone": None, "address": None}


def session(
    sale: FakeSale, links: Mapping[str, str | None], reference: str | None, metadata: Row, livemode: bool
) -> Row:
    """A finished checkout; ``links`` are its customer, payment_intent, invoice and subscription."""
    free = sale.amount_minor == 0
    return {
        "id": f"cs_{sale.purchase_id}", "object": "checkout.session",
        "mode": "subscription" if sale.product.recurring else "payment",
        "status": "complete", "payment_status": "no_payment_required" if free else "paid", "created": seconds(sale.at) - 90,
        "amount_total": units(sale.amount_minor, sale.currency), "amount_subtotal": units(sale.amount_minor, sale.currency),
        "currency": sale.currency.lower(), "client_reference_id": reference, "metadata": metadata, "livemode": livemode,
        "customer_email": None, "customer_details": person(sale.buyer), "payment_link": "plink_1", "custom_fields": [], **links,
    }  # fmt: skip


def session_lines(sale: FakeSale) -> Row:
    """What ``expand[]=data.line_items`` adds."""
    line = {
        "id": f"li_{sale.id}", "object": "item", "description": sale.product.title, "quantity": 1,
        "amount_total": units(sale.amount_minor, sale.currency), "currency": sale.currency.lower(), "price": price(sale),
    }  # fmt: skip
    return {
        "object": "list",
        "data": [line],
        "has_more": False,
        "url": f"/v1/checkout/sessions/cs_{sale.purchase_id}/line_items",
    }


def price(sale: FakeSale) -> Row:
    return {"id": f"price_{sale.product.id}", "object": "price", "product": f"prod_{sale.product.id}"}


def charge(sale: FakeSale, livemode: bool, metadata: Row) -> Row:
    amount = units(sale.amount_minor, sale.currency)
    return {
        "id": f"ch_{sale.id}", "object": "charge", "amount": amount, "amount_captured": amount, "amount_refunded": 0,
        "captured": True, "paid": True, "refunded": False, "status": "succeeded", "currency": sale.currency.lower(),
        "created": seconds(sale.at), "payment_intent": f"pi_{sale.id}", "customer": f"cus_{sale.buyer.id}",
        "billing_details": person(sale.buyer), "receipt_email": None, "disputed": False, "metadata": metadata,
        "livemode": livemode, "description": None,
    }  # fmt: skip


def invoice(sale: FakeSale, livemode: bool, metadata: Row) -> Row:
    """A paid invoice of a subscription; its ``payments`` are shown only where they are expanded."""
    amount = units(sale.amount_minor, sale.currency)
    line = {
        "id": f"il_{sale.id}", "object": "line_item", "amount": amount, "currency": sale.currency.lower(),
        "description": sale.product.title, "quantity": 1,
        "pricing": {"type": "price_details", "price_details": {"price": price(sale)["id"], "product": price(sale)["product"]}},
    }  # fmt: skip
    details = {"subscription": f"sub_{sale.purchase_id}", "metadata": metadata}
    return {
        "id": f"in_{sale.id}", "object": "invoice", "status": "paid", "amount_paid": amount, "amount_due": amount,
        "total": amount, "currency": sale.currency.lower(), "created": seconds(sale.at), "customer": f"cus_{sale.buyer.id}",
        "billing_reason": "subscription_cycle" if sale.renewal else "subscription_create", "customer_email": sale.buyer.email,
        "customer_name": sale.buyer.name, "lines": {"object": "list", "data": [line], "has_more": False, "url": "/v1/lines"},
        "status_transitions": {"paid_at": seconds(sale.at)}, "livemode": livemode, "metadata": {},
        "parent": {"type": "subscription_details", "quote_details": None, "subscription_details": details},
    }  # fmt: skip


def invoice_payment(sale: FakeSale, livemode: bool) -> Row:
    amount = units(sale.amount_minor, sale.currency)
    return {
        "id": f"inpay_{sale.id}", "object": "invoice_payment", "amount_paid": amount, "amount_requested": amount,
        "currency": sale.currency.lower(), "created": seconds(sale.at), "invoice": f"in_{sale.id}", "is_default": True,
        "payment": {"type": "payment_intent", "payment_intent": f"pi_{sale.id}"}, "status": "paid",
        "status_transitions": {"paid_at": seconds(sale.at), "canceled_at": None}, "livemode": livemode,
    }  # fmt: skip


def refund(key: int, sale: FakeSale, amount_minor: int, at: datetime) -> Row:
    return {
        "id": f"re_{key}", "object": "refund", "amount": units(amount_minor, sale.currency), "charge": f"ch_{sale.id}",
        "payment_intent": f"pi_{sale.id}", "currency": sale.currency.lower(), "created": seconds(at), "status": "succeeded",
        "reason": "requested_by_customer", "metadata": {},
    }  # fmt: skip


def dispute(key: int, sale: FakeSale, amount_minor: int, at: datetime, livemode: bool, *, inquiry: bool) -> Row:
    """Money the buyer's bank took; an inquiry has taken none."""
    amount = units(amount_minor, sale.currency)
    return {
        "id": f"du_{key}", "object": "dispute", "amount": amount, "currency": sale.currency.lower(), "charge": f"ch_{sale.id}",
        "payment_intent": f"pi_{sale.id}", "created": seconds(at), "reason": "fraudulent", "livemode": livemode,
        "status": "warning_needs_response" if inquiry else "needs_response",
        "balance_transactions": [] if inquiry else [movement(key, -amount, at)],
    }  # fmt: skip


def movement(key: int, amount: int, at: datetime) -> Row:
    return {"id": f"txn_{key}_{amount}", "object": "balance_transaction", "amount": amount, "created": seconds(at)}


def subscription(sale: FakeSale, livemode: bool, metadata: Row) -> Row:
    return {
        "id": f"sub_{sale.purchase_id}", "object": "subscription", "status": "active", "customer": f"cus_{sale.buyer.id}",
        "created": seconds(sale.at), "ended_at": None, "canceled_at": None, "metadata": metadata, "livemode": livemode,
    }  # fmt: skip


def as_of(version: str, row: Row, refunds: list[Row]) -> Row:
    """``row`` as an API version has it; ``refunds`` are those of a charge."""
    shown = dict(row)
    if row["object"] == "charge":
        if version < BASIL:
            shown["invoice"] = row.get("_invoice")
        if version < BARE_CHARGES:
            shown["refunds"] = {
                "object": "list",
                "data": refunds,
                "has_more": False,
                "url": f"/v1/charges/{row['id']}/refunds",
            }
    if row["object"] == "invoice" and version < BASIL:
        shown |= _before_basil(row)
    return {name: value for name, value in shown.items() if not name.startswith("_") and value is not GONE}


GONE = object()


def _before_basil(row: Row) -> Row:
    number, details = row["id"].removeprefix("in_"), row["parent"]["subscription_details"]
    lines = [
        {**line, "price": {"id": line["pricing"]["price_details"]["price"], **_product(line)}}
        for line in row["lines"]["data"]
    ]
    for line in lines:
        del line["pricing"]
    return {
        "parent": GONE, "payment_intent": f"pi_{number}", "charge": f"ch_{number}", "subscription": details["subscription"],
        "subscription_details": {"metadata": details["metadata"]}, "lines": {**row["lines"], "data": lines},
        "paid_out_of_band": False,
    }  # fmt: skip


def _product(line: Row) -> Row:
    return {"product": line["pricing"]["price_details"]["product"]}
