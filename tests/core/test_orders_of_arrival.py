"""Every order in which six things can be told of one purchase ends in the same books: 720 orders, each in the database.

The orders share their beginnings: each step is booked once per beginning, in a savepoint that is rolled back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from coursesignal.connections.intake import apply
from coursesignal.plugin import Charge, Contact, Item, PlatformEvent, PurchaseFacts, RefundTotal
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

SOLD = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PAT = Contact(email="pat@example.com", external_id="user:1", name="Pat")
SALE_KEYS, RENEWAL_KEYS = ("transaction:1", "sale:7"), ("transaction:2", "sale:7")
SALE = Charge(
    external_id="1",
    kind="sale",
    amount_minor=10_000,
    currency="USD",
    occurred_at=SOLD,
    purchase_keys=SALE_KEYS,
    contact=PAT,
)
TOLD_BY_SYNC = Charge(
    external_id="1", kind="sale", amount_minor=10_000, currency="USD", occurred_at=SOLD, purchase_keys=SALE_KEYS,
    contact=Contact(external_id="user:1"), items=(Item(external_id="33", title="Course", amount_minor=10_000),),
)  # fmt: skip
RENEWAL = Charge(
    external_id="2", kind="renewal", amount_minor=8_000, currency="USD", occurred_at=SOLD + 30 * DAY,
    purchase_keys=RENEWAL_KEYS, contact=PAT,
)  # fmt: skip
CANCEL = PurchaseFacts(purchase_keys=("sale:7",), occurred_at=SOLD + 40 * DAY, cancelled_at=SOLD + 40 * DAY)


def refund_row(number: str, amount: int, days: int) -> Charge:
    """A refund as its own row, which is how some platforms tell it."""
    return Charge(
        external_id=number, kind="refund", amount_minor=amount, currency="USD", occurred_at=SOLD + days * DAY,
        purchase_keys=(f"transaction:{number}", "transaction:1"), refund_of="1",
    )  # fmt: skip


def refunded_in_all(amount: int, days: int) -> RefundTotal:
    """A refund as "so much in all", which is how others do."""
    return RefundTotal(
        charge_external_id="1",
        total_minor=amount,
        currency="USD",
        occurred_at=SOLD + days * DAY,
        purchase_keys=SALE_KEYS,
    )


HISTORIES: dict[str, tuple[PlatformEvent, ...]] = {
    "rows": (SALE, RENEWAL, refund_row("3", 1_000, 3), refund_row("4", 2_500, 9), CANCEL, TOLD_BY_SYNC),
    "totals": (SALE, RENEWAL, refunded_in_all(1_000, 3), refunded_in_all(3_500, 9), CANCEL, TOLD_BY_SYNC),
}


@pytest.fixture
async def shop(make_tenant: TenantMaker) -> tuple[ActingTenant, UUID]:
    """A tenant whose buyer came twice before buying, and its connection."""
    tenant = await make_tenant()
    history = History(tenant)
    await history.visit("pat", SOLD - 5 * DAY, "youtube")
    await history.visit("pat", SOLD - DAY, "newsletter", email="pat@example.com")
    async with tenant.transaction() as conn:
        found = await conn.fetchval(
            "insert into connections (tenant_id, platform, key_hash, sealed_key, state) "
            "values ($1, 'teachable', 'x', 'x', 'ready') returning id", tenant.id,
        )  # fmt: skip
    return tenant, found


async def books(conn: asyncpg.Connection, tenant_id: UUID) -> list[list[tuple[Any, ...]]]:
    """Everything that reports read, without ids of ours."""
    tables = (
        "select currency, purchased_at, charged_minor, refunded_minor, paid_charges, product, email, match, cancelled_at, "
        "person_id is not null from purchases where tenant_id = $1",
        "select external_id, title, quantity, amount_minor from purchase_items where tenant_id = $1 order by 1",
        "select external_id, kind, amount_minor, currency, occurred_at, refund_of from charges where tenant_id = $1 order by 1",
        "select k.model, c.external_id, k.touch_id, k.amount_minor from credits k join charges c on c.tenant_id = k.tenant_id "
        "and c.id = k.charge_id where k.tenant_id = $1 order by 1, 2, 3",
    )
    return [[tuple(row) for row in await conn.fetch(table, tenant_id)] for table in tables]


@pytest.mark.parametrize("told", HISTORIES)
async def test_all_orders_of_a_history_end_in_the_same_books(
    installation: Runtime, shop: tuple[ActingTenant, UUID], told: str
) -> None:
    tenant, connection = shop
    models = {slug: installation.registry.models[slug] for slug in ("first_touch", "linear")}
    ends: list[list[list[tuple[Any, ...]]]] = []

    async with tenant.transaction() as conn:

        async def tell(left: Sequence[PlatformEvent]) -> None:
            if not left:
                ends.append(await books(conn, tenant.id))
            for number, event in enumerate(left):
                step = conn.transaction()
                await step.start()
                await apply(conn, tenant.id, connection, "teachable", [event], models)
                await tell([*left[:number], *left[number + 1 :]])
                await step.rollback()

        await tell(HISTORIES[told])
    assert len(ends) == 720
    first = ends[0]
    assert all(end == first for end in ends)
    (purchase,), items, charges, credits = first
    assert purchase[2:5] == (18_000, 3_500, 2)
    assert purchase[6:8] == ("pat@example.com", "email")
    assert purchase[8] == SOLD + 40 * DAY
    assert items == [("33", "Course", 1, 10_000)]
    assert sum(charge[2] for charge in charges) == 14_500
    for model in models:
        assert sum(credit[3] for credit in credits if credit[0] == model) == 14_500
