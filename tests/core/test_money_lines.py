"""What a platform tells of money after a sale: it credits the visits before that sale, on its own day, and adds up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from coursesignal.connections.intake import apply
from coursesignal.plugin import Charge, Contact, Item, PlatformEvent, PurchaseFacts, RefundTotal
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

SOLD_AT = datetime(2024, 5, 4, 12, tzinfo=UTC)
MONTHS = {"sale": ("2024-05-01", "2024-05-31"), "later": ("2024-06-01", "2024-12-31")}
EMAIL = "ann@example.com"
KEY = ("order:1",)
BOTH = {"from": MONTHS["sale"][0], "to": MONTHS["later"][1]}
COURSE, BUMP = (
    Item(external_id="c", title="Course", amount_minor=9_000),
    Item(external_id="b", title="Bump", amount_minor=1_001),
)
BUNDLE = tuple(Item(external_id=f"p{n}", title=f"Part {n}") for n in range(3))


def on_day(day: float) -> datetime:
    return SOLD_AT + timedelta(days=day)


def paid(number: str, amount: int, day: float, kind: Any = "sale", **more: Any) -> Charge:
    """Money for the purchase, or with another kind against it."""
    return Charge(
        external_id=number, kind=kind, amount_minor=amount, currency="USD", occurred_at=on_day(day), purchase_keys=KEY,
        contact=Contact(email=EMAIL), **more,
    )  # fmt: skip


def back(number: str, amount: int, day: float, kind: str = "refund") -> Charge:
    return paid(number, amount, day, kind, refund_of=None if kind == "dispute_reversal" else "s")


def back_in_all(amount: int, day: float) -> RefundTotal:
    return RefundTotal(
        charge_external_id="s", total_minor=amount, currency="USD", occurred_at=on_day(day), purchase_keys=KEY
    )


@dataclass(frozen=True)
class Story:
    """What was told, and what it comes to: charged and refunded in the month of the sale and later, and net by source, linear."""

    told: Sequence[PlatformEvent]
    sale: tuple[int, int]
    later: tuple[int, int]
    by_source: Mapping[str, int]


SALE = paid("s", 10_001, 0)
STORIES = {
    "all of it back": Story([SALE, back("r", 10_001, 5)], (10_001, 10_001), (0, 0), {"youtube": 0, "newsletter": 0}),
    "a part of it back": Story([SALE, back("r", 3_333, 40)], (10_001, 0), (0, 3_333), {"youtube": 3_334, "newsletter": 3_334}),
    "back long after the window": Story(
        [SALE, back("r", 10_001, 200)], (10_001, 0), (0, 10_001), {"youtube": 0, "newsletter": 0}
    ),
    "back in three parts": Story(
        [SALE, back("r1", 2_000, 1), back("r2", 3_000, 60), back("r3", 5_001, 120)],
        (10_001, 2_000), (0, 8_001), {"youtube": 0, "newsletter": 0},
    ),
    "back in parts, told as totals": Story(
        [SALE, back_in_all(2_000, 1), back_in_all(5_000, 60), back_in_all(10_001, 120)],
        (10_001, 2_000), (0, 8_001), {"youtube": 0, "newsletter": 0},
    ),
    "a dispute that is open or lost": Story(
        [SALE, back("d", 10_001, 40, "dispute")], (10_001, 0), (0, 10_001), {"youtube": 0, "newsletter": 0}
    ),
    "a dispute that was won": Story(
        [SALE, back("d", 10_001, 10, "dispute"), back("w", 10_001, 50, "dispute_reversal")],
        (10_001, 10_001), (0, -10_001), {"youtube": 5_001, "newsletter": 5_000},
    ),
    "renewals and one of them back": Story(
        [SALE, paid("n1", 5_000, 30, "renewal"), paid("n2", 5_000, 60, "renewal"), back("r", 5_000, 61)],
        (10_001, 0), (10_000, 5_000), {"youtube": 7_501, "newsletter": 7_500},
    ),
    "instalments, the first one back": Story(
        [SALE, paid("i2", 10_001, 31, "instalment"), paid("i3", 10_001, 95, "instalment"), back("r", 10_001, 96)],
        (10_001, 0), (20_002, 10_001), {"youtube": 10_002, "newsletter": 10_000},
    ),
    "an order bump and a part of it back": Story(
        [paid("s", 10_001, 0, items=(COURSE, BUMP)), back("r", 1_001, 2)],
        (10_001, 1_001), (0, 0), {"youtube": 4_500, "newsletter": 4_500},
    ),
    "a bundle without prices, told later": Story(
        [SALE, PurchaseFacts(purchase_keys=KEY, occurred_at=on_day(0), contact=Contact(email=EMAIL), items=BUNDLE),
         paid("n", 100, 33, "renewal")],
        (10_001, 0), (100, 0), {"youtube": 5_051, "newsletter": 5_050},
    ),
}  # fmt: skip


@dataclass
class Books:
    """A tenant whose buyer came twice before the sale and once after it."""

    client: httpx.AsyncClient
    shop: ActingTenant

    async def hear(self, told: Sequence[PlatformEvent]) -> None:
        past = History(self.shop)
        await past.visit("ann", on_day(-20), "youtube", email=EMAIL, opt_in=True)
        await past.visit("ann", on_day(-1), "newsletter")
        await past.visit("ann", on_day(20), "facebook")
        async with self.shop.transaction() as conn:
            connection = await conn.fetchval(
                "insert into connections (tenant_id, platform, key_hash, sealed_key, account_id, state) "
                "values ($1, 'kajabi', $2, ''::bytea, 'school', 'ready') returning id", self.shop.id, uuid4().bytes,
            )  # fmt: skip
        for event in told:
            async with self.shop.transaction() as conn:
                await apply(conn, self.shop.id, connection, "kajabi", [event], self.shop.runtime.registry.models)

    async def get(self, report: str, **params: str) -> Any:
        answer = await self.client.get(f"/api/analytics/{report}", params={**BOTH, **params}, headers=self.shop.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def of(self, part: str, **params: str) -> tuple[int, int]:
        """Charged and refunded in the month of the sale or later."""
        found = await self.get("summary", **{"from": MONTHS[part][0], "to": MONTHS[part][1]}, **params)
        return found["revenueMinor"], found["refundedMinor"]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("name", STORIES)
async def test_money_after_a_sale(
    client: httpx.AsyncClient, make_tenant: TenantMaker, name: str, backwards: bool
) -> None:
    story, books = STORIES[name], Books(client, await make_tenant())
    await books.hear(list(reversed(story.told)) if backwards and "totals" not in name else story.told)
    assert (await books.of("sale"), await books.of("later")) == (story.sale, story.later)
    net = sum(story.sale) - 2 * story.sale[1] + sum(story.later) - 2 * story.later[1]
    ordered = await books.of("sale", dateBy="order")
    assert ordered[0] - ordered[1] == net
    assert await books.of("later", dateBy="order") == (0, 0)
    listed = await books.get("sources", model="linear")
    assert {row["source"]: row["revenueMinor"] for row in listed["rows"] if row["purchases"]} == story.by_source
    for part in MONTHS:
        await adds_up(books, **{"from": MONTHS[part][0], "to": MONTHS[part][1]})
    await adds_up(books)
    await adds_up(books, dateBy="order")


async def adds_up(books: Books, **asked: str) -> None:
    """Under every model: credited + unattributed = charges − refunds, and products come to the same, source by source."""
    summary = await books.get("summary", **asked)
    net = summary["revenueMinor"] - summary["refundedMinor"]
    compared = await books.get("models/compare", **asked)
    assert compared["netRevenueMinor"] == net
    for model in compared["models"]:
        by_source = {row["name"]: row["revenueMinor"].get(model, 0) for row in compared["rows"]}
        assert sum(by_source.values()) + compared["unattributedMinor"][model] == net, model
    for model in ("position_based", "opt_in"):
        by_source = {row["name"]: row["revenueMinor"][model] for row in compared["rows"]}
        products = await books.get("products", model=model, **asked)
        assert products["totals"]["revenueMinor"] == net
        for source, amount in by_source.items():
            told = [
                one["revenueMinor"] for row in products["rows"] for one in row["sources"] if one["source"] == source
            ]
            assert sum(told) == amount
        reconciled = await books.get("reconciliation", model=model, **asked)
        assert all(row["differenceMinor"] == 0 for row in reconciled["rows"])


async def test_items_carry_their_part_of_the_sale_and_of_its_refund(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    for name, expected in (
        ("an order bump and a part of it back", {"Course": (9_000, 901), "Bump": (1_001, 100)}),
        ("a bundle without prices, told later", {"Part 0": (3_368, 0), "Part 1": (3_367, 0), "Part 2": (3_366, 0)}),
    ):
        books = Books(client, await make_tenant())
        await books.hear(STORIES[name].told)
        rows = (await books.get("products"))["rows"]
        assert {row["product"]: (row["chargedMinor"], row["refundedMinor"]) for row in rows} == expected
