"""Reports of chosen purchases within a window: what ``ctx.reports.of_purchases`` puts in the place of the tables.

A purchase's money counts at its order, moved to the window's edge for one made outside of it. Its sale counts whenever it was
made, renewals and instalments when they were charged before the window's end, and what goes back counts against what it
reverses, however much later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from coursesignal.analytics.views import Definition

ORDERS = "in_orders"
"""The step that holds the purchases: ``id``, and ``counted_at``, when their money counts."""
LATER = "('renewal', 'instalment')"
"""Kinds of charges that only count until the end."""


@dataclass(frozen=True, slots=True)
class Orders:
    """Purchases by id, and the window their money counts in: from ``start_at`` up to, not including, ``end_at``."""

    ids: tuple[UUID, ...]
    start_at: datetime
    end_at: datetime

    def step(self, tenant_id: UUID) -> Definition:
        """The purchases that are the tenant's."""
        return Definition(
            "select p.id, greatest($2::timestamptz, least(p.purchased_at, $3::timestamptz)) as counted_at, "  # noqa: S608
            "$4::timestamptz as ends_at "
            f"from public.purchases p where p.tenant_id = '{tenant_id}' and p.id = any($1::uuid[])",
            (list(self.ids), self.start_at, self.end_at - timedelta(microseconds=1), self.end_at),
            kept=True,
        )

    def purchases(self, tenant_id: UUID) -> Definition:
        return Definition(
            f"select x.* from public.purchases x where x.tenant_id = '{tenant_id}' "  # noqa: S608 – of constants
            f"and (x.id in (select id from {ORDERS})) is true"
        )

    def charges(self, tenant_id: UUID, columns: str) -> Definition:
        """``columns`` of ``x``, in which ``o.counted_at`` is when a charge counts."""
        return Definition(
            f"""select {columns} from public.charges x join {ORDERS} o on o.id = x.purchase_id
            where x.tenant_id = '{tenant_id}' and case
                when x.kind = 'sale' then true
                when x.kind in {LATER} then x.occurred_at < o.ends_at
                else not exists (
                    select 1 from public.charges l where l.tenant_id = x.tenant_id and l.connection_id = x.connection_id
                    and l.external_id = x.refund_of and l.kind in {LATER} and l.occurred_at >= o.ends_at) end"""  # noqa: S608
        )
