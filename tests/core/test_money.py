"""Payment plans, products and recomputes, through the front door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursesignal.analytics.plans import plan_row
from coursesignal.analytics.products import table_of
from coursesignal.attribution.allocate import allocate
from coursesignal.commerce.service import record
from coursesignal.plugin import Charge, Contact, Item, Plan, PlatformEvent, PurchaseFacts, RefundTotal
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

NOON = datetime(2024, 5, 4, 12, tzinfo=UTC)
MAY = {"from": "2024-05-01", "to": "2024-05-31"}


def on_day(day: int) -> datetime:
    return NOON + timedelta(days=day)


async def get(client: httpx.AsyncClient, shop: ActingTenant, report: str, **params: str) -> Any:
    answer = await client.get(f"/api/analytics/{report}", params=params, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def book(shop: ActingTenant, *events: PlatformEvent) -> None:
    """Told by one platform, and credited."""
    async with shop.transaction() as conn:
        connection_id: UUID = await conn.fetchval(
            "insert into connections (tenant_id, platform, key_hash, sealed_key, account_id, state) "
            "values ($1, 'kajabi', $2, ''::bytea, $3, 'ready') returning id",
            shop.id, uuid4().bytes, str(uuid4()),
        )  # fmt: skip
        booked = await record(conn, shop.id, connection_id, "kajabi", events)
    await History(shop).credit(booked.purchase_ids)


def paid(number: str, amount: int, day: int, *, of: str, kind: Any = "sale", items: tuple[Item, ...] = ()) -> Charge:
    return Charge(
        external_id=number, kind=kind, amount_minor=amount, currency="USD", occurred_at=on_day(day), purchase_keys=(of,),
        contact=Contact(email=f"{of}@example.com"), items=items,
    )  # fmt: skip


def said(of: str, plan: Plan, day: int = 0, **more: Any) -> PurchaseFacts:
    return PurchaseFacts(purchase_keys=(of,), occurred_at=on_day(day), plan=plan, **more)


async def test_plans_show_what_is_collected_contracted_and_at_risk(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    shop = await make_tenant()
    await book(
        shop,
        paid("a1", 10_000, 0, of="ann"), said("ann", Plan(payments=3)),
        paid("a2", 10_000, 30, of="ann", kind="instalment"),
        RefundTotal(
            charge_external_id="a2", total_minor=1_000, currency="USD", occurred_at=on_day(31), purchase_keys=("ann",)
        ),
        paid("b1", 5_000, 0, of="bea"),
        said("bea", Plan(total_minor=20_000, next_due_at=datetime(2999, 1, 1, tzinfo=UTC))),
        paid("c1", 7_000, 1, of="cid"), paid("c2", 7_000, 31, of="cid", kind="instalment"),
        paid("d1", 3_000, 2, of="dan"), said("dan", Plan(payments=2)), said("dan", Plan(failed_at=on_day(33)), 33),
        paid("e1", 4_000, 3, of="eve"), paid("e2", 4_000, 33, of="eve"), said("eve", Plan(payments=2)),
        paid("f1", 9_900, 4, of="fay"),
    )  # fmt: skip
    report = await get(client, shop, "plans", **MAY)
    found = {row["email"].split("@")[0]: row for row in report["rows"]}
    assert {
        name: (row["standing"], row["risk"], row["collectedMinor"], row["contractedMinor"], row["atRiskMinor"])
        for name, row in found.items()
    } == {
        "ann": ("at_risk", "overdue", 19_000, 30_000, 10_000),
        "bea": ("active", "", 5_000, 20_000, 0),
        "cid": ("at_risk", "overdue", 14_000, None, None),
        "dan": ("at_risk", "payment_failed", 3_000, 6_000, 3_000),
        "eve": ("completed", "", 8_000, 8_000, 0),
    }
    assert (found["ann"]["nextDueAt"], found["ann"]["nextDueIsEstimated"]) == ("2024-07-03T12:00:00Z", True)
    assert (found["bea"]["nextDueAt"], found["bea"]["nextDueIsEstimated"]) == ("2999-01-01T00:00:00Z", False)
    assert report["totals"] == {
        "plans": 5, "unknown": 1, "collectedMinor": 49_000, "contractedMinor": 64_000, "outstandingMinor": 28_000,
        "atRiskMinor": 13_000,
    }  # fmt: skip
    assert (await get(client, shop, "plans", limit="1"))["totals"] == report["totals"]
    assert (await get(client, shop, "plans", **{"from": "2023-01-01", "to": "2023-01-02"}))["hint"]
    refused = await client.get("/api/analytics/plans?convert=true", headers=shop.headers)
    assert refused.status_code == 422


def test_a_disputed_or_cancelled_plan_is_at_risk_and_a_paid_one_is_not() -> None:
    row: dict[str, Any] = {
        "id": uuid4(), "platform": "kajabi", "product": "", "email": None, "purchased_at": NOON, "payments_made": 1,
        "charged_minor": 100, "refunded_minor": 0, "plan_payments": 2, "plan_total_minor": None, "first_minor": 100,
        "last_paid": [NOON], "plan_next_due_at": None, "plan_failed_at": None, "cancelled_at": None, "disputed": False,
    }  # fmt: skip
    assert plan_row(row, NOON).standing == "active"
    assert plan_row({**row, "disputed": True}, NOON).risk == "disputed"
    assert plan_row({**row, "cancelled_at": NOON}, NOON).risk == "cancelled"
    assert plan_row({**row, "charged_minor": 200, "cancelled_at": NOON}, NOON).risk == ""
    assert plan_row({**row, "plan_failed_at": NOON - timedelta(1)}, NOON).risk == ""  # made up for since


async def test_products_share_every_charge_and_its_refunds_and_sources(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    shop = await make_tenant()
    past = History(shop)
    await past.visit("ann", on_day(-2), "youtube", email="ann@example.com")
    await past.visit("ann", on_day(-1), "google")
    course, bump = Item(external_id="1", title="Course", amount_minor=9_000), Item(external_id="2", title="Bump")
    await book(
        shop,
        paid("a1", 10_001, 0, of="ann", items=(course, bump)),
        RefundTotal(
            charge_external_id="a1", total_minor=3_333, currency="USD", occurred_at=on_day(9), purchase_keys=("ann",)
        ),
        paid("b1", 500, 1, of="bea"),
    )  # fmt: skip
    report = await get(client, shop, "products", model="linear", **MAY)
    rows = {row["product"]: row for row in report["rows"]}
    assert {name: (row["chargedMinor"], row["refundedMinor"]) for name, row in rows.items()} == {
        "Course": (9_000, 2_999), "Bump": (1_001, 334), "": (500, 0),
    }  # fmt: skip
    assert report["totals"] == {"chargedMinor": 10_501, "refundedMinor": 3_333, "revenueMinor": 7_168}
    for row in report["rows"]:
        shared = sum(source["revenueMinor"] for source in row["sources"])
        assert shared + row["unattributedMinor"] == row["revenueMinor"]
    listed = await get(client, shop, "sources", model="linear", **MAY)
    by_source = {row["source"]: row["revenueMinor"] for row in listed["rows"]}
    for source in ("youtube", "google"):
        told = [one["revenueMinor"] for row in report["rows"] for one in row["sources"] if one["source"] == source]
        assert sum(told) == by_source[source]
    assert rows[""]["unattributedMinor"] == 500


SHARES = st.lists(st.integers(0, 10**6), min_size=1, max_size=6).filter(lambda found: sum(found) > 0)


@given(amount=st.integers(-(10**9), 10**9), rows=SHARES, columns=SHARES)
def test_a_table_of_two_splits_keeps_both(amount: int, rows: list[int], columns: list[int]) -> None:
    down, across = allocate(amount, rows), allocate(amount, columns)
    cells = table_of(down, across)
    assert [sum(line) for line in cells] == down
    assert [sum(column) for column in zip(*cells, strict=True)] == across


async def test_a_change_of_settings_credits_the_history_again_with_progress(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Callable[[], Awaitable[None]]
) -> None:
    shop = await make_tenant()
    past = History(shop)
    for number in range(7):
        email = f"b{number}@example.com"
        await past.visit(f"v{number}", on_day(-40), "old", email=email)
        await past.visit(f"v{number}", on_day(-1), "new")
        await past.sale(email, 999 + number, NOON)
    await past.credit()
    assert (await get(client, shop, "recompute"))["status"] == "idle"
    changed = await client.patch(f"/api/tenants/{shop.tenant.slug}", json={"lookbackDays": 30}, headers=shop.headers)
    assert changed.status_code == 200, changed.text
    assert (await get(client, shop, "recompute"))["status"] == "queued"
    await run_jobs()
    done = await get(client, shop, "recompute")
    assert (done["status"], done["total"], done["processed"], done["changed"]) == ("completed", 7, 7, 7)
    assert done["startedAt"] <= done["finishedAt"]
    stored = await credits(shop)
    assert stored
    async with shop.transaction() as conn:
        await conn.execute("delete from credits where tenant_id = $1", shop.id)
    await past.credit()
    assert await credits(shop) == stored


async def credits(shop: ActingTenant) -> list[tuple[Any, ...]]:
    async with shop.transaction() as conn:
        rows = await conn.fetch(
            "select charge_id, model, touch_id, purchase_id, weight, amount_minor from credits where tenant_id = $1 "
            "order by 1, 2, 3", shop.id,
        )  # fmt: skip
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("window", ["1", "7", "14", "30", "60", "90", "365", "lifetime"])
async def test_credited_and_unattributed_make_the_net_revenue_under_every_model_and_window(
    client: httpx.AsyncClient, shop_of_years: ActingTenant, window: str
) -> None:
    net = (await get(client, shop_of_years, "summary", **MAY))["netRevenueMinor"]
    for model in shop_of_years.runtime.registry.models:
        report = await get(client, shop_of_years, "sources", model=model, window=window, **MAY)
        rows = sum(row["revenueMinor"] for row in report["rows"])
        assert rows + report["unattributed"]["revenueMinor"] == net
    oldest = await get(client, shop_of_years, "sources", model="first_touch", window=window, **MAY)
    days = 10**6 if window == "lifetime" else int(window)
    expected = "y700" if days > 700 else "y300" if days > 300 else "d20" if days > 20 else "h12"
    assert [row["source"] for row in oldest["rows"] if row["revenueMinor"]] == [expected]


@pytest.fixture(scope="module")
async def shop_of_years(make_tenant: TenantMaker) -> ActingTenant:
    """One buyer with touches up to two years before the report, a sale, a renewal, and a part of it back."""
    shop = await make_tenant()
    past = History(shop)
    for source, days in (("y700", 700), ("y300", 300), ("d20", 20), ("h12", 0.5)):
        await past.visit("ann", NOON - timedelta(days=days), source, email="ann@example.com")
    sale = await past.sale("ann@example.com", 10_000, NOON)
    await past.charge(sale, "renewal", 3_333, on_day(10))
    await past.charge(sale, "refund", 4_001, on_day(20))
    await past.charge(sale, "dispute", 100, on_day(21))
    await past.charge(sale, "dispute_reversal", 100, on_day(22))
    await past.credit()
    return shop
