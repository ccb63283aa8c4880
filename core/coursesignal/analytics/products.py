"""Revenue by product: every charge is split to the items of its purchase, and to sources, both to the last minor unit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from coursesignal.analytics.reading import Reading
from coursesignal.analytics.sales import SALES
from coursesignal.attribution.allocate import allocate
from coursesignal.reports import ProductRow, ProductSource, ProductsReport, ProductTotals

NOTHING_SOLD = "Nothing was sold in this period. Choose a longer one."
_WHERE = "c.tenant_id = $1 and c.occurred_at >= $2 and c.occurred_at < $3 and c.currency = $4"
_CHARGES = f"""
    select c.id, c.purchase_id, c.amount_minor, {SALES} as is_sale, p.platform
    from charges c join purchases p on p.tenant_id = $1 and p.id = c.purchase_id
    where {_WHERE}"""  # noqa: S608 – of constants
_ITEMS = f"""
    select i.purchase_id, i.external_id, i.title, i.quantity, i.amount_minor,
           (select o.amount_minor from charges o where o.tenant_id = $1 and o.purchase_id = i.purchase_id and o.amount_minor > 0
            order by o.occurred_at, o.id limit 1) as first_minor
    from purchase_items i
    where i.tenant_id = $1 and i.purchase_id in (select c.purchase_id from charges c where {_WHERE})
    order by i.purchase_id, i.external_id"""  # noqa: S608 – of constants
_CREDITS = f"""
    select c.id, t.source, sum(k.amount_minor)::bigint as amount
    from charges c join credits k on k.tenant_id = $1 and k.charge_id = c.id and k.model = $5
    join touches t on t.tenant_id = $1 and t.id = k.touch_id
    where {_WHERE} group by c.id, t.source order by c.id, t.source"""  # noqa: S608 – of constants

Product = tuple[str, str]
"""Platform and the platform's id of the item; an empty id where it names none."""
UNNAMED = ""
REST: None = None
"""The source of what is credited to none."""


@dataclass(slots=True)
class _Sold:
    """What was sold of one product."""

    title: str
    charged: int = 0
    refunded: int = 0
    purchases: set[UUID] = field(default_factory=set)
    by_source: dict[str | None, int] = field(default_factory=lambda: defaultdict(int))


async def products(reading: Reading) -> ProductsReport:
    """Every product with money in the period."""
    period = reading.period
    about = (reading.tenant.id, period.start_at, period.end_at, reading.currency)
    items = _by_purchase(await reading.fetch(_ITEMS, *about))
    credited: dict[UUID, dict[str | None, int]] = defaultdict(dict)
    for row in await reading.fetch(_CREDITS, *about, reading.model, credits_of=period):
        credited[row["id"]][row["source"]] = row["amount"]
    sold: dict[Product, _Sold] = {}
    for charge in await reading.fetch(_CHARGES, *about):
        _add(sold, charge, items.get(charge["purchase_id"], ()), credited.get(charge["id"], {}))
    rows = sorted((_row(key, one) for key, one in sold.items()), key=lambda row: (-row.revenue_minor, row.product))
    return ProductsReport(
        from_=period.first, to=period.last, currency=reading.currency, model=reading.model,
        hint=None if rows else NOTHING_SOLD, rows=tuple(rows), totals=_totals(rows),
    )  # fmt: skip


def _by_purchase(rows: Sequence[Any]) -> Mapping[UUID, Sequence[Any]]:
    found: dict[UUID, list[Any]] = defaultdict(list)
    for row in rows:
        found[row["purchase_id"]].append(row)
    return found


def _add(sold: dict[Product, _Sold], charge: Any, items: Sequence[Any], credited: Mapping[str | None, int]) -> None:
    """Split one charge to its items and sources."""
    amount: int = charge["amount_minor"]
    parts = allocate(amount, item_weights(items)) if items else [amount]
    by_source = {**credited, REST: amount - sum(credited.values())}
    cells = table_of(parts, list(by_source.values()))
    for n, part in enumerate(parts):
        key, title = (items[n]["external_id"], items[n]["title"]) if items else (UNNAMED, UNNAMED)
        one = sold.setdefault((charge["platform"], key), _Sold(title))
        if charge["is_sale"]:
            one.charged += part
            one.purchases.add(charge["purchase_id"])
        else:
            one.refunded -= part
        for source, cell in zip(by_source, cells[n], strict=True):
            one.by_source[source] += cell


def item_weights(items: Sequence[Mapping[str, Any]]) -> Sequence[int]:
    """By amount; items without one share what the others leave of the first payment. Without any amount by quantity alone."""
    known = sum(item["amount_minor"] or 0 for item in items)
    open_items = [item["quantity"] if item["amount_minor"] is None else 0 for item in items]
    rest = max(0, (items[0]["first_minor"] or 0) - known)
    shares = allocate(rest, open_items) if rest and sum(open_items) else [0] * len(items)
    weights = [max(0, item["amount_minor"] or 0) + share for item, share in zip(items, shares, strict=True)]
    return weights if sum(weights) else [max(1, item["quantity"]) for item in items]


def table_of(rows: Sequence[int], columns: Sequence[int]) -> Sequence[Sequence[int]]:
    """Whole numbers in proportion whose rows and columns sum exactly to these, which have one total. Pure."""
    total = sum(rows)
    if len(rows) == 1:
        return [list(columns)]
    cells = [[abs(row) * abs(column) // abs(total) if total else 0 for column in columns] for row in rows]
    sign = -1 if total < 0 else 1
    cells = [[sign * cell for cell in line] for line in cells]
    missing = [column - sum(line[n] for line in cells) for n, column in enumerate(columns)]
    for n, row in enumerate(rows):
        short = row - sum(cells[n])
        for m in range(len(columns)):
            step = min(short, missing[m]) if sign > 0 else max(short, missing[m])
            if step * sign > 0:
                cells[n][m] += step
                missing[m] -= step
                short -= step
    return cells


def _row(key: Product, one: _Sold) -> ProductRow:
    sources = sorted(
        ((name, amount) for name, amount in one.by_source.items() if name is not REST and amount),
        key=lambda found: (-found[1], found[0]),
    )
    return ProductRow(
        product=one.title, external_id=key[1], platform=key[0], charged_minor=one.charged, refunded_minor=one.refunded,
        revenue_minor=one.charged - one.refunded, purchases=len(one.purchases),
        sources=tuple(ProductSource(source=name, revenue_minor=amount) for name, amount in sources),
        unattributed_minor=one.by_source[REST],
    )  # fmt: skip


def _totals(rows: Sequence[ProductRow]) -> ProductTotals:
    return ProductTotals(
        charged_minor=sum(row.charged_minor for row in rows),
        refunded_minor=sum(row.refunded_minor for row in rows),
        revenue_minor=sum(row.revenue_minor for row in rows),
    )
