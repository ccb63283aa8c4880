"""Teachable's connector against a Teachable that answers over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest

from coursesignal.plugin import (
    AuthFailed,
    Charge,
    ConnectionContext,
    CredentialsRejected,
    PlatformEvent,
    RefundTotal,
    Unavailable,
)
from coursesignal.testing.platforms import FakeTeachable
from coursesignal_teachable.connector import TeachableConnector
from coursesignal_teachable.settings import TeachableCredentials
from coursesignal_teachable.streams import PER_PAGE

NOW = datetime.now(UTC).replace(microsecond=0)
SINCE = NOW - timedelta(days=30)


@dataclass(frozen=True)
class Ctx:
    """As much of a connection's context as the connector uses."""

    http: httpx.AsyncClient
    base_url: str
    credentials: TeachableCredentials = field(default_factory=lambda: TeachableCredentials(api_key="teachable-key"))
    webhook_url: str = "https://coursesignal.example.com/api/webhooks/teachable/some-key"
    memo: Mapping[str, Any] = field(default_factory=dict)


@pytest.fixture
async def school() -> AsyncIterator[FakeTeachable]:
    async with FakeTeachable() as platform:
        yield platform


@pytest.fixture
async def ctx(school: FakeTeachable) -> AsyncIterator[Ctx]:
    async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
        yield Ctx(http, school.url)


def as_context(ctx: Ctx) -> ConnectionContext[TeachableCredentials]:
    return cast("ConnectionContext[TeachableCredentials]", ctx)


async def pull(ctx: Ctx) -> list[PlatformEvent]:
    """Every event of every stream."""
    connector, events = TeachableConnector(), list[PlatformEvent]()
    for stream in connector.streams:
        cursor: str | None = None
        while True:
            page = await connector.sync_page(as_context(ctx), stream, cursor, SINCE)
            events += page.events
            cursor = page.cursor
            if cursor is None:
                break
    return events


def net(events: list[PlatformEvent]) -> dict[str, int]:
    """Charges once each, less the largest total given back of each."""
    charges = {event.external_id: event for event in events if isinstance(event, Charge)}
    back: dict[str, int] = {}
    for event in events:
        if isinstance(event, RefundTotal):
            back[event.charge_external_id] = max(event.total_minor, back.get(event.charge_external_id, 0))
    books: dict[str, int] = {}
    for key, charge in charges.items():
        books[charge.currency] = books.get(charge.currency, 0) + charge.amount_minor - back.get(key, 0)
    return books


async def test_connecting_checks_the_key_with_one_call(school: FakeTeachable, ctx: Ctx) -> None:
    connected = await TeachableConnector().connect(as_context(ctx))
    assert (connected.account.id, connected.webhooks) == ("school", "manual")
    assert len(school.calls) == 1


async def test_a_wrong_key_is_refused_in_teachables_words(ctx: Ctx) -> None:
    with pytest.raises(CredentialsRejected, match="Invalid API key") as refused:
        await TeachableConnector().connect(as_context(replace(ctx, credentials=TeachableCredentials(api_key="no"))))
    assert refused.value.errors[0].path == "apiKey"


async def test_a_second_school_is_a_second_account(ctx: Ctx) -> None:
    named = replace(ctx, credentials=TeachableCredentials(api_key="teachable-key", school="Second"))
    assert (await TeachableConnector().connect(as_context(named))).account.id == "Second"


async def test_a_sync_gives_the_schools_own_totals(school: FakeTeachable, ctx: Ctx) -> None:
    sales = [
        school.sell(f"buyer{n}@example.com", 9_900 + n, "EUR" if n % 4 == 0 else "USD", at=NOW - timedelta(days=n % 29))
        for n in range(60)
    ]
    for n in range(3):
        school.renew(sales[n], at=NOW)
    school.refund(sales[5], 1_000)
    school.refund(sales[8])
    school.charge_back(sales[9])
    school.sell("free@example.com", 0)
    books = {currency: book.net_minor for currency, book in school.ledger(SINCE).items()}
    assert net(await pull(ctx)) == books


async def test_rows_are_joined_with_their_buyer_and_plan_once_a_page(school: FakeTeachable, ctx: Ctx) -> None:
    for _ in range(PER_PAGE):
        school.sell("pat@example.com", product="Ceramics")
    events = await pull(ctx)
    assert {event.contact.email for event in events if isinstance(event, Charge)} == {"pat@example.com"}
    assert {event.items[0].title for event in events if isinstance(event, Charge)} == {"Ceramics"}
    assert len([call for call in school.calls if call.path.startswith("/v1/users/")]) == 1
    assert len([call for call in school.calls if call.path.startswith("/v1/pricing_plans/")]) == 1


async def test_a_full_refund_of_an_old_sale_is_found_without_a_date(school: FakeTeachable, ctx: Ctx) -> None:
    old = school.sell("old@example.com", at=NOW - timedelta(days=200))
    assert await pull(ctx) == []
    school.refund(old, at=NOW - timedelta(days=1))
    charge, refund = await pull(ctx)
    assert isinstance(charge, Charge) and isinstance(refund, RefundTotal)
    assert refund.occurred_at == NOW - timedelta(days=1)


async def test_no_page_asks_more_than_a_minute_allows(school: FakeTeachable, ctx: Ctx) -> None:
    for n in range(3 * PER_PAGE):
        school.sell(f"buyer{n}@example.com", product=f"Course {n}")
    await TeachableConnector().sync_page(as_context(ctx), "transactions", None, SINCE)
    assert len(school.calls) < 100


async def test_the_rate_limit_is_waited_for_in_seconds(school: FakeTeachable, ctx: Ctx) -> None:
    school.throttle(headers={"RateLimit-Limit": "100", "RateLimit-Reset": "42"})
    with pytest.raises(Unavailable, match="rate limit") as busy:
        await pull(ctx)
    assert busy.value.retry_after == timedelta(seconds=42)


async def test_a_key_that_was_deleted_asks_to_connect_again(school: FakeTeachable, ctx: Ctx) -> None:
    school.api_key = "rotated"
    with pytest.raises(AuthFailed, match="Invalid API key"):
        await pull(ctx)


async def test_a_deleted_student_still_has_a_purchase(school: FakeTeachable, ctx: Ctx) -> None:
    school.sell("gone@example.com")
    school._buyers.clear()
    school._buyers_by_id.clear()
    (charge,) = await pull(ctx)
    assert isinstance(charge, Charge)
    assert charge.contact.email is None
    assert charge.contact.external_id


async def test_what_webhooks_failed_to_bring_is_read_again(school: FakeTeachable, ctx: Ctx) -> None:
    school.webhook_urls.append(ctx.webhook_url)
    school.sell("delivered@example.com", at=NOW - timedelta(days=2))
    school.pending.clear()
    school.sell("lost@example.com", at=NOW - timedelta(days=2))
    school.lose_webhooks()
    page = await TeachableConnector().sync_page(as_context(ctx), "missed", None, SINCE)
    assert [event.contact.email for event in page.events if isinstance(event, Charge)] == ["lost@example.com"]
    later = await TeachableConnector().sync_page(as_context(ctx), "missed", None, NOW - timedelta(days=1))
    assert later.events == []


async def test_webhooks_of_other_addresses_are_not_asked_about(school: FakeTeachable, ctx: Ctx) -> None:
    school.webhook_urls.append("https://elsewhere.example.com/hook")
    school.sell("lost@example.com")
    school.lose_webhooks()
    assert (await TeachableConnector().sync_page(as_context(ctx), "missed", None, SINCE)).events == []
    assert len(school.calls) == 1
