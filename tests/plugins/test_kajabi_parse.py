"""What each documented Kajabi payload means. The bodies are in ``payloads/kajabi``; their sources are named beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from coursesignal.plugin import (
    Charge,
    Contact,
    Item,
    PlatformEvent,
    PurchaseFacts,
    WebhookRejected,
    WebhookRequest,
)
from coursesignal_kajabi.connector import KajabiConnector
from coursesignal_kajabi.paging import Body
from coursesignal_kajabi.refunds import sale_of
from coursesignal_kajabi.resources import Resource
from coursesignal_kajabi.settings import KajabiCredentials
from coursesignal_kajabi.translate import Known, order_items, purchase_facts, purchase_keys, transaction_event

PAYLOADS = Path(__file__).parent / "payloads" / "kajabi"
RECEIVED = datetime(2026, 3, 1, 13, tzinfo=UTC)
SOLD = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
PAT = Contact(email="pat@example.test", external_id="customer:71", name="Pat Example")
MEMBER = Contact(email="pat@example.test", external_id="member:71", name="Pat Example")
OFFER = Item(external_id="33", title="Example Offer")
BUYER, UNTITLED = Contact(external_id="customer:71"), Item(external_id="33", title="Offer 33")

DOCUMENTED: dict[str, tuple[str, Sequence[PlatformEvent]]] = {
    "api_payment_succeeded": (
        "Kajabi/public_api_docs openapi.yaml, payment_succeeded_sample (offer null, no purchases relation)",
        [
            Charge(
                external_id="9001", kind="sale", amount_minor=19_900, currency="USD", occurred_at=SOLD,
                purchase_keys=("transaction:9001",), contact=PAT,
            )
        ],
    ),
    "api_purchase": (
        "Kajabi/public_api_docs openapi.yaml, purchase_sample",
        [
            PurchaseFacts(
                purchase_keys=("purchase:501",), occurred_at=datetime(2026, 3, 1, 12, tzinfo=UTC), contact=PAT, items=(OFFER,)
            )
        ],
    ),
    "api_order_created": (
        "Kajabi/public_api_docs openapi.yaml, order_created_sample: the money is the transaction's, counted once",
        [
            Charge(
                external_id="9001", kind="sale", amount_minor=1_000, currency="USD", occurred_at=SOLD,
                purchase_keys=("transaction:9001", "order:800"), contact=PAT,
                items=(Item(external_id="33", title="Example Offer", amount_minor=1_000),),
            )
        ],
    ),
    "ui_purchase_created": (
        "captured UI event (ingles-ahorita/CRM test-kajabi-webhook.sh): flat under payload, integer ids",
        [
            Charge(
                external_id="9001", kind="sale", amount_minor=4_900, currency="USD", occurred_at=SOLD,
                purchase_keys=("transaction:9001", "subscription:6001", "member:71/offer:33"), contact=MEMBER,
                items=(OFFER,), hints={"coupon": "10OFF"},
            )
        ],
    ),
    "ui_payment_succeeded": (
        "keys that independent consumers of the UI event read: nested at the top level, no time",
        [
            Charge(
                external_id="9001", kind="sale", amount_minor=4_900, currency="USD", occurred_at=RECEIVED,
                purchase_keys=("transaction:9001", "member:71/offer:33"), contact=MEMBER, items=(OFFER,),
            )
        ],
    ),
    "ui_test_event": ("the UI's \"send test\": offer and member 0, never a sale", []),
    "ui_order_created": ("UI cart event: carries no transaction id, so it books no money", []),
}  # fmt: skip


DOCUMENTED_PAGES: dict[str, tuple[str, Sequence[object]]] = {
    "transactions_page": (
        "Kajabi/public_api_docs openapi.yaml, GET /v1/transactions (v1.1.0, with purchases): a renewal and its refund",
        [
            Charge(
                external_id="9001", kind="renewal", amount_minor=4_900, currency="USD",
                occurred_at=datetime(2026, 2, 3, 10, 11, 12, tzinfo=UTC), purchase_keys=("transaction:9001", "purchase:501"),
                contact=BUYER, items=(UNTITLED,),
            ),
            Charge(
                external_id="9002", kind="refund", amount_minor=4_900, currency="USD",
                occurred_at=datetime(2026, 2, 5, 9, tzinfo=UTC), purchase_keys=("transaction:9002", "purchase:501"),
                contact=BUYER, items=(UNTITLED,),
            ),
        ],
    ),
    "purchases_page": (
        "Kajabi/public_api_docs openapi.yaml, GET /v1/purchases: one-time with its price, and a subscription that ended",
        [
            PurchaseFacts(
                purchase_keys=("purchase:501", "transaction:9001"), occurred_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
                contact=BUYER, items=(msgspec.structs.replace(UNTITLED, amount_minor=19_900),),
                hints={"coupon": "10OFF", "source": "newsletter"},
            ),
            PurchaseFacts(
                purchase_keys=("purchase:502",), occurred_at=datetime(2026, 3, 1, 12, tzinfo=UTC), contact=BUYER,
                items=(Item(external_id="34", title="Offer 34"),), hints={"referrer": "https://blog.example.com/"},
                cancelled_at=datetime(2026, 4, 1, 12, tzinfo=UTC),
            ),
        ],
    ),
    "order_items_page": (
        "Kajabi/public_api_docs openapi.yaml, GET /v1/order_items: item_id is a number, the offer's",
        [
            Item(external_id="33", title="Example Offer", amount_minor=1_000),
            Item(external_id="34", title="Workbook", quantity=2, amount_minor=600),
        ],
    ),
}  # fmt: skip


def meaning(name: str) -> list[object]:
    """What the rows of a page mean, nothing else being known."""
    (path,) = PAYLOADS.glob(f"**/{name}.json")
    rows = msgspec.json.decode(path.read_bytes(), type=Body).data
    match name:
        case "transactions_page":
            return [event for row in rows for event in transaction_event(row, Known())]
        case "purchases_page":
            return [purchase_facts(row, Known(), priced=True) for row in rows]
        case _:
            return list(order_items(rows))


@pytest.mark.parametrize("name", DOCUMENTED_PAGES)
def test_a_documented_page_means_what_its_source_says(name: str) -> None:
    assert meaning(name) == list(DOCUMENTED_PAGES[name][1]), DOCUMENTED_PAGES[name][0]


def request(body: bytes) -> WebhookRequest:
    return WebhookRequest(body=body, headers={}, query={}, received_at=RECEIVED)


def parsed(name: str) -> Sequence[PlatformEvent]:
    return KajabiConnector().parse_webhook(request((PAYLOADS / f"{name}.json").read_bytes()))


def changed(name: str, **attributes: object) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text())
    body["payload"][0]["attributes"] |= attributes
    return body


def parsed_body(body: object) -> Sequence[PlatformEvent]:
    return KajabiConnector().parse_webhook(request(json.dumps(body).encode()))


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_documented_payload_means_what_its_source_says(name: str) -> None:
    assert list(parsed(name)) == list(DOCUMENTED[name][1]), DOCUMENTED[name][0]


def test_every_recorded_body_is_tested() -> None:
    assert {path.stem for path in PAYLOADS.glob("**/*.json")} == {*DOCUMENTED, *DOCUMENTED_PAGES}


def test_the_nested_variant_of_purchase_created_means_the_same_sale() -> None:
    nested = {
        "id": "x", "event": "purchase.created",
        "payload": {
            "offer": {"id": 33, "title": "Example Offer", "type": "single"},
            "member": {"id": 71, "email": "pat@example.test", "name": "Pat Example"},
            "transaction": {"id": 9001, "amount_paid": 4900, "currency": "USD"},
        },
    }  # fmt: skip
    (charge,) = parsed_body(nested)
    assert isinstance(charge, Charge)
    assert (charge.external_id, charge.amount_minor, charge.contact) == ("9001", 4_900, MEMBER)
    assert charge.purchase_keys == ("transaction:9001",), "a one-time purchase is not tied to others of the same offer"


def test_ids_may_be_numbers_or_text() -> None:
    body = changed("api_payment_succeeded")
    body["payload"][0]["id"] = 9001
    body["payload"][0]["relationships"]["customer"]["data"]["id"] = 71
    body["payload"][1]["id"] = 71
    assert list(parsed_body(body)) == list(DOCUMENTED["api_payment_succeeded"][1])


def test_a_payload_is_read_by_type_and_not_by_position() -> None:
    body = changed("api_payment_succeeded")
    body["payload"].reverse()
    assert list(parsed_body(body)) == list(DOCUMENTED["api_payment_succeeded"][1])


@pytest.mark.parametrize(
    "relation",
    [{"offer": {"data": {"id": "33", "type": "offers"}}}, {"offers": {"data": [{"id": 33, "type": "offers"}]}}],
)
def test_a_purchase_names_its_offer_singular_or_plural(relation: dict[str, Any]) -> None:
    body = changed("api_purchase")
    relations = body["payload"][0]["relationships"]
    del relations["offer"]
    relations |= relation
    (facts,) = parsed_body(body)
    assert isinstance(facts, PurchaseFacts)
    assert facts.items == (OFFER,)


@pytest.mark.parametrize("attributes", [
    {"action": "free_purchase"}, {"action": "test"}, {"action": "subscription_update"}, {"action": "something_new"},
    {"state": "failed"}, {"state": "initialized"}, {"amount_in_cents": 0},
])  # fmt: skip
def test_what_moved_no_money_is_not_booked(attributes: dict[str, object]) -> None:
    assert list(parsed_body(changed("api_payment_succeeded", **attributes))) == []


@pytest.mark.parametrize(("action", "kind"), [
    ("charge", "sale"), ("subscribe", "sale"), ("subscription_charge", "renewal"), ("refund", "refund"), ("dispute", "dispute"),
])  # fmt: skip
@pytest.mark.parametrize("amount", [19_900, -19_900])
def test_an_action_decides_the_kind_and_the_amount_has_no_sign(action: str, kind: str, amount: int) -> None:
    (charge,) = parsed_body(changed("api_payment_succeeded", action=action, amount_in_cents=amount))
    assert isinstance(charge, Charge)
    assert (charge.kind, charge.amount_minor) == (kind, 19_900)


def test_a_missing_currency_is_dollars_as_kajabi_says() -> None:
    (charge,) = parsed_body(changed("api_payment_succeeded", currency=None))
    assert isinstance(charge, Charge)
    assert charge.currency == "USD"


def test_a_refund_shares_the_sales_purchase_and_before_june_2026_its_buyer_and_offer() -> None:
    page = json.loads((PAYLOADS / "transactions_page.json").read_text())["data"]

    def keys(strip: bool) -> list[set[str]]:
        found = []
        for row in page:
            relations = {k: v for k, v in row["relationships"].items() if not (strip and k == "purchases")}
            resource = json.dumps({**row, "relationships": relations}).encode()
            (charge,) = transaction_event(decode(resource), Known())
            found.append(set(charge.purchase_keys))
        return found

    assert set.intersection(*keys(strip=False)) == {"purchase:501"}
    assert set.intersection(*keys(strip=True)) == {"customer:71/offer:33"}


def row(key: str, action: str, amount: int, day: int, **relations: Any) -> Resource:
    """A transaction of March 2026, of customer 71."""
    attributes = {"action": action, "state": "succeeded", "amount_in_cents": amount, "currency": "USD"}
    related = {"customer": {"data": {"id": "71"}}, **{name: {"data": data} for name, data in relations.items()}}
    body = {
        "id": key,
        "type": "transactions",
        "attributes": {**attributes, "created_at": f"2026-03-{day:02}T12:00:00Z"},
    }
    return decode(json.dumps({**body, "relationships": related}).encode())


def test_without_purchases_one_time_payments_stand_alone_and_a_subscription_is_one() -> None:
    offer = {"id": "33", "type": "offers"}
    keys = [
        purchase_keys(row("1", "charge", 2_500, 1, offer=offer)),
        purchase_keys(row("2", "charge", 2_500, 2, offer=offer)),
        purchase_keys(row("3", "subscribe", 4_900, 3, offer=offer)),
        purchase_keys(row("4", "subscription_charge", 4_900, 4, offer=offer)),
    ]
    assert keys == [(), (), ("customer:71/offer:33",), ("customer:71/offer:33",)]


@pytest.mark.parametrize(("amount", "day", "offer", "sale"), [
    (2_500, 9, "33", "3"),
    (1_000, 9, "33", "3"),
    (2_500, 2, "33", "1"),
    (9_900, 9, "33", "2"),
    (9_901, 9, "33", None),
    (2_500, 9, "34", "4"),
    (2_500, 9, None, "4"),
    (700, 9, "35", None),
])  # fmt: skip
def test_a_refund_that_names_no_purchase_is_of_the_buyers_last_payment_that_fits(
    amount: int, day: int, offer: str | None, sale: str | None
) -> None:
    history = [
        row("1", "charge", 2_500, 1, offer={"id": "33"}),
        row("2", "charge", 9_900, 3, offer={"id": "33"}),
        row("3", "charge", 2_500, 4, offer={"id": "33"}),
        row("4", "charge", 2_500, 5, offer={"id": "34"}),
        row("5", "refund", -2_500, 6, offer={"id": "33"}),
        row("6", "charge", 2_500, 20, offer={"id": "33"}),
    ]
    refund = row("9", "refund", -amount, day, offer={"id": offer} if offer else None)
    found = sale_of(refund, history)
    assert (found.key if found else None) == sale
    if found:
        (charge,) = transaction_event(refund, Known(), sale=found)
        assert f"transaction:{sale}" in charge.purchase_keys


@pytest.mark.parametrize(
    ("told", "payments"), [(3, 3), ("3", 3), (1, None), (None, None), ("many", None), (True, None)]
)
def test_a_plan_is_told_by_how_many_payments_there_will_be(told: object, payments: int | None) -> None:
    (facts,) = parsed_body(changed("api_purchase", multipay_payments_made=1, payment_plan_total_payments=told))
    assert isinstance(facts, PurchaseFacts)
    assert (facts.plan.payments if facts.plan else None) == payments


def test_where_a_purchase_says_it_came_from_is_kept_as_a_hint() -> None:
    (facts,) = parsed_body(
        changed("api_purchase", coupon_code="SPRING", source="newsletter", referrer="blog.example.com")
    )
    assert isinstance(facts, PurchaseFacts)
    assert facts.hints == {"coupon": "SPRING", "source": "newsletter", "referrer": "blog.example.com"}


def test_an_affiliate_of_the_uis_webhook_is_kept_as_a_hint() -> None:
    body = json.loads((PAYLOADS / "ui_purchase_created.json").read_text())
    body["payload"]["affiliate_user_id"] = 900
    (charge,) = parsed_body(body)
    assert isinstance(charge, Charge)
    assert charge.hints["affiliate"] == "900"


@pytest.mark.parametrize("name", DOCUMENTED)
def test_webhooks_made_in_the_settings_are_refused_where_that_was_chosen(name: str) -> None:
    body = (PAYLOADS / f"{name}.json").read_bytes()
    chosen = KajabiCredentials(client_id="id", client_secret="secret", refuse_ui_webhooks=True)
    KajabiConnector().verify_webhook(request(body), KajabiCredentials(client_id="id", client_secret="secret"))
    if name.startswith("api_") or name == "ui_order_created":
        KajabiConnector().verify_webhook(request(body), chosen)
    else:
        with pytest.raises(WebhookRejected):
            KajabiConnector().verify_webhook(request(body), chosen)


def decode(body: bytes) -> Resource:
    return msgspec.json.decode(body, type=Resource)


def test_a_free_trial_start_is_noted_and_not_booked() -> None:
    body = json.loads((PAYLOADS / "ui_payment_succeeded.json").read_text())
    body["payment_transaction"]["amount_paid"] = 0
    (facts,) = parsed_body(body)
    assert isinstance(facts, PurchaseFacts)


@pytest.mark.parametrize("event", ["form_submission", "tag_added", "tag_removed", "contact.created"])
def test_topics_about_something_else_mean_nothing(event: str) -> None:
    assert list(parsed_body({"id": "hash_id", "event": event, "payload": [{"whatever": 1}]})) == []


@pytest.mark.parametrize("body", [
    b"", b"null", b"[]", b'"x"', b"{}", b"\xff\xfe", b"{", b"[" * 100_000, b'{"event": 7}',
    b'{"event": "payment_succeeded"}', b'{"event": "payment_succeeded", "payload": {}}',
    json.dumps(changed("api_payment_succeeded", amount_in_cents=2**70)).encode(),
    json.dumps(changed("api_payment_succeeded", amount_in_cents="12.50")).encode(),
    json.dumps(changed("api_payment_succeeded", created_at="yesterday")).encode(),
    json.dumps(changed("api_payment_succeeded", currency="dollars")).encode(),
    b'{"event": "payment.succeeded", "offer": {"id": 3}, "member": {"id": 4}}',
])  # fmt: skip
def test_an_unreadable_body_is_said_to_be_unreadable(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        KajabiConnector().parse_webhook(request(body))
