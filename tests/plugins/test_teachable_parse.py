"""What each documented Teachable payload means. The bodies are in ``payloads/teachable``; their sources are named beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from coursesignal.plugin import Charge, Contact, Item, PlatformEvent, PurchaseFacts, RefundTotal, WebhookRequest
from coursesignal_teachable.connector import TeachableConnector
from coursesignal_teachable.money import RefundsIn, Transaction, events_of

PAYLOADS = Path(__file__).parent / "payloads" / "teachable"
RECEIVED = datetime(2026, 3, 1, 13, tzinfo=UTC)
SOLD = datetime(2026, 3, 1, 12, tzinfo=UTC)
REFUNDED = datetime(2026, 3, 5, 9, tzinfo=UTC)
PAT = Contact(email="pat@example.test", external_id="user:501", name="Pat Example")
PLAN = Item(external_id="88", title="Full price")
SALE = PurchaseFacts(purchase_keys=("sale:60001",), occurred_at=SOLD, contact=PAT, items=(PLAN,))

DOCUMENTED: dict[str, tuple[str, Sequence[PlatformEvent]]] = {
    "sale_created_array": ("zdb/discourse-teachable-invite spec/fixtures/sale_created.json, a genuine capture", [SALE]),
    "sale_created": ("the same without the array that a toggle in Settings > Webhooks adds", [SALE]),
    "transaction_created": (
        "the keys working consumers read; the official body is cut off",
        [
            Charge(
                external_id="71001", kind="sale", amount_minor=9_900, currency="USD", occurred_at=SOLD,
                purchase_keys=("transaction:71001", "sale:60001"), contact=PAT, items=(PLAN,),
            )
        ],
    ),
    "transaction_refunded": (
        "no payload was found anywhere: the amount is unknown and not guessed",
        [
            PurchaseFacts(
                purchase_keys=("transaction:71001",), occurred_at=REFUNDED, contact=Contact(external_id="user:501"),
                hints={"refund": "announced, its amount comes with the next sync"},
            )
        ],
    ),
    "transaction_refunded_with_amount": (
        "a refund that carries the row of /transactions",
        [
            RefundTotal(
                charge_external_id="71001", total_minor=4_000, currency="USD", occurred_at=REFUNDED,
                purchase_keys=("transaction:71001", "sale:60001"),
            )
        ],
    ),
    "enrollment_created": ("docs.teachable.com available-events: per course, so it says nothing of money", []),
}  # fmt: skip


def request(body: bytes) -> WebhookRequest:
    return WebhookRequest(body=body, headers={}, query={}, received_at=RECEIVED)


def load(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def parsed_body(body: object) -> Sequence[PlatformEvent]:
    return TeachableConnector().parse_webhook(request(json.dumps(body).encode()))


def row(**fields: object) -> Transaction:
    return msgspec.convert({**load("transactions_page")["transactions"][0], **fields}, Transaction)


def events(transaction: Transaction, refunds_in: RefundsIn | None = "usd") -> Sequence[PlatformEvent]:
    return events_of(transaction, Contact(), (), RECEIVED, refunds_in)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_documented_payload_means_what_its_source_says(name: str) -> None:
    assert list(parsed_body(load(name))) == list(DOCUMENTED[name][1]), DOCUMENTED[name][0]


def test_every_recorded_body_is_tested() -> None:
    assert {path.stem for path in PAYLOADS.glob("*.json")} - {"transactions_page"} == set(DOCUMENTED)


def test_an_array_may_carry_several_events() -> None:
    both = [load("sale_created"), load("transaction_created")]
    assert [type(event) for event in parsed_body(both)] == [PurchaseFacts, Charge]


def test_a_row_of_the_api_and_its_webhook_are_the_same_money() -> None:
    (pulled,), (pushed,) = events(row()), parsed_body(load("transaction_created"))
    assert isinstance(pulled, Charge) and isinstance(pushed, Charge)
    assert (pulled.external_id, pulled.amount_minor, pulled.currency) == (pushed.external_id, 9_900, "USD")
    assert pulled.purchase_keys == pushed.purchase_keys


def test_the_buyers_price_is_never_mixed_with_the_dollars_of_charge() -> None:
    (charge,) = events(row(charge=10_890, final_price=9_900, currency="EUR"))
    assert isinstance(charge, Charge)
    assert (charge.amount_minor, charge.currency) == (9_900, "EUR")
    (dollars,) = events(row(charge=10_890, final_price=None, currency="EUR"))
    assert isinstance(dollars, Charge)
    assert (dollars.amount_minor, dollars.currency) == (10_890, "USD")


@pytest.mark.parametrize(("fields", "refunds_in", "total"), [
    ({"amount_refunded": 4_000}, None, 4_000),
    ({"amount_refunded": 9_900}, "usd", 9_900),
    ({"amount_refunded": 99_900}, "usd", 9_900),
    ({"currency": "EUR", "charge": 10_890, "amount_refunded": 10_890}, None, 9_900),
    ({"currency": "EUR", "charge": 10_890, "amount_refunded": 5_445}, "usd", 4_950),
    ({"currency": "EUR", "charge": 10_890, "amount_refunded": 5_445}, "buyer", 5_445),
])  # fmt: skip
def test_a_refund_is_told_in_all_and_in_the_buyers_currency(
    fields: dict[str, object], refunds_in: RefundsIn | None, total: int
) -> None:
    charge, refund = events(row(refunded_at="2026-03-05T09:00:00Z", **fields), refunds_in)
    assert isinstance(charge, Charge) and isinstance(refund, RefundTotal)
    assert charge.amount_minor == 9_900
    assert (refund.total_minor, refund.currency, refund.kind) == (total, charge.currency, "refund")
    assert refund.occurred_at == REFUNDED


def test_a_partial_refund_in_an_unknown_currency_is_not_guessed() -> None:
    (charge,) = events(row(currency="EUR", charge=10_890, amount_refunded=5_445), None)
    assert isinstance(charge, Charge)


def test_a_chargeback_takes_everything_back_once() -> None:
    _, dispute = events(row(has_chargeback=True, amount_refunded=4_000))
    assert isinstance(dispute, RefundTotal)
    assert (dispute.kind, dispute.total_minor) == ("dispute", 9_900)


def test_a_free_enrolment_is_noted_and_not_booked() -> None:
    (facts,) = events(row(final_price=0, charge=0))
    assert isinstance(facts, PurchaseFacts)


def test_a_delivery_is_named_by_more_than_a_number_that_may_be_constant() -> None:
    connector, seen = TeachableConnector(), set()
    for name in ("sale_created", "transaction_created", "transaction_refunded"):
        body = load(name) | {"hook_event_id": 1}
        seen.add(connector.delivery_id(request(json.dumps(body).encode())))
    assert len(seen) == 3 and None not in seen


def test_a_retry_has_the_name_of_its_first_delivery() -> None:
    connector, body = TeachableConnector(), load("sale_created")
    again = json.loads(json.dumps(body))
    again["object"]["user"]["sign_in_count"] = 2
    names = {connector.delivery_id(request(json.dumps(b).encode())) for b in (body, again)}
    assert len(names) == 1


@pytest.mark.parametrize("body", [
    b"", b"null", b"{}", b"[{}]", b'"x"', b"\xff\xfe", b"{", b"[" * 100_000, b'{"type": 7, "object": {}}',
    b'{"type": "Transaction.created"}', b'{"type": "Transaction.created", "object": []}',
    b'{"type": "Transaction.created", "object": {"id": 1}}',
    b'{"type": "Transaction.created", "object": {"id": 1, "final_price": 1180591620717411303424, "currency": "USD"}}',
    b'{"type": "Transaction.created", "object": {"id": 1, "final_price": 5, "currency": "euros"}}',
    b'{"type": "Transaction.created", "created": "soon", "object": {"id": 1, "final_price": 5, "currency": "EUR"}}',
])  # fmt: skip
def test_an_unreadable_body_is_said_to_be_unreadable(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        TeachableConnector().parse_webhook(request(body))
