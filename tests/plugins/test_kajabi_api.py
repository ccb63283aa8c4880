"""Kajabi's connector against a Kajabi that answers over HTTP, in every shape its documentation allows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast, get_args

import httpx
import pytest

from coursesignal.plugin import (
    AuthFailed,
    Charge,
    ConnectionContext,
    CredentialsRejected,
    PlatformEvent,
    PurchaseFacts,
    Unavailable,
)
from coursesignal.testing.platforms import FakeKajabi, KajabiQuirks, Reply
from coursesignal.testing.platforms.kajabi_pages import Paging
from coursesignal_kajabi.api import KajabiApi
from coursesignal_kajabi.connector import KajabiConnector
from coursesignal_kajabi.settings import KajabiCredentials

HOOK_URL = "https://coursesignal.example.com/api/webhooks/kajabi/some-key"
NOW = datetime.now(UTC).replace(microsecond=0)
SINCE = NOW - timedelta(days=30)
RIGHT = KajabiCredentials(client_id="kajabi-client", client_secret="kajabi-secret")


@dataclass(frozen=True)
class Ctx:
    """As much of a connection's context as the connector uses."""

    http: httpx.AsyncClient
    base_url: str
    credentials: KajabiCredentials = RIGHT
    webhook_url: str = HOOK_URL
    memo: Mapping[str, Any] = field(default_factory=lambda: {"site_id": "2"})


@pytest.fixture
async def kajabi() -> AsyncIterator[FakeKajabi]:
    async with FakeKajabi() as platform:
        yield platform


@pytest.fixture
async def ctx(kajabi: FakeKajabi) -> AsyncIterator[Ctx]:
    async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
        yield Ctx(http, kajabi.url)


def as_context(ctx: Ctx) -> ConnectionContext[KajabiCredentials]:
    return cast("ConnectionContext[KajabiCredentials]", ctx)


async def pull(ctx: Ctx, stream: str, connector: KajabiConnector | None = None) -> tuple[list[PlatformEvent], int]:
    """Every event of a stream, and how many pages it took."""
    connector, events, cursor, pages = connector or KajabiConnector(), list[PlatformEvent](), None, 0
    while True:
        page = await connector.sync_page(as_context(ctx), stream, cursor, SINCE)
        events += page.events
        pages, cursor = pages + 1, page.cursor
        if cursor is None:
            return events, pages
        assert pages < 100, "the pages never end"


def signed_total(events: list[PlatformEvent]) -> int:
    charges = {event.external_id: event for event in events if isinstance(event, Charge)}
    return sum(-c.amount_minor if c.kind in ("refund", "dispute") else c.amount_minor for c in charges.values())


async def test_connecting_finds_the_site_and_registers_a_hook_per_sales_event(kajabi: FakeKajabi, ctx: Ctx) -> None:
    connected = await KajabiConnector().connect(as_context(ctx))
    assert (connected.account.id, connected.account.name, connected.webhooks) == ("2", "Example Academy", "registered")
    hooks = [hook["attributes"] for hook in kajabi.hooks.values()]
    assert {hook["event"] for hook in hooks} == {"payment_succeeded", "purchase", "order_created"}
    assert {hook["target_url"] for hook in hooks} == {HOOK_URL}
    assert "secret" not in str(connected.memo)


async def test_connecting_again_makes_no_second_hook(kajabi: FakeKajabi, ctx: Ctx) -> None:
    for _ in range(2):
        await KajabiConnector().connect(as_context(ctx))
    assert len(kajabi.hooks) == 3


async def test_disconnecting_removes_our_hooks_and_no_others(kajabi: FakeKajabi, ctx: Ctx) -> None:
    kajabi.hooks["900"] = {
        "id": "900",
        "type": "hooks",
        "attributes": {"target_url": "https://other.example.com", "event": "purchase"},
    }
    connected = await KajabiConnector().connect(as_context(ctx))
    await KajabiConnector().disconnect(as_context(replace(ctx, memo=connected.memo)))
    assert list(kajabi.hooks) == ["900"]


async def test_a_key_without_permission_for_hooks_leaves_them_to_be_made_by_hand(kajabi: FakeKajabi, ctx: Ctx) -> None:
    kajabi.quirks.refuses_hooks = True
    assert (await KajabiConnector().connect(as_context(ctx))).webhooks == "manual"


async def test_some_hooks_that_may_not_be_made_leave_none_behind(kajabi: FakeKajabi, ctx: Ctx) -> None:
    for event in ("purchase", "order_created"):
        kajabi.quirks.refuses_hooks_for = (event,)
        assert (await KajabiConnector().connect(as_context(ctx))).webhooks == "manual"
        assert kajabi.hooks == {}


def hook(key: str, url: str, event: str, **more: Any) -> dict[str, Any]:
    return {"id": key, "type": "hooks", "attributes": {"target_url": url, "event": event, **more}}


async def test_hooks_are_exactly_one_per_event_however_many_there_were(kajabi: FakeKajabi, ctx: Ctx) -> None:
    foreign = {str(n): hook(str(n), f"https://other.example.com/{n}", "purchase") for n in range(900, 960)}
    ours = {
        "961": hook("961", HOOK_URL, "purchase"),
        "962": hook("962", HOOK_URL, "purchase"),
        "963": hook("963", HOOK_URL, "tag_added"),
        "964": hook("964", HOOK_URL, "payment_succeeded", resource_id=7),
        "965": hook("965", "https://gone.example.com/api/webhooks/kajabi/old-key", "purchase"),
    }
    kajabi.hooks = {**foreign, **ours}
    remembering = replace(ctx, memo={"site_id": "2", "hooks": ["965"]})
    connected = await KajabiConnector().connect(as_context(remembering))
    left = {key: one for key, one in kajabi.hooks.items() if key not in foreign}
    assert sorted(one["attributes"]["event"] for one in left.values()) == [
        "order_created",
        "payment_succeeded",
        "purchase",
    ]
    assert {one["attributes"]["target_url"] for one in left.values()} == {HOOK_URL}
    assert set(connected.memo["hooks"]) == set(left)
    assert "961" in left
    await KajabiConnector().disconnect(as_context(replace(ctx, memo=connected.memo)))
    assert set(kajabi.hooks) == set(foreign)


async def test_a_hook_that_cannot_be_removed_now_is_remembered_and_removed_next_time(
    kajabi: FakeKajabi, ctx: Ctx
) -> None:
    old = await KajabiConnector().connect(as_context(ctx))
    answer, moved = kajabi.answer, replace(ctx, webhook_url=HOOK_URL.replace("some", "another"), memo=old.memo)
    kajabi.answer = lambda call: kajabi.error(503, "Down") if call.method == "DELETE" else answer(call)  # type: ignore[method-assign]
    new = await KajabiConnector().connect(as_context(moved))
    assert len(kajabi.hooks) == 6
    kajabi.answer = answer  # type: ignore[method-assign]
    await KajabiConnector().connect(as_context(replace(moved, memo=new.memo)))
    assert {one["attributes"]["target_url"] for one in kajabi.hooks.values()} == {moved.webhook_url}
    assert len(kajabi.hooks) == 3


async def test_disconnecting_revokes_the_token(kajabi: FakeKajabi, ctx: Ctx) -> None:
    connected = await KajabiConnector().connect(as_context(ctx))
    assert len(kajabi.tokens) == 1
    await KajabiConnector().disconnect(as_context(replace(ctx, memo=connected.memo)))
    assert kajabi.tokens == {}
    (revoked,) = [call for call in kajabi.calls if call.path == "/v1/oauth/revoke"]
    assert revoked.headers["authorization"] == f"Bearer {revoked.form['token']}"


async def test_a_wrong_key_is_refused_in_kajabis_words(ctx: Ctx) -> None:
    wrong = replace(ctx, credentials=KajabiCredentials(client_id="kajabi-client", client_secret="no"))
    with pytest.raises(CredentialsRejected, match=r"unknown client") as refused:
        await KajabiConnector().connect(as_context(wrong))
    assert refused.value.errors[0].path == "clientSecret"


async def test_several_sites_are_asked_about_by_name(kajabi: FakeKajabi, ctx: Ctx) -> None:
    kajabi.sites = {"2": "Example Academy", "3": "Second School"}
    with pytest.raises(CredentialsRejected, match=r"3 \(Second School\)") as refused:
        await KajabiConnector().connect(as_context(ctx))
    assert refused.value.errors[0].path == "siteId"
    chosen = replace(
        ctx, credentials=KajabiCredentials(client_id="kajabi-client", client_secret="kajabi-secret", site_id="3")
    )
    assert (await KajabiConnector().connect(as_context(chosen))).account.name == "Second School"


@pytest.mark.parametrize("quirks", [
    KajabiQuirks(),
    KajabiQuirks(paging="self_only"),
    KajabiQuirks(paging="self_only", max_page_size=7),
    KajabiQuirks(max_page_size=10),
    KajabiQuirks(positive_refunds=True),
    KajabiQuirks(ignores_dates=True),
    KajabiQuirks(links_purchases=False),
    KajabiQuirks(names_offers=False),
    KajabiQuirks(lists_everything=True),
    *(KajabiQuirks(paging=paging, max_page_size=7) for paging in get_args(Paging)),
])  # fmt: skip
async def test_every_documented_shape_gives_the_same_money(kajabi: FakeKajabi, ctx: Ctx, quirks: KajabiQuirks) -> None:
    kajabi.quirks = quirks
    kajabi.sell("old@example.com", 77_700, at=NOW - timedelta(days=200))
    sales = [kajabi.sell(f"buyer{n}@example.com", 10_000 + n, at=NOW - timedelta(days=n % 29)) for n in range(60)]
    kajabi.renew(sales[3], at=NOW)
    kajabi.refund(sales[4], 500)
    kajabi.refund(sales[5])
    kajabi.dispute(sales[6])
    kajabi.sell("buyer.of.nothing@example.com", 0)
    kajabi.fail_payment("buyer1@example.com")
    kajabi.begin_payment("buyer2@example.com")
    kajabi.test_payment("buyer3@example.com")
    events, _ = await pull(ctx, "transactions")
    assert signed_total(events) == kajabi.ledger(SINCE)["USD"].net_minor
    assert len(events) == 60 + 4, "what is free, failed, pending or a test is not there"
    assert all(isinstance(e, Charge) and e.contact.email and e.contact.email.startswith("buyer") for e in events)


async def test_a_refund_and_a_renewal_share_a_key_with_their_sale(kajabi: FakeKajabi, ctx: Ctx) -> None:
    sale = kajabi.sell("pat@example.com", recurring=True)
    kajabi.renew(sale)
    kajabi.refund(sale)
    events, _ = await pull(ctx, "transactions")
    keys = [set(event.purchase_keys) for event in events]
    assert len(keys) == 3
    assert set.intersection(*keys) == {f"purchase:{sale.purchase_id}"}


async def test_purchases_bring_what_was_bought_and_cancellations(kajabi: FakeKajabi, ctx: Ctx) -> None:
    sale = kajabi.sell("pat@example.com", product="Watercolour", coupon="SPRING", at=NOW - timedelta(days=100))
    kajabi.cancel(sale, at=NOW - timedelta(days=1))
    (facts,) = (await pull(ctx, "purchases"))[0]
    assert isinstance(facts, PurchaseFacts)
    assert facts.items[0].title == "Watercolour"
    assert facts.hints == {"coupon": "SPRING"}
    assert facts.cancelled_at == NOW - timedelta(days=1)
    assert f"transaction:{sale.id}" in facts.purchase_keys


async def test_many_buyers_come_by_the_list_and_a_token_lasts_for_all_pages(kajabi: FakeKajabi, ctx: Ctx) -> None:
    for n in range(300):
        kajabi.sell(f"b{n}@example.com", bumps=[("Workbook", 900)])
    connector = KajabiConnector()
    for stream in connector.streams:
        await pull(ctx, stream, connector)
    assert len(kajabi.calls) < 60
    assert len([call for call in kajabi.calls if call.path == "/v1/oauth/token"]) == 1


@pytest.mark.parametrize("ignores", [False, True])
async def test_a_refund_without_purchase_asks_for_its_buyers_payments_alone(
    kajabi: FakeKajabi, ctx: Ctx, ignores: bool
) -> None:
    kajabi.quirks = KajabiQuirks(links_purchases=False, ignores_customers=ignores, max_page_size=10)
    for n in range(200):
        kajabi.sell(f"b{n}@example.com", at=SINCE - timedelta(days=5))
    sale = kajabi.sell("pat@example.com")
    kajabi.refund(sale)
    events, _ = await pull(ctx, "transactions")
    (refund,) = [event for event in events if isinstance(event, Charge) and event.kind == "refund"]
    tied = f"transaction:{sale.id}" in refund.purchase_keys
    assert tied is not ignores
    assert len([call for call in kajabi.calls if "filter[customer_id]" in call.query]) == 1


async def test_a_list_of_buyers_that_turns_in_circles_is_left_and_each_is_asked_for(
    kajabi: FakeKajabi, ctx: Ctx
) -> None:
    for n in range(30):
        kajabi.sell(f"b{n}@example.com")
    answer = kajabi.answer
    loop = {"data": [{"id": "1", "type": "customers"}], "links": {"next": "/v1/customers?page[number]=2"}}
    kajabi.answer = lambda call: (  # type: ignore[method-assign]
        Reply(200, loop) if call.path == "/v1/customers" else answer(call)
    )
    events, _ = await pull(ctx, "transactions")
    assert len({event.contact.email for event in events if isinstance(event, Charge)}) == 30


async def test_each_buyer_of_a_page_is_looked_up_once(kajabi: FakeKajabi, ctx: Ctx) -> None:
    for _ in range(20):
        kajabi.sell("pat@example.com")
    await pull(ctx, "transactions")
    assert len([call for call in kajabi.calls if call.path.startswith("/v1/customers/")]) == 1


@pytest.mark.parametrize("meta", [{}, {"total": 100}, {"total_pages": 40, "total_count": 100}])
async def test_a_page_that_comes_again_and_again_is_said_and_never_an_end(
    kajabi: FakeKajabi, ctx: Ctx, meta: dict[str, int]
) -> None:
    for n in range(3):
        kajabi.sell(f"b{n}@example.com")
    links = {"next": f"{kajabi.url}/v1/transactions?page[number]=1"}
    body = {"data": kajabi.transactions, "links": links, "meta": meta}
    kajabi.answer = lambda call: (  # type: ignore[method-assign]
        Reply(200, body) if call.path == "/v1/transactions" else FakeKajabi.answer(kajabi, call)
    )
    with pytest.raises(Unavailable, match="the same page of /v1/transactions again and again"):
        await pull(ctx, "transactions")


async def test_pages_that_are_counted_out_may_be_repeated_past_the_end(kajabi: FakeKajabi, ctx: Ctx) -> None:
    kajabi.quirks = KajabiQuirks(paging="total_only", clamps_pages=True, max_page_size=3)
    for n in range(6):
        kajabi.sell(f"b{n}@example.com")
    events, pages = await pull(ctx, "transactions")
    assert (len(events), pages) == (6, 3)
    kajabi.quirks.paging = "self_only"
    with pytest.raises(Unavailable, match="again and again"):
        await pull(ctx, "transactions")


async def test_a_token_that_ends_in_the_middle_is_replaced_once(kajabi: FakeKajabi, ctx: Ctx) -> None:
    for n in range(3):
        kajabi.sell(f"b{n}@example.com")
    api = await KajabiApi.log_in(ctx.http, ctx.base_url, ctx.credentials)
    kajabi.expire_tokens()
    assert len((await api.page("/v1/transactions", {}, None, 10)).rows) == 3
    found = await api.look_up(
        "/v1/customers", [str(row.id) for row in (await api.page("/v1/customers", {}, None, 10)).rows]
    )
    assert len(found) == 3
    kajabi.expire_tokens()
    kajabi.client_secret = "rotated"
    with pytest.raises(AuthFailed, match=r"unknown client.*Connect again"):
        await api.page("/v1/transactions", {}, None, 10)


async def test_a_rotated_key_asks_to_connect_again(kajabi: FakeKajabi, ctx: Ctx) -> None:
    kajabi.client_secret = "rotated"
    with pytest.raises(AuthFailed, match=r"unknown client.*Connect again"):
        await pull(ctx, "transactions")


@pytest.mark.parametrize(("status", "headers", "wait"), [
    (429, {"Retry-After": "7"}, timedelta(seconds=7)), (429, {}, None), (503, {}, None), (500, {}, None),
])  # fmt: skip
async def test_a_busy_kajabi_is_waited_for(
    kajabi: FakeKajabi, ctx: Ctx, status: int, headers: dict[str, str], wait: timedelta | None
) -> None:
    kajabi.trouble.append(Reply(status, {}, headers))
    with pytest.raises(Unavailable) as busy:
        await pull(ctx, "transactions")
    assert busy.value.retry_after == wait


async def test_a_missing_permission_says_which_to_give(kajabi: FakeKajabi, ctx: Ctx) -> None:
    answer = FakeKajabi.answer
    kajabi.answer = lambda call: (  # type: ignore[method-assign]
        kajabi.error(403, "Not allowed") if call.path == "/v1/transactions" else answer(kajabi, call)
    )
    with pytest.raises(AuthFailed, match="view:transactions"):
        await pull(ctx, "transactions")


@pytest.mark.parametrize("body", [b'{"data": [', b"<html>", b"\xff"])
async def test_an_unreadable_answer_is_trouble_on_their_side(kajabi: FakeKajabi, ctx: Ctx, body: bytes) -> None:
    kajabi.trouble.append(Reply(200, body))
    with pytest.raises(Unavailable):
        await pull(ctx, "transactions")


async def test_a_dead_address_is_trouble_on_their_side(kajabi: FakeKajabi, ctx: Ctx) -> None:
    kajabi.stop()
    with pytest.raises(Unavailable, match="does not answer"):
        await pull(ctx, "transactions")
