"""Stripe against a fake that answers over HTTP: connecting, reading lists, and every refusal in words that say what to do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

import coursesignal_stripe
from coursesignal.plugin import (
    AuthFailed,
    Charge,
    ConnectionContext,
    CredentialsRejected,
    PlatformEvent,
    PurchaseFacts,
    Unavailable,
)
from coursesignal.testing.platforms import FakeStripe, StripeQuirks
from coursesignal_stripe.connector import StripeConnector
from coursesignal_stripe.settings import StripeCredentials
from coursesignal_stripe.streams import STREAMS

README = (Path(coursesignal_stripe.__file__).parent / "README.md").read_text()
NOW = datetime.now(UTC).replace(microsecond=0)
MONTH_AGO = NOW - timedelta(days=30)


@dataclass
class Ctx:
    """What a connector is handed, without an installation."""

    http: httpx.AsyncClient
    base_url: str
    credentials: StripeCredentials
    webhook_url: str = "https://signal.example.com/api/webhooks/stripe/key"
    memo: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
async def stripe() -> AsyncIterator[FakeStripe]:
    async with FakeStripe() as platform:
        yield platform


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=2) as client:
        yield client


def ctx(http: httpx.AsyncClient, stripe: FakeStripe, **entered: Any) -> ConnectionContext[StripeCredentials]:
    credentials = StripeCredentials(**{"api_key": stripe.api_key, **entered})
    return cast("ConnectionContext[StripeCredentials]", Ctx(http, stripe.url, credentials))


async def rejected(http: httpx.AsyncClient, stripe: FakeStripe, **entered: Any) -> tuple[str, str]:
    """The field and the words of a refusal."""
    with pytest.raises(CredentialsRejected) as caught:
        await StripeConnector().connect(ctx(http, stripe, **entered))
    (error,) = caught.value.errors
    assert is_listed(error.message), f"the table in the plugin's README says nothing of {error.message!r}"
    return error.path, error.message


def is_listed(words: str) -> bool:
    """Whether the README's table of messages says what to do about this one."""
    table = README.partition("## Messages and what to do")[2]
    cells = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    rows = [row.strip() for cell in cells[2:] for row in cell.split(" / ")]
    return any(re.match(".*".join(map(re.escape, re.split(r"\s*…\s*", row))), words) for row in rows if row)


async def all_of(
    http: httpx.AsyncClient, stripe: FakeStripe, stream: str, since: datetime = MONTH_AGO, **entered: Any
) -> Sequence[PlatformEvent]:
    """What a stream tells, page by page."""
    events: list[PlatformEvent] = []
    cursor: str | None = None
    while True:
        page = await StripeConnector().sync_page(ctx(http, stripe, **entered), stream, cursor, since)
        events += page.events
        cursor = page.cursor
        if cursor is None:
            return events


async def test_connecting_says_whose_account_it_is(http: httpx.AsyncClient, stripe: FakeStripe) -> None:
    connected = await StripeConnector().connect(ctx(http, stripe))
    assert (connected.account.id, connected.account.name) == ("acct_1Example", "Example Academy")
    assert connected.webhooks == "manual"
    assert {call.path for call in stripe.calls} == {"/v1/account", *(stream.path for stream in STREAMS.values())}
    assert {call.method for call in stripe.calls} == {"GET"}, "the key only needs to read"


async def test_a_key_that_may_not_ask_learns_its_account_from_the_refusal(
    http: httpx.AsyncClient, stripe: FakeStripe
) -> None:
    stripe.quirks.may_read_account = False
    account = (await StripeConnector().connect(ctx(http, stripe))).account
    assert (account.id, account.name) == ("acct_1Example", "acct_1Example")
    path, words = await rejected(http, stripe, account="acct_2Other")
    assert (path, words) == ("account", "This key belongs to another account: acct_1Example.")


async def test_a_key_of_which_nobody_says_whose_it_is_asks_for_the_account(
    http: httpx.AsyncClient, stripe: FakeStripe
) -> None:
    stripe.quirks = StripeQuirks(may_read_account=False, names_account=False)
    path, words = await rejected(http, stripe)
    assert path == "account"
    assert "Settings > Account details" in words
    assert (await StripeConnector().connect(ctx(http, stripe, account="acct_1Example"))).account.id == "acct_1Example"


@pytest.mark.parametrize(("key", "words"), [
    ("rk_live_wrong", "Stripe says: Invalid API Key provided: rk_live_****rong."),
    ("pk_live_stripe", "This is a publishable key: enter a restricted key, which begins with rk_live_."),
    ("whsec_stripe", "This is no API key: enter a restricted key, which begins with rk_live_."),
    ("rk_test_stripe", "This is a test key. Enter the live one, or tick that test payments are booked."),
])  # fmt: skip
async def test_a_wrong_key_is_refused_at_its_field(
    http: httpx.AsyncClient, stripe: FakeStripe, key: str, words: str
) -> None:
    assert await rejected(http, stripe, api_key=key) == ("apiKey", words)


async def test_an_expired_key_is_refused_in_stripes_words(http: httpx.AsyncClient, stripe: FakeStripe) -> None:
    stripe.expire()
    assert await rejected(http, stripe) == ("apiKey", "Stripe says: Expired API Key provided: rk_live_****ripe.")


async def test_a_key_that_lacks_permissions_is_told_all_of_them_at_once(
    http: httpx.AsyncClient, stripe: FakeStripe
) -> None:
    stripe.quirks.lacks = ("rak_dispute_read", "rak_charge_read")
    path, words = await rejected(http, stripe)
    assert path == "apiKey"
    assert "Charges and Refunds (rak_charge_read), Disputes (rak_dispute_read)" in words
    assert "set these to Read" in words


async def test_what_is_no_signing_secret_is_refused_at_its_field(http: httpx.AsyncClient, stripe: FakeStripe) -> None:
    path, words = await rejected(http, stripe, signing_secret="whsec_a rk_live_stripe")
    assert path == "signingSecret"
    assert "begins with whsec_" in words
    await StripeConnector().connect(ctx(http, stripe, signing_secret=" whsec_a, whsec_b\n"))


async def test_a_list_is_read_to_its_end_whatever_its_length(http: httpx.AsyncClient, stripe: FakeStripe) -> None:
    for number in range(7):
        stripe.sell(f"buyer{number}@example.com", 1_000 + number, at=NOW - timedelta(hours=number // 2))
    for limit in (1, 2, 3, 7, 100):
        stripe.quirks.max_limit = limit
        charges = await all_of(http, stripe, "charges")
        assert sorted(one.amount_minor for one in charges if isinstance(one, Charge)) == list(range(1_000, 1_007))
    asked = stripe.calls[-1]
    assert (asked.query["limit"], asked.headers["stripe-version"]) == ("100", "2026-06-24.dahlia")


async def test_only_what_moved_since_is_asked_for(http: httpx.AsyncClient, stripe: FakeStripe) -> None:
    stripe.sell("old@example.com", 1_000, at=MONTH_AGO - timedelta(seconds=1))
    stripe.sell("new@example.com", 2_000, at=MONTH_AGO)
    charges = await all_of(http, stripe, "charges")
    assert [one.amount_minor for one in charges if isinstance(one, Charge)] == [2_000]


async def test_a_bill_paid_late_is_found_though_it_was_made_long_ago(
    http: httpx.AsyncClient, stripe: FakeStripe
) -> None:
    stripe.sell("late@example.com", 1_000, recurring=True, at=MONTH_AGO - timedelta(days=20))
    stripe.sell("older@example.com", 2_000, recurring=True, at=MONTH_AGO - timedelta(days=25))
    (late, _) = stripe.lists["/v1/invoices"].values()
    late["status_transitions"]["paid_at"] = int(NOW.timestamp())
    keys = {one.purchase_keys[0] for one in await all_of(http, stripe, "invoices") if isinstance(one, PurchaseFacts)}
    assert keys == {late["id"]}


async def test_sessions_bring_what_was_bought_and_by_whom_and_leave_money_to_charges(
    http: httpx.AsyncClient, stripe: FakeStripe
) -> None:
    stripe.sell("pat@example.com", 9_900, product="Piano for all", name="Pat Example")
    (facts,) = await all_of(http, stripe, "checkout_sessions")
    assert isinstance(facts, PurchaseFacts)
    assert facts.purchase_keys == ("cs_501", "pi_9001")
    assert (facts.contact.email, facts.contact.name) == ("pat@example.com", "Pat Example")
    assert [(item.title, item.amount_minor) for item in facts.items] == [("Piano for all", 9_900)]


async def test_cancellations_come_from_the_events(http: httpx.AsyncClient, stripe: FakeStripe) -> None:
    sale = stripe.sell("pat@example.com", 1_000, recurring=True, at=NOW - timedelta(days=3))
    stripe.cancel(sale, at=NOW - timedelta(days=1))
    (facts,) = await all_of(http, stripe, "cancellations")
    assert isinstance(facts, PurchaseFacts)
    assert (facts.purchase_keys, facts.cancelled_at) == (("sub_501",), NOW - timedelta(days=1))


async def test_rows_of_test_mode_count_only_where_that_was_chosen(http: httpx.AsyncClient, stripe: FakeStripe) -> None:
    stripe.quirks.livemode = False
    stripe.sell("pat@example.com", 1_000)
    assert await all_of(http, stripe, "charges") == []
    assert len(await all_of(http, stripe, "charges", test_payments=True)) == 1


async def failure(http: httpx.AsyncClient, stripe: FakeStripe, kind: type[Exception]) -> Any:
    with pytest.raises(kind) as caught:
        await StripeConnector().sync_page(ctx(http, stripe), "charges", None, MONTH_AGO)
    assert is_listed(str(caught.value)), f"the table in the plugin's README says nothing of {str(caught.value)!r}"
    return caught.value


async def test_a_key_that_ends_in_the_middle_of_a_sync_asks_to_connect_again(
    http: httpx.AsyncClient, stripe: FakeStripe
) -> None:
    for number in range(3):
        stripe.sell(f"buyer{number}@example.com")
    stripe.quirks.max_limit = 1
    stripe.expire_after(1)
    with pytest.raises(AuthFailed, match=r"^Stripe refuses the key: Expired .* Connect again with a valid one\.$"):
        await all_of(http, stripe, "charges")


async def test_a_permission_taken_away_later_is_named(http: httpx.AsyncClient, stripe: FakeStripe) -> None:
    stripe.quirks.lacks = ("rak_charge_read",)
    words = str(await failure(http, stripe, AuthFailed))
    assert "rak_charge_read" in words
    assert "set these to Read" in words


@pytest.mark.parametrize(("headers", "wait"), [
    ({"Retry-After": "17"}, timedelta(seconds=17)), ({}, None), ({"Retry-After": "soon"}, None),
])  # fmt: skip
async def test_too_many_requests_are_waited_for(
    http: httpx.AsyncClient, stripe: FakeStripe, headers: dict[str, str], wait: timedelta | None
) -> None:
    stripe.throttle(headers=headers)
    error = await failure(http, stripe, Unavailable)
    assert (str(error), error.retry_after) == ("Stripe says: API rate limit exceeded.", wait)


async def test_trouble_at_stripe_is_said_to_be_stripes(http: httpx.AsyncClient, stripe: FakeStripe) -> None:
    stripe.fail(status=500)
    assert str(await failure(http, stripe, Unavailable)) == "Stripe says: Internal Server Error."
    stripe.truncate()
    assert str(await failure(http, stripe, Unavailable)) == "Stripe does not answer."
    stripe.trouble = [*stripe.trouble, stripe.error(502, "")]
    assert str(await failure(http, stripe, Unavailable)) == "Stripe says: HTTP 502."
    await stripe.__aexit__()
    assert str(await failure(http, stripe, Unavailable)) == "Stripe does not answer."


async def test_a_slow_answer_is_given_up_on(stripe: FakeStripe) -> None:
    stripe.slow(0.5)
    async with httpx.AsyncClient(timeout=0.1) as hurried:
        assert str(await failure(hurried, stripe, Unavailable)) == "Stripe does not answer."


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"data": [{"id": 7}]}', b"<html>"])
async def test_an_answer_that_is_none_is_tried_again(http: httpx.AsyncClient, stripe: FakeStripe, body: bytes) -> None:
    from coursesignal.testing.platforms import Reply

    stripe.trouble = [Reply(200, body)]
    assert "not readable" in str(await failure(http, stripe, Unavailable))


async def test_paging_without_end_is_noticed(http: httpx.AsyncClient, stripe: FakeStripe) -> None:
    for number in range(3):
        stripe.sell(f"buyer{number}@example.com")
    stripe.quirks.loops = True
    with pytest.raises(Unavailable, match="same page"):
        await all_of(http, stripe, "charges")
