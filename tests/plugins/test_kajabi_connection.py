"""Kajabi end to end: connect, hooks, sync, webhooks in any order and number, until the books are the fake's own to the cent."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import httpx
import pytest

from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import Delivery, FakeKajabi, FakeSale, KajabiQuirks, use_platform

RunJobs = Callable[[], Awaitable[None]]
NOW = datetime.now(UTC).replace(microsecond=0)
KEY = {"clientId": "kajabi-client", "clientSecret": "kajabi-secret"}
HOOKS = ("payment_succeeded", "purchase", "order_created")


@pytest.fixture
async def kajabi(installation: Runtime) -> AsyncIterator[FakeKajabi]:
    async with FakeKajabi() as platform:
        use_platform(installation, platform)
        yield platform


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant(plugins=("kajabi",))


async def connect(client: httpx.AsyncClient, tenant: ActingTenant, **entered: Any) -> dict[str, Any]:
    answer = await client.post("/api/kajabi/connect", json={**KEY, **entered}, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def get(client: httpx.AsyncClient, tenant: ActingTenant, path: str) -> Any:
    answer = await client.get(path, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def hurry(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    """Ask as fast as it goes: this Kajabi is ours."""
    which = (await get(client, tenant, "/api/kajabi/status"))["connectionId"]
    limits = {"requestsPerMinute": 10_000}
    answer = await client.patch(f"/api/connections/{which}", json=limits, headers=tenant.headers)
    assert answer.status_code == 200, answer.text


async def watched(client: httpx.AsyncClient, tenant: ActingTenant, run_jobs: RunJobs) -> list[str]:
    """Let the sync that waits run to its end; what was said of it meanwhile."""
    seen: list[str] = []

    async def watch() -> None:
        status = ""
        while status not in ("completed", "failed"):
            told = await get(client, tenant, "/api/kajabi/sync-status")
            status = told["status"]
            seen.append(told["message"])
            await asyncio.sleep(0)

    await asyncio.wait_for(asyncio.gather(run_jobs(), watch()), 60)
    return seen


async def sync(client: httpx.AsyncClient, tenant: ActingTenant, run_jobs: RunJobs) -> dict[str, Any]:
    """Sync by hand to the end; how it compares."""
    assert (await client.post("/api/kajabi/sync", headers=tenant.headers)).status_code == 202
    await run_jobs()
    found: dict[str, Any] = await get(client, tenant, "/api/kajabi/reconciliation")
    return found


async def deliver(
    client: httpx.AsyncClient, kajabi: FakeKajabi, url: str, *, copies: int = 1, rng: random.Random | None = None
) -> set[int]:
    path = url.removeprefix("http://coursesignal.test")
    return {one.status_code for one in await kajabi.deliver(path, http=client, copies=copies, rng=rng)}


async def books(tenant: ActingTenant) -> dict[str, tuple[int, int]]:
    """What we have booked per currency: charged, and gone back."""
    async with tenant.transaction() as conn:
        rows = await conn.fetch(
            "select currency, sum(amount_minor) filter (where kind in ('sale', 'renewal', 'instalment'))::bigint as charged, "
            "-coalesce(sum(amount_minor) filter (where kind in ('refund', 'dispute')), 0)::bigint as back "
            "from charges where tenant_id = $1 group by currency",
            tenant.id,
        )
    return {row["currency"]: (row["charged"], row["back"]) for row in rows}


def ledger(kajabi: FakeKajabi, since: datetime | None = None) -> dict[str, tuple[int, int]]:
    return {currency: (book.charged_minor, book.refunded_minor) for currency, book in kajabi.ledger(since).items()}


async def purchases(tenant: ActingTenant) -> list[dict[str, Any]]:
    """Every purchase with money, by buyer."""
    async with tenant.transaction() as conn:
        found = await conn.fetch(
            "select p.email, p.product, p.charged_minor, p.refunded_minor, p.paid_charges, p.plan_payments, p.hints, "
            "p.cancelled_at is not null as cancelled, "
            "(select array_agg(c.kind order by c.occurred_at, c.external_id) from charges c "
            " where c.tenant_id = $1 and c.purchase_id = p.id) as kinds, "
            "(select array_agg(i.title || ' ' || coalesce(i.amount_minor::text, '?') order by i.title) from purchase_items i "
            " where i.tenant_id = $1 and i.purchase_id = p.id) as items "
            "from purchases p where p.tenant_id = $1 and p.charged_minor > 0 order by p.email, p.purchased_at",
            tenant.id,
        )
    return [dict(row) for row in found]


def trade(kajabi: FakeKajabi, rng: random.Random, count: int, days: float) -> list[FakeSale]:
    """A history: one-time, with bumps, subscriptions, plans, in two currencies; a tenth refunded, disputes, free and failed."""
    sales: list[FakeSale] = []
    for number in range(count):
        at = NOW - timedelta(days=rng.uniform(days / 2, days))
        buyer, currency = f"buyer{len(kajabi.transactions)}@example.com", rng.choice(["USD", "EUR"])
        match number % 5:
            case 0:
                sale = kajabi.sell(buyer, 4_900, currency, at=at, product="Club", recurring=True, coupon="SPRING")
                sales.append(kajabi.renew(sale, at=at + (NOW - at) / 2))
            case 1:
                sale = kajabi.sell(buyer, 9_900, currency, at=at, bumps=[("Workbook", 1_900), ("Call", 5_000)])
            case 2:
                sale = kajabi.sell(buyer, 3_300, currency, at=at, product="In parts", payments=3)
                sales.append(kajabi.renew(sale, at=at + (NOW - at) / 3))
            case _:
                sale = kajabi.sell(buyer, 19_900, currency, at=at, source="newsletter")
        sales.append(sale)
    for sale in rng.sample(sales, max(1, count // 10)):
        kajabi.refund(sale, 1_000, at=sale.at + timedelta(minutes=5))
    kajabi.refund(sales[0], at=sales[0].at + timedelta(minutes=9))
    kajabi.dispute(sales[-1], at=sales[-1].at + timedelta(minutes=5))
    kajabi.cancel(sales[1], at=NOW - timedelta(minutes=3))
    kajabi.sell("free@example.com", 0, at=NOW - timedelta(days=days / 2))
    for unpaid in (kajabi.fail_payment, kajabi.begin_payment, kajabi.test_payment):
        unpaid("nobody@example.com", at=NOW - timedelta(days=days / 2))
    return sales


SHAPES = {
    "as documented": KajabiQuirks(max_page_size=7),
    "before June 2026, all rows listed, filters dead": KajabiQuirks(
        links_purchases=False, lists_everything=True, ignores_dates=True, ignores_filters=True, positive_refunds=True,
        paging="total_only", max_page_size=11,
    ),
    "bare pages, integer ids": KajabiQuirks(
        paging="self_only", integer_ids=True, names_offers=False, instalments_as="charge", cancelling_is_a_change=False,
        orders_name_payments=True, tells_plans=True, counts_all_payments=True, max_page_size=9,
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
async def test_from_the_key_to_books_that_agree_to_the_cent(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs, shape: str
) -> None:
    rng = random.Random(7)
    kajabi.quirks = SHAPES[shape]
    kajabi.sell("too.old@example.com", at=NOW - timedelta(days=40))
    begun = kajabi.sell("begun.before@example.com", 3_300, product="In parts", at=NOW - timedelta(days=60), payments=3)
    for day in (35, 5):
        kajabi.renew(begun, at=NOW - timedelta(days=day))
    recent = NOW - timedelta(days=30)
    trade(kajabi, rng, 20, days=28)
    kajabi.pending.clear()

    url = (await connect(client, tenant))["webhookUrl"]
    await hurry(client, tenant)
    assert sorted(hook["attributes"]["event"] for hook in kajabi.hooks.values()) == sorted(HOOKS)
    path = url.removeprefix("http://coursesignal.test")
    assert [(await client.request(method, path)).status_code for method in ("HEAD", "GET")] == [200, 200]
    seen = await watched(client, tenant, run_jobs)
    assert any(re.fullmatch(r"Syncing (\d+ )?purchases… \d+(/\d+)?", message) for message in seen), seen
    assert re.fullmatch(r"\d+ synced, 0 matched", seen[-1])
    assert await books(tenant) == ledger(kajabi, recent)
    assert "Agrees with Kajabi to the cent" in (await get(client, tenant, "/api/kajabi/reconciliation"))["message"]
    done = await get(client, tenant, "/api/kajabi/sync-status")
    bought = len(await purchases(tenant))
    assert (done["status"], done["processed"]) == ("completed", done["total"])
    if kajabi.quirks.links_purchases:  # else the transactions alone do not tell which are of one purchase
        assert done["processed"] == bought, "each purchase once"

    for _ in range(2):
        trade(kajabi, rng, 10, days=0.2)
        assert await deliver(client, kajabi, url, copies=3, rng=rng) == {202, 200}, "taken, or known"
        await run_jobs()
        told = {currency: charged for currency, (charged, _) in (await books(tenant)).items()}
        assert told == {currency: charged for currency, (charged, _) in ledger(kajabi, recent).items()}
    found = await sync(client, tenant, run_jobs)
    assert (found["agrees"], found["differing"]) == (True, []), "refunds come by sync"
    assert await books(tenant) == ledger(kajabi, recent)
    everything = await purchases(tenant)
    assert len(everything) == 20 + 2 * 10 + 1
    assert sum(one["cancelled"] for one in everything) == 3
    status = await get(client, tenant, "/api/kajabi/status")
    assert (status["state"], status["unverified"]) == ("ready", [])

    assert (await sync(client, tenant, run_jobs))["agrees"] is True
    assert await purchases(tenant) == everything, "a sync of what is known changes nothing"


@pytest.mark.parametrize("shape", SHAPES)
async def test_each_kind_of_sale_ends_as_one_purchase_that_tells_what_it_was(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs, shape: str
) -> None:
    kajabi.quirks = SHAPES[shape]
    at = NOW - timedelta(days=9)
    cart = kajabi.sell("a.cart@example.com", 9_900, at=at, bumps=[("Call", 5_000), ("Workbook", 1_900)])
    kajabi.refund(cart, 1_900, at=at + timedelta(days=1))
    plan = kajabi.sell("b.plan@example.com", 3_300, at=at, product="In parts", payments=3)
    for day in (1, 2):
        kajabi.renew(plan, at=at + timedelta(days=day))
    club = kajabi.sell("c.club@example.com", 4_900, at=at, product="Club", recurring=True)
    kajabi.renew(club, at=at + timedelta(days=5))
    kajabi.cancel(club, at=at + timedelta(days=6))
    for day in (0, 3):
        again = kajabi.sell("d.twice@example.com", 2_500, at=at + timedelta(days=day), product="Template")
    kajabi.refund(again, at=at + timedelta(days=4))
    kajabi.dispute(kajabi.sell("e.dispute@example.com", 700, at=at), at=at + timedelta(days=2))
    kajabi.sell("f.told@example.com", 800, at=at, coupon="SPRING", source="newsletter", referrer="blog.example.com")
    await connect(client, tenant)
    await run_jobs()
    found = await purchases(tenant)
    told = [
        (one["email"].split("@")[0], one["charged_minor"], one["refunded_minor"], one["kinds"], one["cancelled"])
        for one in found
    ]
    assert told == [
        ("a.cart", 16_800, 1_900, ["sale", "refund"], False),
        ("b.plan", 9_900, 0, ["sale", "instalment", "instalment"], False),
        ("c.club", 9_800, 0, ["sale", "renewal"], True),
        ("d.twice", 2_500, 0, ["sale"], False),
        ("d.twice", 2_500, 2_500, ["sale", "refund"], False),
        ("e.dispute", 700, 700, ["sale", "dispute"], False),
        ("f.told", 800, 0, ["sale"], False),
    ]
    assert found[0]["items"] == ["Call 5000", "Example Course 9900", "Workbook 1900"]
    assert found[1]["plan_payments"] == (3 if kajabi.quirks.tells_plans else None)
    assert found[-1]["hints"] == {"coupon": "SPRING", "source": "newsletter", "referrer": "blog.example.com"}


async def test_four_pushes_of_one_sale_end_in_one_state_in_whatever_order_they_come(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    url = (await connect(client, tenant))["webhookUrl"]
    orders = list(permutations(range(4)))
    waiting: list[list[Delivery]] = []
    for number in range(len(orders)):
        sale = kajabi.sell(f"buyer{number}@example.com", 4_900, recurring=True)
        kajabi.renew(sale)
        kajabi.refund(sale, 1_900)
        kajabi.cancel(sale)
        waiting.append(kajabi.pending)
        kajabi.pending = []
    assert {len(one) for one in waiting} == {4}
    for turn in range(4):
        kajabi.pending = [waiting[number][order[turn]] for number, order in enumerate(orders)]
        await deliver(client, kajabi, url, copies=2, rng=random.Random(turn))
        await run_jobs()
        if turn == 1:
            await sync(client, tenant, run_jobs)
    assert (await sync(client, tenant, run_jobs))["agrees"] is True
    found = await purchases(tenant)
    states = {tuple(map(str, (v for k, v in one.items() if k != "email"))) for one in found}
    assert len(found) == len(orders)
    assert len(states) == 1, states
    assert (found[0]["charged_minor"], found[0]["refunded_minor"], found[0]["cancelled"]) == (9_800, 1_900, True)
    assert await books(tenant) == ledger(kajabi)


async def make_due(tenant: ActingTenant) -> None:
    """Let waiting work be due, as time would."""
    async with tenant.transaction() as conn:
        await conn.execute("update outbox set run_at = now() where tenant_id = $1 and status = 'pending'", tenant.id)
        await conn.execute("update connection_meters set paused_until = null where tenant_id = $1", tenant.id)


async def test_a_sync_through_all_trouble_ends_with_books_that_agree(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    for number in range(9):
        sale = kajabi.sell(f"buyer{number}@example.com", at=NOW - timedelta(days=number), bumps=[("Workbook", 900)])
    kajabi.refund(sale, 400)
    kajabi.pending.clear()
    kajabi.quirks.max_page_size = 2
    await connect(client, tenant)
    kajabi.throttle(headers={"Retry-After": "2"})
    kajabi.throttle()
    kajabi.fail()
    kajabi.truncate()
    kajabi.expire_after(12)
    seen = []
    for _ in range(5):
        await run_jobs()
        seen.append((await get(client, tenant, "/api/kajabi/sync-status"))["message"])
        await make_due(tenant)
    assert seen[0] == "Kajabi asks us to slow down (429). Trying again in 2 s."
    assert seen[-1] == "9 synced, 0 matched"
    assert await books(tenant) == ledger(kajabi)
    assert (await get(client, tenant, "/api/kajabi/reconciliation"))["agrees"] is True

    kajabi.sell("later@example.com")
    kajabi.client_secret = "rotated"
    assert (await client.post("/api/kajabi/sync", headers=tenant.headers)).status_code == 202
    await run_jobs()
    assert (await get(client, tenant, "/api/kajabi/status"))["state"] == "needs_reauth"
    await connect(client, tenant, clientSecret="rotated")
    await run_jobs()
    assert (await get(client, tenant, "/api/kajabi/status"))["state"] == "ready"
    assert await books(tenant) == ledger(kajabi)


async def test_hooks_move_with_the_address_and_go_with_the_connection_and_no_sale_is_lost_or_doubled(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    def targets() -> list[str]:
        return [hook["attributes"]["target_url"] for hook in kajabi.hooks.values()]

    kajabi.sell("before@example.com", 1_000, at=NOW - timedelta(days=2))
    old = (await connect(client, tenant))["webhookUrl"]
    await run_jobs()
    which = (await get(client, tenant, "/api/kajabi/status"))["connectionId"]
    moved = await client.post(f"/api/connections/{which}/new-address", json={}, headers=tenant.headers)
    new = moved.json()["webhookUrl"]
    assert new != old
    assert targets() == [new] * 3
    kajabi.sell("sent.before.it.moved@example.com", 2_000)
    assert await deliver(client, kajabi, old) == {202}
    kajabi.sell("after@example.com", 3_000)
    assert await deliver(client, kajabi, new) == {202}
    await run_jobs()

    answer = await client.delete("/api/kajabi/disconnect", headers=tenant.headers)
    assert answer.status_code == 204
    assert (targets(), kajabi.tokens) == ([], {})
    kajabi.sell("while.away@example.com", 4_000)
    assert await deliver(client, kajabi, new) == {404}
    kajabi.pending.clear()
    assert (await connect(client, tenant))["webhookUrl"] == new
    assert targets() == [new] * 3
    await run_jobs()
    assert await books(tenant) == ledger(kajabi)
    assert len(await purchases(tenant)) == 4


@pytest.mark.parametrize("nested", [False, True])
async def test_webhooks_made_in_kajabis_settings_bring_the_same_sales(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs, nested: bool
) -> None:
    kajabi.quirks = KajabiQuirks(refuses_hooks_for=("order_created",), ui_webhooks=True, nests_purchase_created=nested)
    connected = await connect(client, tenant)
    assert (connected["webhooks"], kajabi.hooks) == ("manual", {}), "those that could be made are not left behind"
    assert "Payment Succeeded" in connected["webhookHelp"]
    await run_jobs()
    club = kajabi.sell("club@example.com", 4_900, recurring=True, affiliate="Aff Example", coupon="SPRING")
    kajabi.renew(club)
    kajabi.sell("once@example.com", 19_900)
    kajabi.test_event()
    await deliver(client, kajabi, connected["webhookUrl"], copies=2, rng=random.Random(3))
    await run_jobs()
    assert await books(tenant) == ledger(kajabi)
    assert [one["charged_minor"] for one in await purchases(tenant)] == [9_800, 19_900]
    hints = {} if nested else {"coupon": "SPRING", "affiliate": "900"}
    assert (await purchases(tenant))[0]["hints"].items() >= hints.items()
    assert (await get(client, tenant, "/api/kajabi/status"))["unverified"] != []
    found = await sync(client, tenant, run_jobs)
    assert found["agrees"] is True
    assert (await get(client, tenant, "/api/kajabi/status"))["unverified"] == []
    assert await books(tenant) == ledger(kajabi)


async def test_where_the_settings_webhooks_count_otherwise_they_can_be_refused_and_nothing_is_there_twice(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs
) -> None:
    kajabi.quirks = KajabiQuirks(ui_webhooks=True, own_ui_ids=True)
    url = (await connect(client, tenant))["webhookUrl"]
    await run_jobs()
    kajabi.sell("pat@example.com", 4_900)
    await deliver(client, kajabi, url)
    found = await sync(client, tenant, run_jobs)
    assert (found["agrees"], len(found["differing"])) == (False, 1), "the reconciliation shows it"

    tidy = await connect(client, tenant, refuseUiWebhooks=True)
    assert tidy["webhookUrl"] == url
    kajabi.sell("sam@example.com", 5_900)
    assert await deliver(client, kajabi, url) == {401}
    kajabi.pending.clear()
    kajabi.quirks.ui_webhooks = False
    kajabi.sell("kim@example.com", 6_900)
    assert await deliver(client, kajabi, url) == {202}, "the API's hooks are another matter"
    await sync(client, tenant, run_jobs)
    paid = [(one["email"], one["charged_minor"]) for one in await purchases(tenant)]
    assert [one for one in paid if one[0] != "pat@example.com"] == [
        ("kim@example.com", 6_900),
        ("sam@example.com", 5_900),
    ]
