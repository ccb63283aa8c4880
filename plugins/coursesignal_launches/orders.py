"""Which purchases count for a launch, and the money of each.

A purchase counts for the launch it was pinned to by hand; else for the one whose dates hold it and whose products it is of,
and of several for the one that started last. This is asked of the database whenever it matters, so that it is right the moment
dates change, a launch is deleted, or a purchase comes in late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from coursesignal.plugin import NotFound
from coursesignal_launches.schemas import Assigned, AssignedPage, Launch
from coursesignal_launches.settings import Ctx

_OF_PRODUCT = """(cardinality({l}.products) = 0 or p.product = any({l}.products) or exists (
            select 1 from purchase_items i where i.tenant_id = $1 and i.purchase_id = p.id and i.title = any({l}.products)))"""

MINE = f"""
    mine as (
        select p.id, true as pinned from launches_pins n join purchases p on p.tenant_id = $1 and p.id = n.purchase_id
        where n.tenant_id = $1 and n.launch_id = $2
        union all
        select p.id, false from launches_launches m join purchases p
            on p.tenant_id = $1 and p.purchased_at >= m.starts_at and p.purchased_at < m.ends_at
        where m.tenant_id = $1 and m.id = $2 and {_OF_PRODUCT.format(l="m")}
            and not exists (select 1 from launches_pins n where n.tenant_id = $1 and n.purchase_id = p.id)
            and not exists (
                select 1 from launches_launches l
                where l.tenant_id = $1 and l.id <> m.id and p.purchased_at >= l.starts_at and p.purchased_at < l.ends_at
                    and (l.starts_at, l.created_at, l.id) > (m.starts_at, m.created_at, m.id) and {_OF_PRODUCT.format(l="l")})
    )"""  # noqa: S608 – of constants
"""The purchases of launch $2 of tenant $1."""

_LATER = "('renewal', 'instalment')"
MONEY = f"""
    money as (
        select o.id, o.pinned, p.purchased_at, c.currency, p.product,
            coalesce(p.person_id, md5(lower(p.email))::uuid, p.id) as student, p.person_id,
            coalesce(sum(c.amount_minor) filter (
                where c.kind = 'sale' or (c.kind in {_LATER} and c.occurred_at < m.ends_at)), 0)::bigint as charged,
            coalesce(-sum(c.amount_minor) filter (
                where c.kind not in ('sale', 'renewal', 'instalment') and l.id is null), 0)::bigint as refunded,
            coalesce(sum(c.amount_minor) filter (
                where (c.kind in {_LATER} and c.occurred_at >= m.ends_at) or l.id is not null), 0)::bigint as later,
            max(c.recorded_at) as recorded_at
        from mine o
        join launches_launches m on m.tenant_id = $1 and m.id = $2
        join purchases p on p.tenant_id = $1 and p.id = o.id
        join charges c on c.tenant_id = $1 and c.purchase_id = o.id
        left join charges l on c.refund_of is not null and l.tenant_id = $1 and l.connection_id = c.connection_id
            and l.external_id = c.refund_of and l.kind in {_LATER} and l.occurred_at >= m.ends_at
        group by o.id, o.pinned, p.purchased_at, c.currency, p.product, p.person_id, p.email, p.id
    )"""  # noqa: S608 – of constants
"""Their money by currency: charged up to the launch's end, gone back of that, and what came later."""

_ROWS = f"""
    with {MINE}, {MONEY}
    select m.id, m.pinned, m.purchased_at, m.currency, m.student, m.charged, m.refunded, m.later, m.recorded_at,
        (select min(v.first_seen_at) from visitors v where v.tenant_id = $1 and v.person_id = m.person_id) as first_seen_at
    from money m order by m.purchased_at, m.id, m.currency"""  # noqa: S608 – of constants

_PAGE = f"""
    with {MINE}, {MONEY}
    select id, purchased_at, product, currency, charged - refunded as net_revenue_minor, pinned, count(*) over () as total
    from money order by purchased_at desc, id desc limit $3 offset $4"""  # noqa: S608 – of constants

_PIN = """
    insert into launches_pins (tenant_id, purchase_id, launch_id) values ($1, $2, $3)
    on conflict (tenant_id, purchase_id) do update set launch_id = excluded.launch_id, pinned_at = now()"""


@dataclass(frozen=True, slots=True)
class Order:
    """A purchase of a launch with its money in one currency."""

    id: UUID
    pinned: bool
    purchased_at: datetime
    currency: str
    student: UUID
    charged: int
    refunded: int
    later: int
    recorded_at: datetime
    """When we learnt of the latest of it."""
    first_seen_at: datetime | None

    @property
    def net(self) -> int:
        return self.charged - self.refunded


async def orders_of(conn: Any, tenant_id: UUID, launch_id: UUID) -> list[Order]:
    """Every purchase of the launch, oldest first; one in two currencies is two."""
    return [Order(**row) for row in await conn.fetch(_ROWS, tenant_id, launch_id)]


def own(orders: Sequence[Order], currency: str) -> list[Order]:
    """Those in one currency."""
    return [order for order in orders if order.currency == currency]


async def page(ctx: Ctx, launch: Launch, *, limit: int, offset: int) -> AssignedPage:
    """The launch's purchases, newest first."""
    async with ctx.db.transaction() as conn:
        rows = [dict(row) for row in await conn.fetch(_PAGE, ctx.tenant.id, launch.id, limit, offset)]
    total = rows[0]["total"] if rows else 0
    return AssignedPage(
        items=tuple(Assigned(**{k: v for k, v in r.items() if k != "total"}) for r in rows), total=total
    )


async def pin(ctx: Ctx, purchase_id: UUID, launch_id: UUID | None) -> None:
    """Have a purchase count for a launch, or with None for none, whatever its date; raises NotFound."""
    async with ctx.db.transaction() as conn:
        await _must_be(conn, "purchases", ctx.tenant.id, purchase_id)
        if launch_id is not None:
            await _must_be(conn, "launches_launches", ctx.tenant.id, launch_id)
        await conn.execute(_PIN, ctx.tenant.id, purchase_id, launch_id)


async def unpin(ctx: Ctx, purchase_id: UUID) -> None:
    """Have a purchase count by its date again; raises NotFound."""
    async with ctx.db.transaction() as conn:
        await _must_be(conn, "purchases", ctx.tenant.id, purchase_id)
        await conn.execute(
            "delete from launches_pins where tenant_id = $1 and purchase_id = $2", ctx.tenant.id, purchase_id
        )


async def _must_be(conn: Any, table: str, tenant_id: UUID, row_id: UUID) -> None:
    sql = f"select id from {table} where tenant_id = $1 and id = $2 for share"  # noqa: S608 – a constant's name
    if await conn.fetchval(sql, tenant_id, row_id) is None:
        raise NotFound()
