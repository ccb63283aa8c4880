"""From any number down to its orders: the purchases whose money moved in a period, with their credits of that period."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from coursesignal.analytics.purchases import LINE_COLUMNS, TOP_TOUCH, line_fields, next_cursor
from coursesignal.analytics.reading import Reading
from coursesignal.analytics.schemas import Ledger, LedgerCredit, LedgerLine
from coursesignal.web.cursors import decode_cursor

_LINES = """
    with moved as (
        select purchase_id,
               coalesce(sum(amount_minor) filter (where kind in ('sale', 'renewal', 'instalment')), 0) as charges,
               coalesce(-sum(amount_minor) filter (where kind not in ('sale', 'renewal', 'instalment')), 0) as refunds
        from charges
        where tenant_id = $1 and occurred_at >= $3 and occurred_at < $4
        group by purchase_id
    )
    select {columns}, p.charges, p.refunds
    from (
        select purchases.*, moved.charges, moved.refunds
        from moved join purchases on purchases.tenant_id = $1 and purchases.id = moved.purchase_id
        where true {where}
        order by purchased_at desc, id desc limit $5
    ) p {top}
    order by p.purchased_at desc, p.id desc"""

_CREDITS = """
    select k.purchase_id, k.touch_id, t.source, t.channel, t.medium, t.campaign, t.content,
           max(k.weight) as weight, sum(k.amount_minor) as amount
    from charges c
    join credits k on k.tenant_id = $1 and k.charge_id = c.id and k.model = $2
    join touches t on t.tenant_id = $1 and t.id = k.touch_id
    where c.tenant_id = $1 and c.occurred_at >= $3 and c.occurred_at < $4 and c.purchase_id = any($5::uuid[])
    group by k.purchase_id, k.touch_id, t.source, t.channel, t.medium, t.campaign, t.content, t.occurred_at
    order by t.occurred_at, k.touch_id"""

_OF_SOURCE = """
    and exists (
        select from credits k join touches t on t.tenant_id = $1 and t.id = k.touch_id
        where k.tenant_id = $1 and k.purchase_id = purchases.id and k.model = $2 and t.source = ${number}
    )"""


async def ledger(reading: Reading, *, limit: int, cursor: str = "", source: str = "") -> Ledger:
    """A page of the ledger; with ``source`` only the purchases that the model credits to it, with all their credits."""
    period = reading.period
    rows = await _lines(reading, limit, cursor, source)
    credits = await _credits(reading, [row["id"] for row in rows[:limit]])
    return Ledger(
        from_=period.first,
        to=period.last,
        model=reading.model,
        items=tuple(_line(row, credits[row["id"]]) for row in rows[:limit]),
        next_cursor=next_cursor(rows, limit),
    )


async def _lines(reading: Reading, limit: int, cursor: str, source: str) -> list[Any]:
    values = [reading.tenant.id, reading.model, reading.period.start_at, reading.period.end_at, limit + 1]
    where = ""
    if place := decode_cursor(cursor):
        values += [place.at, place.id]
        where += " and (purchased_at, id) < ($6, $7)"
    if source:
        values.append(source)
        where += _OF_SOURCE.format(number=len(values))
    rows: list[Any] = await reading.fetch(_LINES.format(columns=LINE_COLUMNS, where=where, top=TOP_TOUCH), *values)
    return rows


async def _credits(reading: Reading, purchase_ids: Sequence[UUID]) -> dict[UUID, list[LedgerCredit]]:
    values = (reading.tenant.id, reading.model, reading.period.start_at, reading.period.end_at, purchase_ids)
    found: dict[UUID, list[LedgerCredit]] = defaultdict(list)
    for row in await reading.fetch(_CREDITS, *values):
        fields = {
            name: row[name] for name in ("touch_id", "source", "channel", "medium", "campaign", "content", "weight")
        }
        found[row["purchase_id"]].append(LedgerCredit(amount_minor=int(row["amount"]), **fields))
    return found


def _line(row: Any, credits: Sequence[LedgerCredit]) -> LedgerLine:
    credited = sum(credit.amount_minor for credit in credits)
    charges, refunds = int(row["charges"]), int(row["refunds"])
    return LedgerLine(
        **line_fields(row),
        charges_minor=charges,
        refunds_minor=refunds,
        credited_minor=credited,
        unattributed_minor=charges - refunds - credited,
        credits=tuple(credits),
    )
