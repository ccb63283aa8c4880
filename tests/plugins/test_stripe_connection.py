"""Stripe end to end: connect, sync, signed webhooks in any order and number, until the books are the fake's own to the cent."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import Delivery, FakeSale, FakeStripe, StripeQuirks, use_platform

RunJobs = Callable[[], Awaitable[None]]
NOW = datetime.now(UTC).replace(microsecond=0)
PAYLOADS = Path(__file__).parent / "payloads" / "stripe"
ALL, BEFORE_BASIL, ANCIENT = "2026-06-24.dahlia", "2025-02-24.acacia", "2022-08-01"


@pytest.fixture
async def stripe(installation: Runtime) -> AsyncIterator[FakeStripe]:
    async with FakeStripe() as platform:
        use_platform(installation, platform)
        yield platform


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant(plugins=("stripe",))


async def connect(client: httpx.AsyncClient, tenant: ActingTenant, **entered: Any) -> dict[str, Any]:
    form = {"apiKey": "rk_live_stripe", "signingSecret": "whsec_stripe", **entered}
    answer = await client.post("/api/stripe/connect", json=form, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def get(client: httpx.AsyncClient, tenant: ActingTenant, path: str) -> Any:
    answer = await client.get(path, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def deliver(
    client: httpx.AsyncClient, stripe: FakeStripe, url: str, *, copies: int = 1, rng: random.Random | None = None
) -> list[int]:
    path = url.removeprefix("http://coursesignal.test")
    return [one.status_code for one in await stripe.deliver(path, http=client, copies=copies, rng=rng)]


async def books(tenant: ActingTenant) -> dict[str, tuple[int, int]]:
    """What we have booked per currency: charged, and gone back less what came again."""
    async with tenant.transaction() as conn:
        rows = await conn.fetch(
            "select currency, sum(amount_minor) filter (where kind in ('sale', 'renewal', 'instalment'))::bigint as charged, "
            "-coalesce(sum(amount_minor) filter (where kind not in ('sale', 'renewal', 'instalment')), 0)::bigint as back "
            "from charges where tenant_id = $1 group by currency",
            tenant.id,
        )
    return {row["currency"]: (row["charged"], row["back"]) for row in rows}


def ledger(stripe: FakeStripe) -> dict[str, tuple[int, int]]:
    return {currency: (book.charged_minor, book.refunded_minor) for currency, book in stripe.ledger().items()}


async def purchases(tenant: ActingTenant) -> list[Mapping[str, Any]]:
    async with tenant.transaction() as conn:
        found = await conn.fetch(
            "select email, product, charged_minor, refunded_minor, paid_charges, cancelled_at is not null as cancelled, "
            "match from purchases where tenant_id = $1 order by email, purchased_at",
            tenant.id,
        )
    return [dict(row) for row in found]


def trade(stripe: FakeStripe, rng: random.Random, count: int, days: int) -> list[FakeSale]:
    """A history: sales in several currencies, subscriptions that renew, refunds in parts and failed, disputes won and lost."""
    sales: list[FakeSale] = []
    for number in range(count):
        at = NOW - timedelta(days=rng.uniform(0.1, days))
        currency, amount = rng.choice(
            [("USD", 19_900), ("EUR", 4_950), ("JPY", 12_000), ("KWD", 5_120), ("ISK", 4_500)]
        )
        recurring = number % 4 == 0
        sale = stripe.sell(f"buyer{number}@example.com", amount, currency, at=at, recurring=recurring)
        if recurring:
            sales.append(stripe.renew(sale, at=at + (NOW - at) / 2))
        sales.append(sale)
    stripe.sell("free@example.com", 0, at=NOW - timedelta(days=1))
    picked = rng.sample(sales, 8)
    for sale in picked[:4]:
        stripe.refund(sale, sale.amount_minor // 3 // 100 * 100 or 1, at=sale.at + timedelta(hours=1))
    stripe.refund(picked[0], at=picked[0].at + timedelta(hours=2))
    stripe.fail_refund(str(stripe.refund(picked[4])))
    stripe.decide(stripe.dispute(picked[5], at=picked[5].at + timedelta(hours=1)), won=True)
    stripe.decide(stripe.dispute(picked[6], at=picked[6].at + timedelta(hours=1)), won=False)
    stripe.decide(stripe.dispute(picked[7], inquiry=True), won=False)
    stripe.cancel(sales[0])
    return sales


async def test_from_the_key_to_books_that_agree_to_the_cent(
    client: httpx.AsyncClient, tenant: ActingTenant, stripe: FakeStripe, run_jobs: RunJobs
) -> None:
    rng = random.Random(7)
    stripe.sell("too.old@example.com", at=NOW - timedelta(days=40))
    old = stripe.ledger()["USD"].charged_minor
    trade(stripe, rng, 16, days=29)
    stripe.pending.clear()
    stripe.quirks.max_limit = 7
    url = (await connect(client, tenant, signingSecret=""))["webhookUrl"]
    await run_jobs()
    told = ledger(stripe)
    told["USD"] = (told["USD"][0] - old, told["USD"][1])
    assert await books(tenant) == told
    assert "Agrees with Stripe to the cent" in (await get(client, tenant, "/api/stripe/reconciliation"))["message"]

    stripe.sell("early@example.com")
    assert set(await deliver(client, stripe, url)) == {401}, "nothing is believed before there is a secret"
    assert (await connect(client, tenant))["webhookUrl"] == url, "the same connection"
    for _ in range(2):
        trade(stripe, rng, 12, days=0.2)
        assert set(await deliver(client, stripe, url, copies=3, rng=rng)) == {202, 200}, "taken, or known"
    await run_jobs()
    told = ledger(stripe)
    told["USD"] = (told["USD"][0] - old, told["USD"][1])
    assert await books(tenant) == told
    before = await purchases(tenant)
    assert len([one for one in before if one["charged_minor"]]) == 16 + 1 + 2 * 12

    await client.post("/api/stripe/sync", headers=tenant.headers)
    await run_jobs()
    assert await books(tenant) == told
    after = await purchases(tenant)
    assert len(after) == len(before)
    assert {one["product"] for one in after} == {"Example Course"}, "told by the sync"
    assert sum(one["cancelled"] for one in after) == 3
    found = await get(client, tenant, "/api/stripe/reconciliation")
    assert (found["agrees"], found["differing"]) == (True, [])


@pytest.mark.parametrize(("version", "pushes"), [
    (ALL, None),
    (BEFORE_BASIL, None),
    (ANCIENT, None),
    (ALL, ("checkout.session.completed", "invoice.paid", "invoice_payment.paid", "charge.refunded")),
    (BEFORE_BASIL, ("checkout.session.completed", "invoice.paid", "charge.refunded")),
])  # fmt: skip
async def test_whatever_an_endpoint_is_sent_every_payment_is_booked_once(
    client: httpx.AsyncClient, tenant: ActingTenant, stripe: FakeStripe, run_jobs: RunJobs, version: str,
    pushes: tuple[str, ...] | None,
) -> None:  # fmt: skip
    stripe.quirks = StripeQuirks(webhook_version=version, pushes=pushes)
    url = (await connect(client, tenant))["webhookUrl"]
    await run_jobs()
    once = stripe.sell("once@example.com", 19_900)
    club = stripe.sell("club@example.com", 4_900, recurring=True)
    stripe.renew(club)
    for amount in (1_000, 2_500):
        stripe.refund(once, amount)
    assert set(await deliver(client, stripe, url, copies=2, rng=random.Random(3))) == {202, 200}
    await run_jobs()
    assert await books(tenant) == {"USD": (19_900 + 2 * 4_900, 3_500)}
    paid = [
        (one["email"], one["charged_minor"], one["refunded_minor"], one["paid_charges"])
        for one in await purchases(tenant)
    ]
    assert paid == [("club@example.com", 9_800, 0, 2), ("once@example.com", 19_900, 3_500, 1)]

    await client.post("/api/stripe/sync", headers=tenant.headers)
    await run_jobs()
    assert await books(tenant) == {"USD": (19_900 + 2 * 4_900, 3_500)}
    assert (await get(client, tenant, "/api/stripe/reconciliation"))["agrees"] is True


HISTORY = (
    "charge.succeeded", "invoice_payment.paid", "invoice.paid", "refund.created", "charge.refunded",
    "customer.subscription.deleted",
)  # fmt: skip


async def test_six_events_end_in_one_state_in_whatever_order_they_come(
    client: httpx.AsyncClient, tenant: ActingTenant, stripe: FakeStripe, run_jobs: RunJobs
) -> None:
    stripe.quirks.pushes = HISTORY
    url = (await connect(client, tenant))["webhookUrl"]
    rng = random.Random(11)
    orders = rng.sample(list(permutations(range(len(HISTORY)))), 36)
    waiting: list[list[Delivery]] = []
    for number in range(len(orders)):
        sale = stripe.sell(f"buyer{number}@example.com", 4_900, recurring=True)
        stripe.refund(sale, 1_900)
        stripe.cancel(sale)
        waiting.append(stripe.pending)
        stripe.pending = []
    for turn in range(len(HISTORY)):
        stripe.pending = [waiting[number][order[turn]] for number, order in enumerate(orders)]
        await deliver(client, stripe, url, copies=2, rng=rng)
        await run_jobs()
    states = {tuple(v for k, v in one.items() if k != "email") for one in await purchases(tenant)}
    assert states == {("Example Course", 4_900, 1_900, 1, True, "unmatched")}
    assert len(await purchases(tenant)) == len(orders)
    assert await books(tenant) == ledger(stripe)


async def make_due(tenant: ActingTenant) -> None:
    """Let waiting work be due, as time would."""
    async with tenant.transaction() as conn:
        await conn.execute("update outbox set run_at = now() where tenant_id = $1 and status = 'pending'", tenant.id)


async def test_a_sync_through_all_trouble_ends_with_books_that_agree(
    client: httpx.AsyncClient, tenant: ActingTenant, stripe: FakeStripe, run_jobs: RunJobs
) -> None:
    for number in range(6):
        stripe.sell(f"buyer{number}@example.com", at=NOW - timedelta(days=number))
    stripe.quirks.max_limit = 2
    await connect(client, tenant)
    stripe.throttle(headers={"Retry-After": "2"})
    stripe.throttle()
    stripe.fail()
    stripe.truncate()
    seen = []
    for _ in range(5):
        await run_jobs()
        seen.append((await get(client, tenant, "/api/stripe/sync-status"))["message"])
        await make_due(tenant)
    assert seen[0] == "Stripe says: API rate limit exceeded. Trying again in 2 s."
    assert seen[-1] == "6 synced, 0 matched"
    assert await books(tenant) == ledger(stripe)

    stripe.sell("later@example.com")
    stripe.expire()
    await client.post("/api/stripe/sync", headers=tenant.headers)
    await run_jobs()
    status = await get(client, tenant, "/api/stripe/status")
    assert status["state"] == "needs_reauth"
    assert (
        status["problem"]
        == "Stripe refuses the key: Expired API Key provided: rk_live_****ripe. Connect again with a valid one."
    )
    stripe.api_key, stripe.expired = "rk_live_the_next", False
    again = await connect(client, tenant, apiKey="rk_live_the_next")
    assert again["webhookUrl"] == status["webhookUrl"]
    await run_jobs()
    assert await books(tenant) == ledger(stripe)
    assert len(await purchases(tenant)) == 7


async def test_a_tampered_replayed_or_foreign_webhook_is_refused_and_stores_nothing(
    client: httpx.AsyncClient, tenant: ActingTenant, stripe: FakeStripe
) -> None:
    path = (await connect(client, tenant))["webhookUrl"].removeprefix("http://coursesignal.test")
    stripe.sell("pat@example.com")
    body = stripe.pending[0].body
    good = stripe.signature(body)
    now = int(datetime.now(UTC).timestamp())
    stripe.signing_secrets = ["whsec_other"]
    foreign = stripe.signature(body)
    stripe.signing_secrets = ["whsec_stripe"]
    attempts: list[tuple[bytes, dict[str, str]]] = [
        (body.replace(b"9900", b"9901"), {"stripe-signature": good}),
        (body + b"\n", {"stripe-signature": good}),
        (body, {"stripe-signature": stripe.signature(body, now - 400)}),
        (body, {"stripe-signature": stripe.signature(body, now + 400)}),
        (body, {"stripe-signature": good.replace("v1=", "v0=")}),
        (body, {"stripe-signature": foreign}),
        (body, {"stripe-signature": ""}),
        (body, {}),
    ]
    for content, headers in attempts:
        answer = await client.post(path, content=content, headers=headers)
        assert (answer.status_code, answer.json()["type"].rsplit(":", 1)[-1]) == (401, "webhook-rejected"), headers
    async with tenant.transaction() as conn:
        assert await conn.fetchval("select count(*) from inbox where tenant_id = $1", tenant.id) == 0
    assert (await client.post(path, content=body, headers={"stripe-signature": good})).status_code == 202


async def test_every_documented_payload_is_taken_in(
    client: httpx.AsyncClient, tenant: ActingTenant, stripe: FakeStripe, run_jobs: RunJobs
) -> None:
    path = (await connect(client, tenant))["webhookUrl"].removeprefix("http://coursesignal.test")
    for payload in sorted(PAYLOADS.glob("*.json")):
        body = payload.read_bytes()
        answer = await client.post(path, content=body, headers={"stripe-signature": stripe.signature(body)})
        assert answer.status_code == 202, payload.name
    await run_jobs()
    items = (await get(client, tenant, "/api/connections/inbox?limit=100"))["items"]
    assert [item["problem"] for item in items if item["problem"]] == []
    counted = Counter(item["status"] for item in items)
    assert counted == {"done": len(items) - 7, "ignored": 7}, (
        "what is no money and nobody's is left out, and said to be"
    )
    assert {item["trust"] for item in items} == {"signed"}
    (bought, *others) = [one for one in await purchases(tenant) if one["charged_minor"]]
    assert others == [], "whatever version of whatever object: they all tell of one purchase"
    assert bought["email"] == "pat@example.test"


async def test_while_a_secret_is_rolled_webhooks_of_either_are_taken(
    client: httpx.AsyncClient, tenant: ActingTenant, stripe: FakeStripe
) -> None:
    url = (await connect(client, tenant, signingSecret="whsec_stripe whsec_next"))["webhookUrl"]
    for secrets in (["whsec_stripe"], ["whsec_stripe", "whsec_next"], ["whsec_next"]):
        stripe.signing_secrets = secrets
        stripe.sell("pat@example.com")
        assert set(await deliver(client, stripe, url)) == {202}
    await connect(client, tenant, signingSecret="whsec_next")
    stripe.signing_secrets = ["whsec_stripe"]
    stripe.sell("pat@example.com")
    assert set(await deliver(client, stripe, url)) == {401}


async def test_test_payments_count_only_where_that_was_chosen(
    client: httpx.AsyncClient, tenant: ActingTenant, stripe: FakeStripe, run_jobs: RunJobs
) -> None:
    stripe.api_key, stripe.quirks.livemode = "rk_test_stripe", False
    refused = await client.post("/api/stripe/connect", json={"apiKey": "rk_test_stripe"}, headers=tenant.headers)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["path"] == "apiKey"
    url = (await connect(client, tenant, apiKey="rk_test_stripe", testPayments=True))["webhookUrl"]
    stripe.sell("pat@example.com", 4_200)
    assert set(await deliver(client, stripe, url)) == {202}
    await run_jobs()
    assert await books(tenant) == {"USD": (4_200, 0)}


async def test_a_visitor_taken_along_to_checkout_becomes_the_buyer(
    client: httpx.AsyncClient, tenant: ActingTenant, stripe: FakeStripe, run_jobs: RunJobs
) -> None:
    url = (await connect(client, tenant))["webhookUrl"]
    await run_jobs()
    linked, billed, known, unseen = (str(uuid4()) for _ in range(4))
    for visitor in (linked, billed, known):
        page = {"eventId": str(uuid4()), "type": "pageview", "url": "https://www.example.com/?utm_source=podcast"}
        events = [page]
        if visitor == known:
            events.append(
                {"eventId": str(uuid4()), "type": "identify", "email": "somebody.else@example.com"}
                | {"url": page["url"]}
            )
        body = {"siteKey": tenant.site_key, "visitorId": visitor, "events": events}
        assert (await client.post("/api/tracking/event", json=body)).status_code == 202
    await run_jobs()
    stripe.sell("linked@example.com", visitor=linked)
    stripe.sell("billed@example.com", recurring=True, metadata={"coursesignal_visitor": billed})
    stripe.sell("shares.a.device@example.com", visitor=known)
    stripe.sell("unseen@example.com", visitor=unseen)
    stripe.sell("own.reference@example.com", visitor="student-42")
    await deliver(client, stripe, url, rng=random.Random(5))
    await run_jobs()
    matched = {one["email"]: one["match"] for one in await purchases(tenant)}
    assert matched == {
        "linked@example.com": "email", "billed@example.com": "email", "shares.a.device@example.com": "unmatched",
        "unseen@example.com": "unmatched", "own.reference@example.com": "unmatched",
    }  # fmt: skip
    async with tenant.transaction() as conn:
        assert await conn.fetchval("select count(*) from visitors where tenant_id = $1", tenant.id) == 3
        people = await conn.fetchval(
            "select count(*) from people where tenant_id = $1 and merged_into is null", tenant.id
        )
    assert people == 6, "evidence of a browser never makes two people one"
    summary = await get(client, tenant, "/api/analytics/sources?range=7d")
    assert {row["source"]: row["revenueMinor"] for row in summary["rows"] if row.get("source") == "podcast"}


async def test_the_script_for_payment_links_is_there_for_anybodys_page(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    answer = await client.get(f"/api/public/stripe/links.js?site={tenant.site_key}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "client_reference_id" in answer.text
