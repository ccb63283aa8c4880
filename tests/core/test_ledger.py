"""Commerce: the same sale told in any order, in any portions, twice, at once, is one purchase with the same money."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from coursesignal.commerce.money import Money, stepped
from coursesignal.commerce.service import Recorded, record
from coursesignal.jobs import outbox
from coursesignal.plugin import Charge, Contact, Item, PlatformEvent, PurchaseFacts, RefundTotal
from coursesignal.testing.fixtures import ActingTenant, TenantMaker

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
ANN = Contact(email="Ann@Example.com", external_id="c1", name="Ann Example")


def on_day(day: int) -> datetime:
    return NOON + timedelta(days=day)


@pytest.fixture(autouse=True)
def everything_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no plugin here listens to is announced all the same."""
    monkeypatch.setattr(outbox, "_heard", None)


@pytest.fixture(scope="module")
async def shop(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


async def connection(shop: ActingTenant) -> UUID:
    """A new connection: its ids mean nothing to any other."""
    async with shop.transaction() as conn:
        found: UUID = await conn.fetchval(
            "insert into connections (tenant_id, platform, key_hash, sealed_key, account_id, state) "
            "values ($1, 'teachable', $2, ''::bytea, $3, 'ready') returning id",
            shop.id, uuid4().bytes, str(uuid4()),
        )  # fmt: skip
    return found


async def book(shop: ActingTenant, connection_id: UUID, events: Sequence[PlatformEvent]) -> Recorded:
    async with shop.transaction() as conn:
        return await record(conn, shop.id, connection_id, "teachable", events)


async def ledger(shop: ActingTenant, connection_id: UUID) -> list[dict[str, Any]]:
    """What is booked, without ids and times of booking."""
    async with shop.transaction() as conn:
        purchases = await conn.fetch(
            "select p.*, i.email as buyer from purchases p left join people i on i.id = p.person_id "
            "where p.tenant_id = $1 and p.connection_id = $2 order by purchased_at",
            shop.id, connection_id,
        )  # fmt: skip
        return [await _entry(conn, shop, purchase) for purchase in purchases]


async def _entry(conn: Any, shop: ActingTenant, purchase: Any) -> dict[str, Any]:
    charges = await conn.fetch(
        "select external_id, kind, amount_minor, currency, occurred_at from charges "
        "where tenant_id = $1 and purchase_id = $2 order by occurred_at, external_id", shop.id, purchase["id"],
    )  # fmt: skip
    items = await conn.fetch(
        "select external_id, title, quantity, amount_minor from purchase_items "
        "where tenant_id = $1 and purchase_id = $2 order by external_id", shop.id, purchase["id"],
    )  # fmt: skip
    keys = await conn.fetch(
        "select key from purchase_keys where tenant_id = $1 and purchase_id = $2 and key not like 'id:%' order by key",
        shop.id,
        purchase["id"],
    )
    columns = ("currency", "purchased_at", "charged_minor", "refunded_minor", "paid_charges", "product", "email",
               "buyer", "hints", "cancelled_at", "gift_recipient", "match")  # fmt: skip
    return {
        **{name: purchase[name] for name in columns},
        "charges": [tuple(row) for row in charges],
        "items": [tuple(row) for row in items],
        "keys": [row["key"] for row in keys],
    }


def a_year_of_ann() -> list[PlatformEvent]:
    """One purchase as a platform tells it in pieces: no two pieces but the order and the sale name all of its keys."""
    return [
        PurchaseFacts(
            purchase_keys=("order:7", "sale:1"), occurred_at=on_day(0), contact=ANN, hints={"coupon": "MAY"},
            items=(Item(external_id="p1", title="Painting"),),
        ),
        Charge(
            external_id="t1", kind="sale", amount_minor=10_000, currency="USD", occurred_at=on_day(0), contact=ANN,
            purchase_keys=("sale:1",), items=(Item(external_id="p1", title="Painting", amount_minor=10_000),),
        ),
        Charge(
            external_id="t2", kind="sale", amount_minor=5_000, currency="USD", occurred_at=on_day(30),
            purchase_keys=("order:7",),
        ),
        Charge(
            external_id="t2", kind="renewal", amount_minor=5_000, currency="USD", occurred_at=on_day(30),
            purchase_keys=("subscription:3", "order:7"), contact=Contact(email="ann.example@example.net"),
        ),
        RefundTotal(
            charge_external_id="t1", total_minor=2_500, currency="USD", occurred_at=on_day(40), purchase_keys=("sale:1",)
        ),
        RefundTotal(
            charge_external_id="t1", total_minor=10_000, currency="USD", occurred_at=on_day(50), purchase_keys=("sale:1",)
        ),
        PurchaseFacts(
            purchase_keys=("subscription:3",), occurred_at=on_day(60), cancelled_at=on_day(60),
            gift_recipient="bea@example.com",
        ),
    ]  # fmt: skip


async def test_any_order_portion_and_repetition_ends_in_the_same_ledger(shop: ActingTenant) -> None:
    first = await connection(shop)
    await book(shop, first, a_year_of_ann())
    expected = await ledger(shop, first)
    assert len(expected) == 1
    assert expected[0]["charges"] == [
        ("t1", "sale", 10_000, "USD", on_day(0)),
        ("t2", "renewal", 5_000, "USD", on_day(30)),
        ("refund_total:t1:2500", "refund", -2_500, "USD", on_day(40)),
        ("refund_total:t1:10000", "refund", -7_500, "USD", on_day(50)),
    ]
    assert (expected[0]["charged_minor"], expected[0]["refunded_minor"], expected[0]["paid_charges"]) == (
        15_000,
        10_000,
        2,
    )
    assert (expected[0]["buyer"], expected[0]["product"]) == ("ann@example.com", "Painting")
    assert (expected[0]["gift_recipient"], expected[0]["cancelled_at"]) == ("bea@example.com", on_day(60))
    dice = random.Random(20_260_504)
    for _ in range(40):
        told = [*a_year_of_ann(), *dice.choices(a_year_of_ann(), k=3)]
        dice.shuffle(told)
        again = await connection(shop)
        while told:
            portion = dice.randint(1, 3)
            await book(shop, again, told[:portion])
            told = told[portion:]
        assert await ledger(shop, again) == expected


async def test_two_workers_that_book_the_same_sale_at_once_make_one_purchase(shop: ActingTenant) -> None:
    there = await connection(shop)
    await asyncio.gather(*(book(shop, there, a_year_of_ann()[n:] + a_year_of_ann()[:n]) for n in range(7)))
    one = await ledger(shop, there)
    assert len(one) == 1
    assert one[0]["charged_minor"] - one[0]["refunded_minor"] == 5_000


async def test_money_and_refunds_are_announced_once_refunds_after_their_sale(shop: ActingTenant) -> None:
    there = await connection(shop)
    for _ in range(2):
        for event in reversed(a_year_of_ann()[:2] + a_year_of_ann()[4:6]):
            await book(shop, there, [event])
    assert await announced(shop, there) == [
        ("purchase_recorded", 10_000),
        ("purchase_refunded", 2_500),
        ("purchase_refunded", 7_500),
    ]


async def test_the_id_of_a_purchase_that_became_part_of_another_still_leads_to_it(
    shop: ActingTenant, client: httpx.AsyncClient
) -> None:
    there = await connection(shop)
    ids = [
        (await book(shop, there, [event])).purchase_ids[0] for event in (*a_year_of_ann()[1:4:2], a_year_of_ann()[0])
    ]
    assert len(set(ids)) == 2
    answers = [await client.get(f"/api/analytics/purchases/{one}", headers=shop.headers) for one in ids]
    assert {answer.json()["id"] for answer in answers} == {str(ids[-1])}
    assert await announced(shop, there) == [("purchase_recorded", 5_000), ("purchase_recorded", 10_000)]


async def announced(shop: ActingTenant, connection_id: UUID) -> list[tuple[str, int]]:
    """What plugins were told of a connection's purchases, gone ids included."""
    async with shop.transaction() as conn:
        rows = await conn.fetch(
            "select o.name, (o.payload->>'amount_minor')::int as amount from outbox o "
            "where o.tenant_id = $1 and o.kind = 'event' and o.payload->>'purchase_id' in ("
            "select id::text from purchases where tenant_id = $1 and connection_id = $2 union "
            "select substr(key, 4) from purchase_keys where tenant_id = $1 and connection_id = $2 and key like 'id:%') "
            "order by 1, 2", shop.id, connection_id,
        )  # fmt: skip
    return [tuple(row) for row in rows]


async def test_ids_of_one_connection_mean_nothing_in_another(shop: ActingTenant) -> None:
    one, other = await connection(shop), await connection(shop)
    await book(shop, one, a_year_of_ann()[:2])
    await book(shop, other, a_year_of_ann()[:2])
    assert len(await ledger(shop, one)) == len(await ledger(shop, other)) == 1


async def test_a_free_order_and_a_refund_before_its_sale_are_kept(shop: ActingTenant) -> None:
    there = await connection(shop)
    free = Charge(
        external_id="f",
        kind="sale",
        amount_minor=0,
        currency="USD",
        occurred_at=NOON,
        purchase_keys=("sale:free",),
        contact=ANN,
    )
    await book(shop, there, [free])
    assert [(one["charged_minor"], one["charges"]) for one in await ledger(shop, there)] == [(0, [])]
    early = await connection(shop)
    refund = Charge(
        external_id="r", kind="refund", amount_minor=700, currency="EUR", occurred_at=on_day(2), purchase_keys=("refund:r",),
        refund_of="s",
    )  # fmt: skip
    sale = Charge(
        external_id="s",
        kind="sale",
        amount_minor=900,
        currency="EUR",
        occurred_at=NOON,
        purchase_keys=("sale:s",),
        contact=ANN,
    )
    await book(shop, early, [refund])
    assert [(one["refunded_minor"], one["purchased_at"]) for one in await ledger(shop, early)] == [(700, on_day(2))]
    await book(shop, early, [sale])
    assert [
        (one["charged_minor"], one["refunded_minor"], one["purchased_at"]) for one in await ledger(shop, early)
    ] == [(900, 700, NOON)]


async def test_money_in_a_second_currency_stays_apart(shop: ActingTenant) -> None:
    there = await connection(shop)
    dollars = Charge(
        external_id="d", kind="sale", amount_minor=100, currency="USD", occurred_at=NOON, purchase_keys=("k",)
    )
    yen = Charge(
        external_id="y", kind="instalment", amount_minor=9, currency="JPY", occurred_at=on_day(1), purchase_keys=("k",)
    )
    await book(shop, there, [yen, dollars])
    [purchase] = await ledger(shop, there)
    assert (purchase["currency"], purchase["charged_minor"]) == ("USD", 100)
    assert [charge[2:4] for charge in purchase["charges"]] == [(100, "USD"), (9, "JPY")]


def told_twice() -> list[PlatformEvent]:
    """Three refunds, each told by itself and as a sum; one failed and was made again, which no sum shows."""

    def refund(number: str, amount: int, day: int, kind: Any = "refund") -> Charge:
        return Charge(
            external_id=number, kind=kind, amount_minor=amount, currency="USD", occurred_at=on_day(day),
            purchase_keys=("pay:1",), refund_of="t1",
        )  # fmt: skip

    sale = Charge(
        external_id="t1",
        kind="sale",
        amount_minor=10_000,
        currency="USD",
        occurred_at=on_day(0),
        purchase_keys=("pay:1",),
    )
    sums = [
        RefundTotal(
            charge_external_id="t1", total_minor=total, currency="USD", occurred_at=on_day(9), purchase_keys=("pay:1",)
        )
        for total in (3_000, 5_000)
    ]
    singly = [
        refund("r1", 3_000, 2),
        refund("r2", 2_000, 3),
        refund("r2:failed", 2_000, 4, "dispute_reversal"),
        refund("r3", 2_000, 5),
    ]
    return [sale, *sums, *singly]


async def test_refunds_told_one_by_one_and_in_all_are_counted_once(shop: ActingTenant) -> None:
    dice = random.Random(20_260_505)
    for _ in range(15):
        told = [*told_twice(), *dice.choices(told_twice(), k=2)]
        dice.shuffle(told)
        there = await connection(shop)
        for event in told:
            await book(shop, there, [event])
        [purchase] = await ledger(shop, there)
        assert (purchase["charged_minor"], purchase["refunded_minor"]) == (10_000, 5_000)
        assert [charge[0] for charge in purchase["charges"]] == ["t1", "r1", "r2", "r2:failed", "r3"]


async def test_a_sum_counts_until_its_refunds_are_told_and_each_is_announced_once(shop: ActingTenant) -> None:
    there = await connection(shop)
    sale, first, both, r1, r2, *_ = told_twice()
    refunded = []
    for event in (sale, first, r1, both, r2):
        await book(shop, there, [event])
        refunded.append((await ledger(shop, there))[0]["refunded_minor"])
    assert refunded == [0, 3_000, 3_000, 5_000, 5_000]
    assert await announced(shop, there) == [
        ("purchase_recorded", 10_000), ("purchase_refunded", 2_000), ("purchase_refunded", 3_000),
    ]  # fmt: skip


def test_refund_totals_become_what_each_adds() -> None:
    totals = [Money(f"x{total}", "refund", -total, "USD", NOON, "t", total) for total in (900, 100, 400)]
    assert [one.amount_minor for one in stepped(totals)] == [-100, -300, -500]
    assert [one.amount_minor for one in stepped(totals, 250)] == [0, -150, -500]
    assert [one.amount_minor for one in stepped(totals, 1_000)] == [0, 0, 0]
