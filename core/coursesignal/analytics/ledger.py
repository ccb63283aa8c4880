"""From any number down to its orders: the purchases whose money moved in a period, with their credits and the reason of each.

A row of any report is asked for by its own fields: ``source``, ``medium`` and so on are those of a credited touch, ``platform``,
``product`` and ``person`` those of a purchase. What the touches asked for got of a purchase is ``selected``; summed over the
purchases of the report's currency it is the number of the row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from coursesignal.analytics.purchases import LINE_COLUMNS, TOP_TOUCH, line_fields, next_cursor
from coursesignal.analytics.reading import Reading
from coursesignal.analytics.reasons import evidence, reason
from coursesignal.analytics.schemas import Ledger, LedgerCredit, LedgerLine, LedgerSum
from coursesignal.attribution.paths import Journey, load_journeys
from coursesignal.web.cursors import decode_cursor

_LINES = """
    with moved as (
        select purchase_id,
               coalesce(sum(amount_minor) filter (where kind in ('sale', 'renewal', 'instalment')), 0) as charges,
               coalesce(-sum(amount_minor) filter (where kind not in ('sale', 'renewal', 'instalment')), 0) as refunds
        from charges
        where tenant_id = $1 and occurred_at >= $3 and occurred_at < $4 {money}
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
    select k.purchase_id, k.touch_id, t.source, t.channel, t.medium, t.campaign, t.content, t.landing_path as landing,
           max(k.weight) as weight, sum(k.amount_minor) as amount
    from charges c
    join credits k on k.tenant_id = $1 and k.charge_id = c.id and k.model = $2
    join touches t on t.tenant_id = $1 and t.id = k.touch_id
    where c.tenant_id = $1 and c.occurred_at >= $3 and c.occurred_at < $4 and c.purchase_id = any($5::uuid[])
    group by k.purchase_id, k.touch_id, t.source, t.channel, t.medium, t.campaign, t.content, t.landing_path, t.occurred_at
    order by t.occurred_at, k.touch_id"""

_CREDITED_TO = """
    and exists (
        select from credits k join touches t on t.tenant_id = $1 and t.id = k.touch_id
        where k.tenant_id = $1 and k.purchase_id = purchases.id and k.model = $2 {touch}
    )"""

_CREDITED_TO_NOBODY = """
    and not exists (select from credits k where k.tenant_id = $1 and k.purchase_id = purchases.id and k.model = $2)"""

_SUMS = """
    select c.currency, sum(k.amount_minor) as amount, count(distinct c.purchase_id) as purchases
    from charges c
    join credits k on k.tenant_id = $1 and k.charge_id = c.id and k.model = $2
    join touches t on t.tenant_id = $1 and t.id = k.touch_id
    join purchases on purchases.tenant_id = $1 and purchases.id = c.purchase_id
    where c.tenant_id = $1 and c.occurred_at >= $3 and c.occurred_at < $4 {where}
    group by c.currency order by c.currency"""

_TOUCH_COLUMNS = {
    "source": "t.source",
    "channel": "t.channel",
    "medium": "t.medium",
    "campaign": "t.campaign",
    "content": "t.content",
    "landing": "t.landing_path",
}
_PURCHASE_COLUMNS = {
    "platform": "purchases.platform",
    "product": "purchases.product",
    "person": "purchases.person_id",
}


@dataclass(frozen=True, slots=True)
class Row:
    """The row of a report that was opened: its fields, None where it has none; empty text is a value."""

    source: str | None = None
    channel: str | None = None
    medium: str | None = None
    campaign: str | None = None
    content: str | None = None
    landing: str | None = None
    platform: str | None = None
    product: str | None = None
    person: UUID | None = None
    unattributed: bool = False

    @property
    def of_touch(self) -> dict[str, str]:
        return {name: value for name in _TOUCH_COLUMNS if (value := getattr(self, name)) is not None}

    @property
    def of_purchase(self) -> dict[str, object]:
        return {name: value for name in _PURCHASE_COLUMNS if (value := getattr(self, name)) is not None}

    def has(self, credit: Mapping[str, Any]) -> bool:
        """Whether the credit counts in the row."""
        return all(credit[name] == value for name, value in self.of_touch.items())


EVERYTHING = Row()


async def ledger(reading: Reading, *, limit: int, cursor: str = "", row: Row = EVERYTHING) -> Ledger:
    """A page of the ledger: the purchases of ``row``, with all their credits."""
    period = reading.period
    rows = await _lines(reading, limit, cursor, row)
    ids = [line["id"] for line in rows[:limit]]
    credits = await _credits(reading, ids, row)
    return Ledger(
        from_=period.first,
        to=period.last,
        model=reading.model,
        items=tuple(_line(line, credits[line["id"]], row) for line in rows[:limit]),
        selected=await _sums(reading, row) if row.of_touch else None,
        next_cursor=next_cursor(rows, limit),
    )


async def _lines(reading: Reading, limit: int, cursor: str, row: Row) -> list[Any]:
    values: list[object] = [reading.tenant.id, reading.model, reading.period.start_at, reading.period.end_at, limit + 1]
    where = ""
    if place := decode_cursor(cursor):
        values += [place.at, place.id]
        where += " and (purchased_at, id) < ($6, $7)"
    money = _of_currency(reading, "currency", values)
    where += _equal(_PURCHASE_COLUMNS, row.of_purchase, values)
    if row.of_touch:
        where += _CREDITED_TO.format(touch=_equal(_TOUCH_COLUMNS, row.of_touch, values))
    if row.unattributed:
        where += _CREDITED_TO_NOBODY
    sql = _LINES.format(columns=LINE_COLUMNS, money=money, where=where, top=TOP_TOUCH)
    rows: list[Any] = await reading.fetch(sql, *values, credits_of=reading.period)
    return rows


async def _credits(reading: Reading, purchase_ids: Sequence[UUID], row: Row) -> dict[UUID, list[LedgerCredit]]:
    values = (reading.tenant.id, reading.model, reading.period.start_at, reading.period.end_at, purchase_ids)
    found = await reading.fetch(_CREDITS, *values, credits_of=purchase_ids)
    journeys = await _journeys(reading, purchase_ids) if found else {}
    credits: dict[UUID, list[LedgerCredit]] = defaultdict(list)
    for credit in found:
        journey = journeys.get(credit["purchase_id"])
        why = reason(reading.model, reading.model_name, journey, credit["touch_id"], credit["weight"])
        fields = {name: credit[name] for name in ("touch_id", "weight", *_TOUCH_COLUMNS)}
        credits[credit["purchase_id"]].append(
            LedgerCredit(amount_minor=int(credit["amount"]), selected=row.has(credit), reason=why, **fields)
        )
    return credits


async def _journeys(reading: Reading, purchase_ids: Sequence[UUID]) -> dict[UUID, Journey]:
    """The paths that were credited."""
    return await load_journeys(reading.conn, reading.tenant.id, purchase_ids, reading.lookback_days)


async def _sums(reading: Reading, row: Row) -> tuple[LedgerSum, ...]:
    """What the touches of ``row`` got in the period, over all pages."""
    values: list[object] = [reading.tenant.id, reading.model, reading.period.start_at, reading.period.end_at]
    where = _equal(_TOUCH_COLUMNS, row.of_touch, values) + _equal(_PURCHASE_COLUMNS, row.of_purchase, values)
    where += _of_currency(reading, "c.currency", values)
    rows = await reading.fetch(_SUMS.format(where=where), *values, credits_of=reading.period)
    return tuple(
        LedgerSum(currency=found["currency"], amount_minor=int(found["amount"]), purchases=found["purchases"])
        for found in rows
    )


def _of_currency(reading: Reading, column: str, values: list[object]) -> str:
    """Every currency, unless the query asks for one."""
    return _equal({"": column}, {"": reading.currency}, values) if reading.wishes.currency else ""


def _equal(columns: Mapping[str, str], wanted: Mapping[str, object], values: list[object]) -> str:
    """Conditions that each wanted column has its value, which is added to ``values``."""
    where = ""
    for name, value in wanted.items():
        values.append(value)
        where += f" and {columns[name]} = ${len(values)}"
    return where


def _line(line: Any, credits: Sequence[LedgerCredit], row: Row) -> LedgerLine:
    credited = sum(credit.amount_minor for credit in credits)
    charges, refunds = int(line["charges"]), int(line["refunds"])
    rest = charges - refunds - credited
    selected = sum(credit.amount_minor for credit in credits if credit.selected)
    return LedgerLine(
        **line_fields(line),
        charges_minor=charges,
        refunds_minor=refunds,
        credited_minor=credited,
        unattributed_minor=rest,
        selected_minor=rest if row.unattributed else selected,
        evidence=evidence(line["match"]),
        credits=tuple(credits),
    )
