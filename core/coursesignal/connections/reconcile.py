"""Our totals against the platform's: what the pages of a sync told of, beside what we have booked over the same time.

Money is compared one by one, under the platform's own ids; a refund told as "so much in all" is compared as such. What moved on
either side since the sync began is left out: the next one compares it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.commerce.money import joined, money_in
from coursesignal.connections.schemas import Compared, Differing, PlatformReconciliation
from coursesignal.currency import decimal_amount
from coursesignal.plugin import PlatformEvent

SHOWN = 50
"""How many differences are kept."""

_NOTE = """
    insert into sync_listed (
        tenant_id, sync_run_id, external_id, kind, amount_minor, currency, occurred_at, refund_of, refund_total
    )
    select $1, $2, * from unnest(
        $3::text[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[], $8::text[], $9::bigint[]
    )
    on conflict (tenant_id, sync_run_id, external_id) do update set
        amount_minor = case when abs(excluded.amount_minor) > abs(sync_listed.amount_minor) then excluded.amount_minor
                            else sync_listed.amount_minor end,
        occurred_at = least(sync_listed.occurred_at, excluded.occurred_at)"""

# Refunds that the platform tells as "so much in all" are one piece of money with the single refunds of that payment. Ours of
# that sort count where the platform listed the payment, and so would have told of them.
_COMPARE = """
    with listed as (
        select * from sync_listed where tenant_id = $1 and sync_run_id = $2
    ), totalled as (
        select distinct refund_of from listed where refund_total is not null
    ), theirs as (
        select case when kind = 'refund' and refund_of in (select refund_of from totalled) or refund_total is not null
                    then 'refunds:' || refund_of else 'charge:' || external_id end as key,
               (coalesce(sum(amount_minor) filter (where refund_total is null and (kind <> 'refund' or refund_of is null)), 0)
                - greatest(coalesce(-sum(amount_minor) filter (
                      where refund_total is null and kind = 'refund' and refund_of is not null), 0),
                      coalesce(max(refund_total), 0)))::bigint as amount_minor,
               min(currency) as currency, max(occurred_at) as last_at
        from listed group by 1
    ), ours as (
        select case when kind = 'refund' and refund_of in (select refund_of from totalled) or refund_total is not null
                    then 'refunds:' || refund_of else 'charge:' || external_id end as key,
               sum(amount_minor)::bigint as amount_minor, min(currency) as currency, max(occurred_at) as last_at,
               bool_and(refund_total is null or refund_of in (select external_id from listed)) as would_be_told
        from charges where tenant_id = $1 and connection_id = $3 group by 1
    )
    select coalesce(t.key, o.key) as key, o.amount_minor as ours_minor, o.currency as our_currency,
           t.amount_minor as theirs_minor, t.currency as their_currency
    from theirs t full join ours o on o.key = t.key
    where (t.last_at >= $4 or o.last_at >= $4)
      and coalesce(t.last_at, o.last_at) < $5 and coalesce(o.last_at, t.last_at) < $5
      and (t.key is not null or o.would_be_told)
    order by 1"""


@dataclass(frozen=True, slots=True)
class Pair:
    """One piece of money as either side has it, None where it has not."""

    key: str
    ours_minor: int | None
    our_currency: str | None
    theirs_minor: int | None
    their_currency: str | None

    @property
    def agrees(self) -> bool:
        return (self.ours_minor, self.our_currency) == (self.theirs_minor, self.their_currency)


async def note(conn: asyncpg.Connection, tenant_id: UUID, run_id: UUID, events: Sequence[PlatformEvent]) -> None:
    """Keep what a page told of, for the comparison at the end of its run."""
    told = joined(money for event in events if (money := money_in(event)) is not None).values()
    await conn.execute(
        _NOTE, tenant_id, run_id, *(
            [getattr(one, column) for one in told]
            for column in (
                "external_id", "kind", "amount_minor", "currency", "occurred_at", "refund_of", "refund_total"
            )
        ),
    )  # fmt: skip


async def told_of(conn: asyncpg.Connection, tenant_id: UUID, run_id: UUID, purchase_ids: Collection[UUID]) -> set[UUID]:
    """Those of these purchases whose money a run's pages told of so far."""
    rows = await conn.fetch(
        "select distinct c.purchase_id from charges c "
        "join sync_listed l on l.tenant_id = $1 and l.sync_run_id = $2 and l.external_id = c.external_id "
        "where c.tenant_id = $1 and c.purchase_id = any($3)",
        tenant_id, run_id, list(purchase_ids),
    )  # fmt: skip
    return {row["purchase_id"] for row in rows}


async def compare(
    conn: asyncpg.Connection,
    tenant_id: UUID,
    connection_id: UUID,
    run_id: UUID,
    *,
    since: datetime,
    until: datetime,
    found: int,
) -> None:
    """Compare both sides' money between ``since`` and ``until``, keep the result, and forget what the run's pages told."""
    rows = await conn.fetch(_COMPARE, tenant_id, run_id, connection_id, since, until)
    pairs = [Pair(**row) for row in rows]
    totals, differing = sums(pairs), [pair for pair in pairs if not pair.agrees]
    await conn.execute(
        "insert into reconciliations (tenant_id, connection_id, sync_run_id, since, until, agrees, found, totals, differing) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        tenant_id, connection_id, run_id, since, until, not differing, found, msgspec.to_builtins(totals),
        msgspec.to_builtins([difference(pair) for pair in differing[:SHOWN]]),
    )  # fmt: skip
    await conn.execute("delete from sync_listed where tenant_id = $1 and sync_run_id = $2", tenant_id, run_id)


def sums(pairs: Iterable[Pair]) -> list[Compared]:
    """Both sides' totals by currency. Pure."""
    ours: dict[str, list[int]] = defaultdict(list)
    theirs: dict[str, list[int]] = defaultdict(list)
    for pair in pairs:
        if pair.ours_minor is not None and pair.our_currency is not None:
            ours[pair.our_currency].append(pair.ours_minor)
        if pair.theirs_minor is not None and pair.their_currency is not None:
            theirs[pair.their_currency].append(pair.theirs_minor)
    return [
        Compared(
            currency=currency,
            ours_minor=sum(ours[currency]),
            theirs_minor=sum(theirs[currency]),
            difference_minor=sum(ours[currency]) - sum(theirs[currency]),
            ours=len(ours[currency]),
            theirs=len(theirs[currency]),
        )
        for currency in sorted({*ours, *theirs})
    ]


def difference(pair: Pair) -> Differing:
    """What to show of money on which the sides do not agree; its id is the platform's."""
    return Differing(
        external_id=pair.key.partition(":")[2],
        what="refunds" if pair.key.startswith("refunds:") else "payment",
        currency=pair.their_currency or pair.our_currency or "",
        ours_minor=pair.ours_minor,
        theirs_minor=pair.theirs_minor,
    )


async def latest(
    conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, name: str
) -> PlatformReconciliation | None:
    """The last comparison, with a sentence for people; None before the first."""
    row = await conn.fetchrow(
        "select checked_at, since, until, agrees, found, totals, differing from reconciliations "
        "where tenant_id = $1 and connection_id = $2 order by checked_at desc limit 1",
        tenant_id, connection_id,
    )  # fmt: skip
    if row is None:
        return None
    totals = msgspec.convert(row["totals"], list[Compared])
    differing = msgspec.convert(row["differing"], list[Differing])
    return PlatformReconciliation(
        checked_at=row["checked_at"], since=row["since"], until=row["until"], agrees=row["agrees"], found=row["found"],
        currencies=totals, differing=differing, message=in_words(name, row["agrees"], totals, row["found"]),
    )  # fmt: skip


def in_words(name: str, agrees: bool, totals: Sequence[Compared], found: int) -> str:
    """One sentence for people, and one more about what no webhook had brought."""
    brought = f" {found} came by sync first." if found else ""
    if agrees:
        amounts = ", ".join(f"{decimal_amount(one.ours_minor, one.currency)} {one.currency}" for one in totals)
        return f"Agrees with {name} to the cent: {amounts or 'nothing was sold'}.{brought}"
    wrong = [one for one in totals if one.difference_minor] or totals
    told = "; ".join(
        f"{decimal_amount(one.ours_minor, one.currency)} {one.currency} here, "
        f"{decimal_amount(one.theirs_minor, one.currency)} at {name}"
        for one in wrong
    )
    return f"Does not agree with {name}: {told}.{brought}"
