"""What each documented Stripe payload means. The bodies are in ``payloads/stripe``: invented values in the documented shapes.

"Class" is a resource class of stripe-python 15.3.1, Stripe's own description of its objects; "reference" is docs.stripe.com/api.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from coursesignal.plugin import (
    Charge,
    Contact,
    Item,
    PlatformEvent,
    PurchaseFacts,
    RefundTotal,
    WebhookRequest,
    decimal_amount,
)
from coursesignal_stripe.amounts import currency_of, minor
from coursesignal_stripe.connector import StripeConnector
from coursesignal_stripe.evidence import visitor_of
from coursesignal_stripe.parse import ASKED_FOR, READERS

PAYLOADS = Path(__file__).parent / "payloads" / "stripe"
PAID = datetime(2026, 3, 1, 12, tzinfo=UTC)
RECEIVED = PAID + timedelta(hours=1)
VISITOR = "0b0e7a52-4a3f-4a55-9c3e-6f0c2b9f7d11"
PAT = Contact(email="pat@example.test", external_id="cus_501", name="Pat Example")
CLUB = Item(external_id="prod_88", title="1 × Example Club (at $49.00 / month)", amount_minor=4_900)
MONEY = ("pi_9001", "ch_9001")


def paid(amount: int = 19_900, currency: str = "USD", **more: Any) -> Charge:
    told = {"occurred_at": PAID, "purchase_keys": MONEY, "contact": PAT, **more}
    return Charge(external_id="pi_9001", amount_minor=amount, currency=currency, **{"kind": "sale", **told})


def back(external_id: str, at: datetime, amount: int = 4_900, kind: Any = "refund") -> Charge:
    return Charge(
        external_id=external_id, kind=kind, amount_minor=amount, currency="USD", occurred_at=at, purchase_keys=MONEY,
        refund_of="pi_9001",
    )  # fmt: skip


def billed(*keys: str, **more: Any) -> PurchaseFacts:
    told = {"occurred_at": PAID, "contact": PAT, "items": (CLUB,), "hints": {"visitor_id": VISITOR}}
    return PurchaseFacts(purchase_keys=keys, **{**told, **more})


DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SESSION = ("cs_live_a1", "pi_9001")
FIRST_REFUND = back("re_1", PAID + HOUR)
TAKEN = back("du_1", PAID + 7 * DAY, 19_900, "dispute")
GIVEN_BACK = back("du_1:reinstated", PAID + 40 * DAY, 19_900, "dispute_reversal")
BUYER = Contact(email="pat@example.test", name="Pat Example")

DOCUMENTED: dict[str, tuple[str, Sequence[PlatformEvent]]] = {
    "checkout_session_completed": (
        "reference: checkout/sessions/object; class checkout.Session; payment links copy the URL's client_reference_id",
        [paid(purchase_keys=SESSION, occurred_at=PAID, hints={"visitor_id": VISITOR, "self_reported": "podcast"})],
    ),
    "checkout_session_completed_subscription": (
        "class checkout.Session: payment_intent is for mode payment; the invoice brings the first payment's money",
        [
            PurchaseFacts(
                purchase_keys=("cs_live_a1", "in_9001", "sub_501"), occurred_at=PAID, contact=PAT,
                hints={"visitor_id": VISITOR},
            )
        ],
    ),
    "checkout_session_completed_unpaid": (
        "reference: payment_status unpaid, the funds are not there yet; a reference of the creator's own is no visitor",
        [PurchaseFacts(purchase_keys=SESSION, occurred_at=PAID, contact=PAT)],
    ),
    "checkout_session_async_payment_succeeded": (
        "reference: the payment of a delayed method succeeded, days later",
        [paid(purchase_keys=SESSION, occurred_at=PAID + 3 * DAY)],
    ),
    "checkout_session_completed_free": (
        "reference: payment_status no_payment_required",
        [PurchaseFacts(purchase_keys=("cs_live_a1",), occurred_at=PAID, contact=BUYER)],
    ),
    "invoice_paid": (
        "class Invoice: the subscription is under parent, payments are only there when expanded",
        [billed("in_9001", "sub_501")],
    ),
    "invoice_paid_acacia": (
        "Invoice before 2025-03-31.basil: charge, payment_intent and subscription at the top",
        [billed("in_9001", "sub_501"), paid(4_900, purchase_keys=(*MONEY, "in_9001", "sub_501"))],
    ),
    "invoice_paid_renewal_acacia": (
        "Invoice before basil, billing_reason subscription_cycle",
        [billed("in_9001", "sub_501"), paid(4_900, kind="renewal", purchase_keys=(*MONEY, "in_9001", "sub_501"))],
    ),
    "invoice_paid_out_of_band_acacia": (
        "Invoice before basil, paid_out_of_band: marked as paid, no money went through Stripe",
        [billed("in_9001", "sub_501")],
    ),
    "invoice_payment_paid": (
        "class InvoicePayment, since basil",
        [paid(4_900, purchase_keys=("pi_9001", "in_9001"), contact=Contact())],
    ),
    "charge_succeeded": ("reference: charges/object; class Charge", [paid()]),
    "charge_succeeded_yen": ("reference: currencies, zero-decimal", [paid(5_000, "JPY")]),
    "charge_succeeded_dinar": ("reference: currencies, three-decimal: 5120 is 5.120", [paid(5_120, "KWD")]),
    "charge_captured_in_part": ("class Charge: amount_captured can be less than the amount", [paid(15_000)]),
    "charge_succeeded_uncaptured": ("class Charge: paid is also true when only authorised", []),
    "charge_refunded": (
        "class Charge: amount_refunded is cumulative; refunds are not listed since 2022-11-15",
        [
            paid(),
            RefundTotal(
                charge_external_id="pi_9001", total_minor=9_900, currency="USD", occurred_at=PAID + DAY,
                purchase_keys=MONEY,
            ),
        ],
    ),
    "charge_refunded_2022_08": (
        "Charge before 2022-11-15: refunds listed, newest first",
        [paid(), back("re_2", PAID + DAY, 5_000), FIRST_REFUND],
    ),
    "refund_created": ("reference: refunds/object; class Refund; changelog 2024-10-28: for all refunds", [FIRST_REFUND]),
    "refund_failed": (
        "class Refund: failure_balance_transaction is the adjustment that reverses the refund",
        [FIRST_REFUND, back("re_1:failed", PAID + 5 * DAY, kind="dispute_reversal")],
    ),
    "refund_created_requires_action": ("class Refund: status requires_action", []),
    "charge_dispute_created": ("reference: disputes/object; class Dispute: one movement, funds withdrawn", [TAKEN]),
    "charge_dispute_created_inquiry": ("class Dispute: warning_needs_response, no movement", []),
    "charge_dispute_funds_withdrawn": ("reference: funds removed from the account due to a dispute", [TAKEN]),
    "charge_dispute_funds_reinstated": ("class Dispute: two movements", [TAKEN, GIVEN_BACK]),
    "charge_dispute_closed_won": ("class Dispute: status won", [TAKEN, GIVEN_BACK]),
    "charge_dispute_closed_lost": ("class Dispute: status lost", [TAKEN]),
    "charge_dispute_closed_inquiry": ("class Dispute: warning_closed", []),
    "customer_subscription_deleted": (
        "reference: subscriptions/object, ended_at",
        [
            PurchaseFacts(
                purchase_keys=("sub_501",), occurred_at=PAID, contact=Contact(external_id="cus_501"),
                cancelled_at=PAID + 10 * DAY,
            )
        ],
    ),
    "payment_intent_succeeded": ("reference: events/types; its charge says the same", []),
    "account_event": ("reference: Connect events name the connected account", []),
    "thin_event": ("stripe-python tests/test_webhook.py: v2.core.event has no object", []),
}  # fmt: skip


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text())
    return found


def parsed(body: dict[str, Any]) -> Sequence[PlatformEvent]:
    request = WebhookRequest(body=json.dumps(body).encode(), headers={}, query={}, received_at=RECEIVED)
    return StripeConnector().parse_webhook(request)


def changed(name: str, **fields: Any) -> Sequence[PlatformEvent]:
    """What a payload means with fields of its object changed."""
    body = load(name)
    body["data"]["object"] |= fields
    return parsed(body)


def charges(events: Sequence[PlatformEvent]) -> list[Charge]:
    return [event for event in events if isinstance(event, Charge)]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_documented_payload_means_what_its_source_says(name: str) -> None:
    assert list(parsed(load(name))) == list(DOCUMENTED[name][1]), DOCUMENTED[name][0]


def test_every_recorded_body_is_tested_and_every_event_has_a_body() -> None:
    assert {path.stem for path in PAYLOADS.glob("*.json")} == set(DOCUMENTED)
    recorded = {load(name)["type"] for name in DOCUMENTED}
    same = {
        "invoice.payment_succeeded",
        "charge.updated",
        "charge.dispute.updated",
        "charge.refund.updated",
        "refund.updated",
    }
    assert set(READERS) - recorded == same, "these say again what another event says"
    assert set(ASKED_FOR) <= set(READERS)


def test_a_delivery_is_known_by_its_events_id() -> None:
    body = json.dumps(load("charge_succeeded")).encode()
    request = WebhookRequest(body=body, headers={}, query={}, received_at=RECEIVED)
    assert StripeConnector().delivery_id(request) == load("charge_succeeded")["id"]


FIRST_PAYMENT = ("checkout_session_completed_subscription", "invoice_paid", "invoice_payment_paid")


@pytest.mark.parametrize("told", list(permutations([*FIRST_PAYMENT, "invoice_paid_acacia"], 3)))
def test_the_first_payment_of_a_subscription_is_one_payment_whoever_tells_of_it(told: tuple[str, ...]) -> None:
    money = [charge for name in told for charge in charges(parsed(load(name)))]
    assert {(one.external_id, one.amount_minor) for one in money} == {("pi_9001", 4_900)}


def test_a_session_and_its_charge_tell_of_the_same_money() -> None:
    session, charge = charges(parsed(load("checkout_session_completed"))), charges(parsed(load("charge_succeeded")))
    assert [(one.external_id, one.amount_minor) for one in session] == [
        (one.external_id, one.amount_minor) for one in charge
    ]


def test_a_charge_without_an_intent_is_booked_under_its_own_id_and_so_are_its_refunds() -> None:
    (charge,) = charges(changed("charge_succeeded", payment_intent=None))
    (refund,) = charges(changed("refund_created", payment_intent=None))
    (dispute,) = charges(changed("charge_dispute_created", payment_intent=None))
    assert charge.external_id == refund.refund_of == dispute.refund_of == "ch_9001"
    assert charge.purchase_keys == refund.purchase_keys == ("ch_9001",)


def test_expanded_objects_are_their_ids() -> None:
    expanded = {"customer": {"id": "cus_501", "object": "customer"}, "payment_intent": {"id": "pi_9001"}}
    assert list(changed("charge_succeeded", **expanded)) == [paid()]
    assert list(changed("refund_created", charge={"id": "ch_9001"})) == [FIRST_REFUND]


def test_payments_of_an_invoice_that_are_listed_are_money_those_outside_stripe_are_none() -> None:
    listed = [
        {"id": "inpay_1", "amount_paid": 3_000, "currency": "usd", "status": "paid",
         "payment": {"type": "payment_intent", "payment_intent": "pi_1"}},
        {"id": "inpay_2", "amount_paid": 1_000, "currency": "usd", "status": "paid",
         "payment": {"type": "charge", "charge": "ch_2"}},
        {"id": "inpay_3", "amount_paid": 900, "currency": "usd", "status": "paid",
         "payment": {"type": "payment_record", "payment_record": "pr_1"}},
        {"id": "inpay_4", "amount_paid": None, "currency": "usd", "status": "open",
         "payment": {"type": "payment_intent", "payment_intent": "pi_4"}},
    ]  # fmt: skip
    money = charges(changed("invoice_paid", payments={"object": "list", "data": listed, "has_more": False}))
    assert [(one.external_id, one.amount_minor, one.kind) for one in money] == [
        ("pi_1", 3_000, "sale"),
        ("ch_2", 1_000, "sale"),
    ]


def test_lines_of_usage_and_proration_are_items_like_others() -> None:
    lines = [
        {"id": "il_1", "amount": 4_900, "description": "Club", "quantity": 7_000_000, "pricing": None},
        {"id": "il_2", "amount": -1_200, "description": None, "quantity": None},
    ]
    (facts,) = changed("invoice_paid", lines={"object": "list", "data": lines, "has_more": True})
    assert isinstance(facts, PurchaseFacts)
    told = [(item.external_id, item.title, item.quantity, item.amount_minor) for item in facts.items]
    assert told == [("il_1", "Club", 1_000_000, 4_900), ("il_2", "Product il_2", 1, None)]


@pytest.mark.parametrize(("status", "movements", "taken", "returned"), [
    ("needs_response", None, True, False), ("under_review", None, True, False), ("won", None, True, True),
    ("lost", None, True, False), ("warning_under_review", None, False, False), ("prevented", None, False, False),
    ("needs_response", [], False, False), ("lost", [], False, False),
    ("under_review", [-1], True, False), ("won", [-1, 1], True, True),
])  # fmt: skip
def test_a_dispute_takes_and_gives_what_its_movements_say_else_its_status(
    status: str, movements: list[int] | None, taken: bool, returned: bool
) -> None:
    moved = None if movements is None else [{"amount": sign * 19_900, "created": 1_772_366_400} for sign in movements]
    events = charges(changed("charge_dispute_created", status=status, balance_transactions=moved))
    assert ("dispute" in [one.kind for one in events], "dispute_reversal" in [one.kind for one in events]) == (
        taken,
        returned,
    )


def test_money_withdrawn_is_booked_even_before_its_movement_is_listed() -> None:
    assert list(changed("charge_dispute_funds_withdrawn", balance_transactions=[])) == [TAKEN]


@pytest.mark.parametrize("fields", [
    {"status": "failed"}, {"status": "pending"}, {"captured": False},
])  # fmt: skip
def test_what_was_not_taken_is_no_money(fields: dict[str, Any]) -> None:
    assert list(changed("charge_succeeded", **fields)) == []


@pytest.mark.parametrize("fields", [
    {"reason": "expired_uncaptured_charge"}, {"charge": None, "payment_intent": None}, {"status": "requires_action"},
])  # fmt: skip
def test_what_does_not_go_back_is_no_refund(fields: dict[str, Any]) -> None:
    assert list(changed("refund_created", **fields)) == []


def test_a_sum_that_may_hold_what_was_never_captured_is_left_to_the_refunds_themselves() -> None:
    assert list(changed("charge_refunded", amount_captured=15_000)) == [paid(15_000)]


@pytest.mark.parametrize(("stripe", "amount", "shown"), [
    ("usd", 1_999, "19.99"), ("jpy", 500, "500"), ("krw", 500, "500"), ("vnd", 500, "500"), ("clp", 500, "500"),
    ("kwd", 5_120, "5.120"), ("bhd", 10, "0.010"), ("jod", 5_120, "5.120"), ("omr", 5_120, "5.120"), ("tnd", 5_120, "5.120"),
    ("isk", 500, "5"), ("ugx", 500, "5"), ("mga", 500, "500.00"), ("huf", 1_045, "10.45"), ("twd", 80_045, "800.45"),
])  # fmt: skip
def test_an_amount_is_what_stripes_page_on_currencies_says(stripe: str, amount: int, shown: str) -> None:
    currency = currency_of(stripe)
    assert decimal_amount(minor(amount, currency), currency) == shown


@pytest.mark.parametrize("decimals", ["bif clp djf gnf jpy kmf krw pyg rwf vnd vuv xaf xof xpf", "bhd jod kwd omr tnd"])
def test_other_currencies_without_or_with_three_decimals_are_the_same_on_both_sides(decimals: str) -> None:
    for code in map(currency_of, decimals.split()):
        places = len(decimal_amount(0, code).partition(".")[2])
        assert (minor(1_230, code), places) == (1_230, 0 if "JPY" in decimals.upper() else 3)


@pytest.mark.parametrize("code", ["", "us", "dollar", "u$d", None, "ÄÖÜ"])
def test_what_is_no_currency_is_refused(code: str | None) -> None:
    with pytest.raises(ValueError, match="no currency"):
        currency_of(code)


@pytest.mark.parametrize(
    "text", ["", "student-42", VISITOR[:-1], "{" + VISITOR[:-2] + "}", VISITOR.replace("-", "_"), 7, None]
)
def test_a_reference_that_is_no_visitor_is_left_alone(text: object) -> None:
    assert visitor_of(text) is None


@pytest.mark.parametrize("metadata", [{"coursesignal_visitor": VISITOR}, {"cs_visitor": VISITOR.upper()}])
def test_metadata_of_a_payment_carries_the_visitor_too(metadata: dict[str, str]) -> None:
    (charge,) = charges(changed("charge_succeeded", metadata=metadata))
    assert charge.hints == {"visitor_id": VISITOR}


@pytest.mark.parametrize("fields", [
    {"amount": -5}, {"amount": "5"}, {"amount": 1.5}, {"amount": 2**60}, {"currency": "euros"}, {"created": 1e99},
    {"created": -1}, {"id": ""}, {"id": None}, {"payment_intent": 7}, {"metadata": "none"},
])  # fmt: skip
def test_a_body_that_cannot_be_understood_is_refused_to_be_kept_in_quarantine(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        changed("charge_succeeded", **fields)


def test_an_event_without_its_object_is_refused() -> None:
    with pytest.raises(ValueError, match="no object"):
        parsed({"id": "evt_1", "type": "charge.succeeded"})
