"""The view of one reading, put together: what stands in for each table under a date basis, a window, rates and filters.

Each table is replaced at most once, by one ``select`` of all its columns in which the asked columns are computed. ``public.`` is
the table itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from coursesignal.analytics.conversion import JOIN_CHARGES, JOIN_CREDITS, JOIN_PURCHASES, Conversion
from coursesignal.analytics.filters import Filter
from coursesignal.analytics.narrowing import PURCHASES, VISITORS, Narrowing
from coursesignal.analytics.orders import ORDERS, Orders
from coursesignal.analytics.views import Definition, View

OF_PURCHASES = {"purchases": "id", "charges": "purchase_id"}
OF_VISITORS = {"visitors": "id", "sessions": "visitor_id", "touches": "visitor_id", "events": "visitor_id"}
"""Tables that a filter narrows, by the column that says whose a row is.

Credits are read through their charges, items through their purchase: these are narrowed already.
"""
CREDITS = "at_window"
"""The step with the credits of another window."""
_COLUMNS = """
    select array_agg(attname::text order by attnum) from pg_catalog.pg_attribute
    where attrelid = ('public.' || $1)::regclass and attnum > 0 and not attisdropped"""


@dataclass(frozen=True, slots=True)
class Changes:
    """What changes the tables; ``credits`` stand for the stored ones."""

    by_order: bool = False
    credits: Definition | None = None
    filters: Sequence[Filter] = ()
    conversion: Conversion | None = None
    orders: Orders | None = None
    """Chosen purchases; asked by plugins, which ask for nothing else besides."""


async def view_of(conn: asyncpg.Connection, tenant_id: UUID, changes: Changes) -> View:
    """The view with ``changes``; the empty one without any."""
    building = _Building(conn, tenant_id, changes)
    await building.build()
    return View(building.tables, building.steps)


@dataclass
class _Building:
    conn: asyncpg.Connection
    tenant_id: UUID
    changes: Changes
    tables: dict[str, Definition] = field(default_factory=dict)
    steps: dict[str, Definition] = field(default_factory=dict)
    narrowed: dict[str, str] = field(default_factory=dict)
    """Table → condition on its rows, ``x``."""

    async def build(self) -> None:
        if self.changes.orders:
            await self._of_orders(self.changes.orders)
            return
        self._narrow()
        if self.changes.conversion:
            self.steps |= self.changes.conversion.steps(self.tenant_id)
        for table in self.narrowed:
            self.tables[table] = self._select(table, "x.*")
        if self.changes.by_order or self.changes.conversion:
            await self._charges()
        if self.changes.credits or self.changes.conversion:
            await self._credits()
        if self.changes.conversion:
            await self._purchases(self.changes.conversion)

    async def _of_orders(self, orders: Orders) -> None:
        columns = await self._columns("charges", {"occurred_at": "o.counted_at"})
        self.steps[ORDERS] = orders.step(self.tenant_id)
        self.tables["purchases"] = orders.purchases(self.tenant_id)
        self.tables["charges"] = orders.charges(self.tenant_id, columns)

    def _narrow(self) -> None:
        if not self.changes.filters:
            return
        narrowing = Narrowing(self.tenant_id)
        for asked in self.changes.filters:
            narrowing.add(asked)
        visitors = narrowing.finish()
        self.steps.update(narrowing.steps)
        # "is true" keeps the set a hash that is asked row by row: joined, it would be read again for every row of a subquery.
        for table, column in OF_PURCHASES.items():
            self.narrowed[table] = f"(x.{column} in (select id from {PURCHASES})) is true"  # noqa: S608 – of constants
        for table, column in OF_VISITORS.items() if visitors else ():
            self.narrowed[table] = f"(x.{column} in (select id from {VISITORS})) is true"  # noqa: S608 – of constants

    async def _charges(self) -> None:
        """Dated by their order, in one currency."""
        changed, joins = {}, ""
        if self.changes.by_order:
            changed["occurred_at"] = "o.purchased_at"
            joins = "join public.purchases o on o.tenant_id = x.tenant_id and o.id = x.purchase_id"
        if conversion := self.changes.conversion:
            changed |= conversion.of_charges
            joins += f" {JOIN_CHARGES}"
        self.tables["charges"] = self._select("charges", await self._columns("charges", changed), joins)

    async def _credits(self) -> None:
        """Those of another window, split as their charge was converted."""
        changed: dict[str, str] = {}
        table, joins = "public.credits", ""
        if self.changes.credits:
            table, self.steps[CREDITS] = CREDITS, self.changes.credits
        if conversion := self.changes.conversion:
            changed, joins = conversion.of_credits, JOIN_CREDITS
        columns = await self._columns("credits", changed)
        self.tables["credits"] = self._select("credits", columns, joins, table)

    async def _purchases(self, conversion: Conversion) -> None:
        columns = await self._columns("purchases", conversion.of_purchases)
        self.tables["purchases"] = self._select("purchases", columns, JOIN_PURCHASES)

    def _select(self, table: str, columns: str, joins: str = "", source: str = "") -> Definition:
        tests = [f"x.tenant_id = '{self.tenant_id}'", self.narrowed.get(table)]
        where = " and ".join(test for test in tests if test)
        return Definition(f"select {columns} from {source or f'public.{table}'} x {joins} where {where}")  # noqa: S608

    async def _columns(self, table: str, changed: Mapping[str, str]) -> str:
        """Every column of the table in its order, the changed ones computed."""
        names: list[str] = await self.conn.fetchval(_COLUMNS, table)
        return ", ".join(f"{changed[name]} as {name}" if name in changed else f"x.{name}" for name in names)
