"""Purchases and what belongs to them as rows. Callers hold the tenant's ledger lock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.commerce.facts import Facts, Folded
from coursesignal.commerce.money import Money
from coursesignal.db import stale

MONEY = "external_id, kind, amount_minor, currency, occurred_at, refund_of, refund_total"

_KEEP_CHARGE = f"""
    insert into charges (tenant_id, connection_id, purchase_id, {MONEY}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    on conflict (tenant_id, connection_id, external_id) do update set purchase_id = excluded.purchase_id, kind = excluded.kind,
        amount_minor = excluded.amount_minor, currency = excluded.currency, occurred_at = excluded.occurred_at,
        refund_of = excluded.refund_of"""  # noqa: S608 – of constants

# What was sold to somebody erased stays with the number that stands in for them: nothing else says whose journey it was.
_KEEP_PURCHASE = """
    update purchases set currency = $3, purchased_at = $4, charged_minor = $5, refunded_minor = $6, paid_charges = $7,
        product = $8, email = coalesce(corrected_email, $9), hints = $10, cancelled_at = $11, gift_recipient = $12,
        plan_payments = $14, plan_total_minor = $15, plan_next_due_at = $16, plan_failed_at = $17,
        person_id = coalesce($13, (
            select e.id from people e where e.tenant_id = $1 and e.id = purchases.person_id and e.erased_at is not null
        ))
    where tenant_id = $1 and id = $2"""

_KEEP_ITEM = """
    insert into purchase_items (tenant_id, purchase_id, external_id, title, quantity, amount_minor)
    values ($1, $2, $3, $4, $5, $6)
    on conflict (tenant_id, purchase_id, external_id) do update
        set title = excluded.title, quantity = excluded.quantity, amount_minor = excluded.amount_minor"""


async def purchases_by_key(
    conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, keys: Collection[str]
) -> Mapping[str, UUID]:
    """The purchase of each key that is known."""
    rows = await conn.fetch(
        "select key, purchase_id from purchase_keys where tenant_id = $1 and connection_id = $2 and key = any($3)",
        tenant_id, connection_id, list(keys),
    )  # fmt: skip
    return {row["key"]: row["purchase_id"] for row in rows}


async def open_purchases(
    conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, platform: str, purchase_ids: Collection[UUID]
) -> None:
    """Make room for purchases that nothing is known of yet."""
    if purchase_ids:
        await conn.execute(
            "insert into purchases (tenant_id, id, connection_id, platform, purchased_at) "
            "select $1, unnest($2::uuid[]), $3, $4, now()",
            tenant_id, list(purchase_ids), connection_id, platform,
        )  # fmt: skip


async def absorb(conn: asyncpg.Connection, tenant_id: UUID, losers: Sequence[UUID], winner: UUID) -> None:
    """Everything of ``losers`` is the ``winner``'s; they are gone, but their ids, which plugins may have been told, lead to it.

    Their credits go too: the winner is credited anew.
    """
    await conn.execute(
        "insert into purchase_keys (tenant_id, connection_id, key, purchase_id) "
        "select tenant_id, connection_id, 'id:' || id, $3 from purchases where tenant_id = $1 and id = any($2)",
        tenant_id, list(losers), winner,
    )  # fmt: skip
    await conn.execute("delete from credits where tenant_id = $1 and purchase_id = any($2)", tenant_id, list(losers))
    moved = await conn.fetch(
        "select occurred_at from charges where tenant_id = $1 and purchase_id = any($2)", tenant_id, list(losers)
    )
    await stale.mark(conn, tenant_id, "money", [row["occurred_at"] for row in moved])
    for table in ("purchase_keys", "purchase_facts", "charges"):
        await conn.execute(
            f"update {table} set purchase_id = $3 where tenant_id = $1 and purchase_id = any($2)",  # noqa: S608
            tenant_id, list(losers), winner,
        )  # fmt: skip
    await conn.execute("delete from purchases where tenant_id = $1 and id = any($2)", tenant_id, list(losers))


async def keep_keys(conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, keys: Mapping[str, UUID]) -> None:
    """Remember under which keys purchases are known."""
    await conn.execute(
        "insert into purchase_keys (tenant_id, connection_id, key, purchase_id) "
        "select $1, $2, * from unnest($3::text[], $4::uuid[]) on conflict do nothing",
        tenant_id, connection_id, list(keys), list(keys.values()),
    )  # fmt: skip


async def keep_facts(
    conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, said: Iterable[tuple[UUID, Facts]]
) -> None:
    """Remember what was said of which purchase, each thing once."""
    await conn.executemany(
        "insert into purchase_facts (tenant_id, connection_id, digest, purchase_id, occurred_at, facts) "
        "values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
        [
            (tenant_id, connection_id, facts.digest, purchase_id, facts.occurred_at, msgspec.to_builtins(facts))
            for purchase_id, facts in said
        ],
    )


async def facts_of(
    conn: asyncpg.Connection, tenant_id: UUID, purchase_ids: Collection[UUID]
) -> Mapping[UUID, Sequence[Facts]]:
    """All that was ever said of each purchase."""
    rows = await conn.fetch(
        "select purchase_id, facts from purchase_facts where tenant_id = $1 and purchase_id = any($2)",
        tenant_id, list(purchase_ids),
    )  # fmt: skip
    found: dict[UUID, list[Facts]] = defaultdict(list)
    for row in rows:
        found[row["purchase_id"]].append(msgspec.convert(row["facts"], Facts))
    return found


async def money_of(
    conn: asyncpg.Connection, tenant_id: UUID, purchase_ids: Collection[UUID]
) -> Mapping[UUID, Mapping[str, Money]]:
    """The charges of each purchase by external id."""
    rows = await conn.fetch(
        f"select purchase_id, {MONEY} from charges where tenant_id = $1 and purchase_id = any($2)",  # noqa: S608 – of constants
        tenant_id, list(purchase_ids),
    )  # fmt: skip
    found: dict[UUID, dict[str, Money]] = defaultdict(dict)
    for purchase_id, *money in rows:
        found[purchase_id][money[0]] = Money(*money)
    return found


async def keep_money(
    conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, rows: Iterable[tuple[UUID, Money]]
) -> None:
    """Write charges as they are now."""
    await conn.executemany(
        _KEEP_CHARGE,
        [
            (
                tenant_id, connection_id, purchase_id, one.external_id, one.kind, one.amount_minor, one.currency,
                one.occurred_at, one.refund_of, one.refund_total,
            )
            for purchase_id, one in rows
        ],
    )  # fmt: skip


async def forget_money(
    conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, external_ids: Collection[str]
) -> None:
    """Take charges back, with their credits: what they said is said by others."""
    if external_ids:
        await conn.execute(
            "delete from charges where tenant_id = $1 and connection_id = $2 and external_id = any($3)",
            tenant_id, connection_id, list(external_ids),
        )  # fmt: skip


async def keep_purchases(
    conn: asyncpg.Connection, tenant_id: UUID, purchases: Sequence[tuple[UUID, Folded, UUID | None]]
) -> None:
    """Write purchases, of these people, and their items as they are now."""
    await conn.executemany(
        _KEEP_PURCHASE,
        [
            (
                tenant_id, of, folded.currency, folded.purchased_at, folded.charged_minor, folded.refunded_minor,
                folded.paid_charges, folded.product, folded.contact.email, folded.hints, folded.cancelled_at,
                folded.gift_recipient, person_id, folded.plan.payments, folded.plan.total_minor,
                folded.plan.next_due_at, folded.plan.failed_at,
            )
            for of, folded, person_id in purchases
        ],
    )  # fmt: skip
    await conn.executemany(
        "delete from purchase_items where tenant_id = $1 and purchase_id = $2 and external_id <> all($3)",
        [(tenant_id, of, [item.external_id for item in folded.items]) for of, folded, _ in purchases],
    )
    await conn.executemany(
        _KEEP_ITEM,
        [
            (tenant_id, of, item.external_id, item.title, item.quantity, item.amount_minor)
            for of, folded, _ in purchases
            for item in folded.items
        ],
    )


@dataclass(frozen=True, slots=True)
class Corrected:
    """The address that somebody gave for a purchase; ``at`` is when it was made."""

    purchase_id: UUID
    email: str
    at: datetime


async def corrected(conn: asyncpg.Connection, tenant_id: UUID, purchase_ids: Collection[UUID]) -> Sequence[Corrected]:
    """The addresses that were put right among these purchases."""
    rows = await conn.fetch(
        "select id, corrected_email, purchased_at from purchases "
        "where tenant_id = $1 and id = any($2) and corrected_email is not null order by purchased_at, id",
        tenant_id, list(purchase_ids),
    )  # fmt: skip
    return [Corrected(*row) for row in rows]


async def by_connection(
    conn: asyncpg.Connection, tenant_id: UUID, purchase_ids: Collection[UUID]
) -> Mapping[tuple[UUID, str], Sequence[UUID]]:
    """The purchases that there are, by the connection and platform they came by."""
    rows = await conn.fetch(
        "select id, connection_id, platform from purchases where tenant_id = $1 and id = any($2) order by id",
        tenant_id, list(purchase_ids),
    )  # fmt: skip
    found: defaultdict[tuple[UUID, str], list[UUID]] = defaultdict(list)
    for row in rows:
        found[row["connection_id"], row["platform"]].append(row["id"])
    return found


async def seen_visitors(conn: asyncpg.Connection, tenant_id: UUID, visitor_ids: Collection[UUID]) -> Collection[UUID]:
    """Those of these visitors whom we saw."""
    if not visitor_ids:
        return frozenset()
    rows = await conn.fetch(
        "select id from visitors where tenant_id = $1 and id = any($2)", tenant_id, list(visitor_ids)
    )
    return {row["id"] for row in rows}


async def charged(conn: asyncpg.Connection, tenant_id: UUID, purchase_ids: Collection[UUID]) -> Mapping[UUID, int]:
    """What was charged on each purchase so far."""
    rows = await conn.fetch(
        "select id, charged_minor from purchases where tenant_id = $1 and id = any($2)", tenant_id, list(purchase_ids)
    )
    return {row["id"]: row["charged_minor"] for row in rows}
