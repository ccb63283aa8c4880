"""The sample plugin keeps the contracts that the test kit gives to every author."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from coursesignal_sample.channels import PODCASTS
from coursesignal_sample.connector import SIGNATURE, SampleConnector, sign
from coursesignal_sample.exporter import JsonLines
from coursesignal_sample.models import Learned, Middle
from coursesignal_sample.settings import SampleSettings

from coursesignal.plugin import (
    AttributionModel,
    ChannelRule,
    Charge,
    Connector,
    Contact,
    Exporter,
    Hit,
    Item,
    PlatformEvent,
    WebhookRequest,
)
from coursesignal.testing.contracts import (
    AttributionModelContract,
    ChannelRuleContract,
    ConnectorContract,
    ExporterContract,
    FittedAttributionModelContract,
)

SOLD_AT = datetime(2030, 1, 1, tzinfo=UTC)


class TestConnector(ConnectorContract):
    @pytest.fixture
    def connector(self) -> Connector[Any]:
        return SampleConnector()

    @pytest.fixture
    def credentials(self) -> SampleSettings:
        return SampleSettings(api_key="0123456789")

    @pytest.fixture
    def signed(self, credentials: SampleSettings) -> WebhookRequest:
        body = msgspec.json.encode(
            {
                "id": "s1",
                "email": "pat@example.com",
                "cents": 9900,
                "currency": "USD",
                "course": "Example",
                "sold_at": SOLD_AT,
            }
        )
        headers = {SIGNATURE: sign(body, credentials.api_key)}
        return WebhookRequest(body=body, headers=headers, query={}, received_at=SOLD_AT)

    @pytest.fixture
    def expected(self) -> Sequence[PlatformEvent]:
        return [
            Charge(
                external_id="s1",
                kind="sale",
                amount_minor=9900,
                currency="USD",
                occurred_at=SOLD_AT,
                purchase_keys=("sale:s1",),
                contact=Contact(email="pat@example.com"),
                items=(Item(external_id="Example", title="Example"),),
            )
        ]


class TestMiddle(AttributionModelContract):
    @pytest.fixture
    def model(self) -> AttributionModel:
        return Middle()


class TestLearned(FittedAttributionModelContract):
    @pytest.fixture
    def model(self) -> AttributionModel:
        return Learned()


class TestJsonLines(ExporterContract):
    @pytest.fixture
    def exporter(self) -> Exporter:
        return JsonLines()


class TestPodcasts(ChannelRuleContract):
    @pytest.fixture
    def rule(self) -> ChannelRule:
        return PODCASTS

    @pytest.fixture
    def its_own(self) -> Hit:
        return Hit(source="daily-show", medium="podcast", campaign="", referrer_host="", click_id="")
