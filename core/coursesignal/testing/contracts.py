"""What every implementation of an extension point must do: subclass a contract, fill in its fixtures, inherit its tests.

class TestMyConnector(ConnectorContract):
    @pytest.fixture
    def connector(self): return MyConnector()
    …
"""

from __future__ import annotations

import abc
import math
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from coursesignal.plugin import (
    AttributionModel,
    ChannelRule,
    Charge,
    Connector,
    Context,
    Exporter,
    FittedAttributionModel,
    Hit,
    PathRecord,
    PlatformEvent,
    PurchaseFacts,
    Recommendation,
    RecommendationRule,
    RefundTotal,
    Settings,
    TooLittleData,
    Touch,
    WebhookRejected,
    WebhookRequest,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
NONSENSE = (b"", b"[]", b"{}", b"null", b'"text"', b"{", b"\xff\xfe", b'{"id": {}}')
"""Bodies that no platform sends; whoever posts them must not break anything."""


class ConnectorContract(abc.ABC):
    """What every connector must do without a network."""

    @pytest.fixture
    @abc.abstractmethod
    def connector(self) -> Connector[Any]:
        """The connector under test."""

    @pytest.fixture
    @abc.abstractmethod
    def credentials(self) -> Settings:
        """Credentials that the signed request was signed with."""

    @pytest.fixture
    @abc.abstractmethod
    def signed(self) -> WebhookRequest:
        """An authentic request of a sale, as recorded or documented."""

    @pytest.fixture
    @abc.abstractmethod
    def expected(self) -> Sequence[PlatformEvent]:
        """What the signed request means."""

    def test_its_credentials_are_of_the_class_it_declares(
        self, connector: Connector[Any], credentials: Settings
    ) -> None:
        assert isinstance(credentials, connector.credentials)

    def test_it_speaks_https(self, connector: Connector[Any]) -> None:
        assert connector.api_url.startswith("https://")
        assert not connector.api_url.endswith("/")

    def test_it_accepts_an_authentic_webhook(
        self, connector: Connector[Any], signed: WebhookRequest, credentials: Settings
    ) -> None:
        connector.verify_webhook(signed, credentials)

    def test_it_rejects_a_changed_body(
        self, connector: Connector[Any], signed: WebhookRequest, credentials: Settings
    ) -> None:
        if not connector.capabilities.signed_push:
            pytest.skip("the platform does not sign")
        with pytest.raises(WebhookRejected):
            connector.verify_webhook(replace(signed, body=signed.body + b" "), credentials)

    def test_it_rejects_a_missing_signature(
        self, connector: Connector[Any], signed: WebhookRequest, credentials: Settings
    ) -> None:
        if not connector.capabilities.signed_push:
            pytest.skip("the platform does not sign")
        with pytest.raises(WebhookRejected):
            connector.verify_webhook(replace(signed, headers={}, query={}), credentials)

    def test_it_reads_the_same_events_every_time(
        self, connector: Connector[Any], signed: WebhookRequest, expected: Sequence[PlatformEvent]
    ) -> None:
        assert list(connector.parse_webhook(signed)) == list(connector.parse_webhook(signed)) == list(expected)

    def test_its_events_are_well_formed(self, connector: Connector[Any], signed: WebhookRequest) -> None:
        for event in connector.parse_webhook(signed):
            assert_well_formed(event)

    def test_the_same_delivery_has_the_same_id(self, connector: Connector[Any], signed: WebhookRequest) -> None:
        later = replace(signed, received_at=signed.received_at + timedelta(hours=1))
        assert connector.delivery_id(signed) == connector.delivery_id(later)

    @pytest.mark.parametrize("body", NONSENSE)
    def test_it_ignores_or_refuses_nonsense(
        self, connector: Connector[Any], signed: WebhookRequest, body: bytes
    ) -> None:
        try:
            events = connector.parse_webhook(replace(signed, body=body))
        except ValueError:  # msgspec.ValidationError is one; anything else would be a bug
            return
        assert list(events) == []

    def test_it_can_sync_what_it_says_it_can(self, connector: Connector[Any]) -> None:
        overridden = type(connector).sync_page is not Connector.sync_page
        assert bool(connector.streams) == overridden


def assert_well_formed(event: PlatformEvent) -> None:
    """Check what types cannot say about a platform event."""
    assert event.purchase_keys
    assert all(event.purchase_keys)
    assert event.occurred_at.tzinfo is not None
    if isinstance(event, Charge):
        assert event.external_id
        assert event.amount_minor >= 0, "core signs the amount"
        assert re.fullmatch("[A-Z]{3}", event.currency)
    if isinstance(event, RefundTotal):
        assert event.total_minor >= 0
        assert re.fullmatch("[A-Z]{3}", event.currency)
    if isinstance(event, Charge | PurchaseFacts) and event.contact.email is not None:
        assert event.contact.email == event.contact.email.strip()
        assert "@" in event.contact.email


def path_of(
    length: int, *, end: datetime = NOON, channels: Sequence[str] = ("Email", "Direct", "Paid Social")
) -> list[Touch]:
    """A journey of ``length`` touches, one a day until ``end``."""
    return [
        Touch(
            channel=channels[i % len(channels)],
            occurred_at=end - timedelta(days=length - i),
            source=channels[i % len(channels)].lower(),
            is_direct=channels[i % len(channels)] == "Direct",
            is_opt_in=i == length // 2,
        )
        for i in range(length)
    ]


class AttributionModelContract(abc.ABC):
    """What every attribution model must do."""

    @pytest.fixture
    @abc.abstractmethod
    def model(self) -> AttributionModel:
        """The model under test."""

    @pytest.mark.parametrize("length", [1, 2, 3, 4, 10, 100])
    def test_its_weights_are_one_per_touch_and_sum_to_one(self, model: AttributionModel, length: int) -> None:
        _assert_weights(model.credit(path_of(length), NOON), length)

    def test_touches_at_the_same_moment_are_fine(self, model: AttributionModel) -> None:
        path = [Touch(channel="Email", occurred_at=NOON)] * 3
        _assert_weights(model.credit(path, NOON), 3)

    def test_a_path_of_direct_visits_only_is_fine(self, model: AttributionModel) -> None:
        _assert_weights(model.credit(path_of(4, channels=["Direct"]), NOON), 4)

    def test_touches_years_apart_are_fine(self, model: AttributionModel) -> None:
        path = [
            Touch(channel="Email", occurred_at=NOON - timedelta(days=3000)),
            Touch(channel="Email", occurred_at=NOON),
        ]
        _assert_weights(model.credit(path, NOON), 2)

    def test_it_is_deterministic_and_leaves_the_path_alone(self, model: AttributionModel) -> None:
        path = path_of(7)
        before = list(path)
        assert list(model.credit(path, NOON)) == list(model.credit(path, NOON))
        assert path == before

    def test_it_tells_people_what_it_does(self, model: AttributionModel) -> None:
        assert re.fullmatch("[a-z][a-z0-9_]*", model.slug)
        assert model.name
        assert model.description


class FittedAttributionModelContract(AttributionModelContract):
    """What a model that learns must do, besides: untrained it credits too."""

    def test_learning_the_same_gives_the_same(self, model: AttributionModel) -> None:
        assert isinstance(model, FittedAttributionModel)
        assert model.fit(journeys()) == model.fit(journeys())

    def test_what_it_learnt_survives_storage(self, model: AttributionModel) -> None:
        assert isinstance(model, FittedAttributionModel)
        learnt = model.fit(journeys())
        stored: Mapping[str, Any] = msgspec.json.decode(msgspec.json.encode(learnt))
        trained = model.load(stored)
        assert trained.slug == model.slug
        for length in (1, 2, 5):
            weights = trained.credit(path_of(length), NOON)
            _assert_weights(weights, length)
            assert list(weights) == list(model.load(learnt).credit(path_of(length), NOON))

    def test_a_channel_it_never_saw_is_fine(self, model: AttributionModel) -> None:
        assert isinstance(model, FittedAttributionModel)
        trained = model.load(model.fit(journeys()))
        _assert_weights(trained.credit(path_of(3, channels=["Unheard Of"]), NOON), 3)

    def test_a_tenant_without_journeys_is_fine(self, model: AttributionModel) -> None:
        assert isinstance(model, FittedAttributionModel)
        try:
            learnt = model.fit([])
        except TooLittleData:
            return  # the tenant reads why
        _assert_weights(model.load(learnt).credit(path_of(3), NOON), 3)


def journeys() -> list[PathRecord]:
    """Some journeys to learn from."""
    return [
        PathRecord(path=tuple(path_of(length)), conversions=50 * (length % 3), losses=50 * (7 - length))
        for length in range(1, 7)
    ]


def _assert_weights(weights: Sequence[float], length: int) -> None:
    if not len(weights):
        return  # credits nobody
    assert len(weights) == length
    assert all(math.isfinite(weight) and weight >= 0 for weight in weights)
    assert math.isclose(math.fsum(weights), 1, abs_tol=1e-9)


class ExporterContract(abc.ABC):
    """What every file format must do."""

    @pytest.fixture
    @abc.abstractmethod
    def exporter(self) -> Exporter:
        """The exporter under test."""

    def test_it_says_what_it_writes(self, exporter: Exporter) -> None:
        assert re.fullmatch("[a-z][a-z0-9_]*", exporter.slug)
        assert re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", exporter.media_type)
        assert exporter.suffix.startswith(".")

    @pytest.mark.anyio
    async def test_it_writes_every_row_the_same_every_time(self, exporter: Exporter) -> None:
        rows = [("youtube", 1, None), ("Émile, “quoted”", -5, 2.5), ("=SUM(A1)", 0, True)]
        first = await written(exporter, rows)
        assert first == await written(exporter, rows)
        assert len(first) > len(await written(exporter, rows[:1])) > 0

    @pytest.mark.anyio
    async def test_no_rows_are_fine(self, exporter: Exporter) -> None:
        assert isinstance(await written(exporter, []), bytes)

    @pytest.mark.anyio
    async def test_it_does_not_hold_all_rows_before_it_writes_the_first(self, exporter: Exporter) -> None:
        given = 0

        async def many() -> AsyncIterator[Sequence[object]]:
            nonlocal given
            for number in range(50_000):
                given += 1
                yield (f"source {number}", number, None)

        async for chunk in exporter.export(COLUMNS, many()):
            if chunk:
                break
        assert given < 50_000


COLUMNS = ("source", "purchases", "rate")


async def written(exporter: Exporter, rows: Sequence[Sequence[object]]) -> bytes:
    """The file that ``exporter`` writes for ``rows``."""

    async def each() -> AsyncIterator[Sequence[object]]:
        for row in rows:
            yield row

    return b"".join([chunk async for chunk in exporter.export(COLUMNS, each())])


class RuleContract(abc.ABC):
    """What every recommendation rule must do, for a tenant that your ``ctx`` fixture provides."""

    @pytest.fixture
    @abc.abstractmethod
    def rule(self) -> RecommendationRule:
        """The rule under test."""

    @pytest.fixture
    @abc.abstractmethod
    def ctx(self) -> Context[Any]:
        """The context of a tenant with something to advise on: ``coursesignal.testing.contexts.plugin_context`` makes one."""

    @pytest.mark.anyio
    async def test_its_advice_is_complete(self, rule: RecommendationRule, ctx: Context[Any]) -> None:
        found = await rule.evaluate(ctx)
        assert found, "give ctx a tenant that the rule has something to say to"
        for advice in found:
            assert isinstance(advice, Recommendation)
            assert msgspec.convert(msgspec.to_builtins(advice), Recommendation) == advice
            assert advice.title.strip()
            assert "\n" not in advice.title
            assert advice.body.strip()
            assert advice.evidence, "advice without numbers is an opinion"

    @pytest.mark.anyio
    async def test_the_same_numbers_give_the_same_advice(self, rule: RecommendationRule, ctx: Context[Any]) -> None:
        first, second = await rule.evaluate(ctx), await rule.evaluate(ctx)
        assert [advice.key for advice in first] == [advice.key for advice in second]
        assert len({advice.key for advice in first}) == len(first)


class ChannelRuleContract(abc.ABC):
    """What every channel rule must do."""

    @pytest.fixture
    @abc.abstractmethod
    def rule(self) -> ChannelRule:
        """The rule under test."""

    @pytest.fixture
    @abc.abstractmethod
    def its_own(self) -> Hit:
        """A hit the rule is for."""

    def test_it_takes_its_own(self, rule: ChannelRule, its_own: Hit) -> None:
        assert rule.applies(its_own) is True

    def test_it_leaves_others_alone(self, rule: ChannelRule) -> None:
        direct = Hit(source="", medium="", campaign="", referrer_host="", click_id="")
        odd = Hit(source="\x00", medium="é" * 500, campaign="<b>", referrer_host="..", click_id="zzz")
        assert rule.applies(direct) is False
        assert rule.applies(odd) is False
