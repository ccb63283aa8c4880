"""Every bundled connector keeps the contract that plugin authors' connectors are held to."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coursesignal.plugin import Charge, Connector, Contact, Item, PlatformEvent, Settings, WebhookRequest
from coursesignal.testing.contracts import ConnectorContract
from coursesignal_kajabi.connector import KajabiConnector
from coursesignal_kajabi.settings import KajabiCredentials
from coursesignal_stripe.connector import StripeConnector
from coursesignal_stripe.settings import StripeCredentials
from coursesignal_teachable.connector import TeachableConnector
from coursesignal_teachable.settings import TeachableCredentials

PAYLOADS = Path(__file__).parents[1] / "plugins" / "payloads"
RECEIVED = datetime(2026, 3, 1, 13, tzinfo=UTC)


def recorded(path: str) -> WebhookRequest:
    body = (PAYLOADS / path).read_bytes()
    return WebhookRequest(body=body, headers={"content-type": "application/json"}, query={}, received_at=RECEIVED)


class TestKajabi(ConnectorContract):
    @pytest.fixture
    def connector(self) -> Connector[Any]:
        return KajabiConnector()

    @pytest.fixture
    def credentials(self) -> Settings:
        return KajabiCredentials(client_id="id", client_secret="secret")

    @pytest.fixture
    def signed(self) -> WebhookRequest:
        return recorded("kajabi/api_payment_succeeded.json")

    @pytest.fixture
    def expected(self) -> Sequence[PlatformEvent]:
        buyer = Contact(email="pat@example.test", external_id="customer:71", name="Pat Example")
        return [
            Charge(
                external_id="9001",
                kind="sale",
                amount_minor=19_900,
                currency="USD",
                occurred_at=datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC),
                purchase_keys=("transaction:9001",),
                contact=buyer,
            )
        ]


class TestTeachable(ConnectorContract):
    @pytest.fixture
    def connector(self) -> Connector[Any]:
        return TeachableConnector()

    @pytest.fixture
    def credentials(self) -> Settings:
        return TeachableCredentials(api_key="key")

    @pytest.fixture
    def signed(self) -> WebhookRequest:
        return recorded("teachable/transaction_created.json")

    @pytest.fixture
    def expected(self) -> Sequence[PlatformEvent]:
        return [
            Charge(
                external_id="71001",
                kind="sale",
                amount_minor=9_900,
                currency="USD",
                occurred_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
                purchase_keys=("transaction:71001", "sale:60001"),
                contact=Contact(email="pat@example.test", external_id="user:501", name="Pat Example"),
                items=(Item(external_id="88", title="Full price"),),
            )
        ]


class TestStripe(ConnectorContract):
    @pytest.fixture
    def connector(self) -> Connector[Any]:
        return StripeConnector()

    @pytest.fixture
    def credentials(self) -> Settings:
        return StripeCredentials(api_key="rk_live_key", signing_secret="whsec_contract")

    @pytest.fixture
    def signed(self) -> WebhookRequest:
        request, at = recorded("stripe/charge_succeeded.json"), int(RECEIVED.timestamp())
        made = hmac.new(b"whsec_contract", f"{at}.".encode() + request.body, hashlib.sha256).hexdigest()
        return replace(request, headers={**request.headers, "stripe-signature": f"t={at},v1={made}"})

    @pytest.fixture
    def expected(self) -> Sequence[PlatformEvent]:
        return [
            Charge(
                external_id="pi_9001",
                kind="sale",
                amount_minor=19_900,
                currency="USD",
                occurred_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
                purchase_keys=("pi_9001", "ch_9001"),
                contact=Contact(email="pat@example.test", external_id="cus_501", name="Pat Example"),
            )
        ]
