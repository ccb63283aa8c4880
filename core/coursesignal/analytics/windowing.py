"""Credits as they would be within another window than the tenant's: worked out from the journeys, the moment they are asked for.

The same models and the same split to the minor unit as the stored credits have, read in the report's own snapshot: were it the
tenant's window, they would be stored so. They stand in a temporary table that is empty again when the transaction ends; a query
has those worked out that it reads, a batch of purchases at a time, so that what it takes grows with the period and not with the
history.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from coursesignal.analytics.period import Period
from coursesignal.analytics.views import AS_THEY_ARE, Definition, View, names
from coursesignal.attribution.paths import load_journeys
from coursesignal.attribution.service import compute
from coursesignal.attribution.tuning import tuned
from coursesignal.errors import Busy
from coursesignal.plugin import AttributionModel

CreditsOf = Period | Sequence[UUID] | None
"""Whose credits a query reads: of purchases with money in a period, of these purchases, or of any."""
TABLE = "window_credits"
ROOM = f"""
    create temporary table if not exists {TABLE} (
        charge_id uuid, model text, touch_id uuid, purchase_id uuid, weight float8, amount_minor bigint
    ) on commit delete rows;
    create index if not exists {TABLE}_1_idx on {TABLE} (charge_id, model);
    create index if not exists {TABLE}_2_idx on {TABLE} (purchase_id)"""
"""To be run before the transaction becomes one that only reads; such a one may still fill a temporary table."""
BATCH = 5_000
"""Purchases times models: what is worked out and written at once stays far below the time a statement may take."""
LONGEST_S = 45.0
"""Of working out, for one report."""

_CHARGES = """
    select id, purchase_id, amount_minor from charges
    where tenant_id = $1 and purchase_id = any($2::uuid[]) order by purchase_id, id"""
_WITH_MONEY = """
    select distinct c.purchase_id from charges c
    where c.tenant_id = $1 and c.occurred_at >= $2 and c.occurred_at < $3 order by 1"""
_ALL = "select p.id from purchases p where p.tenant_id = $1 and p.person_id is not null order by 1"


@dataclass(slots=True)
class WindowCredits:
    """The credits of ``models`` from touches at most ``lookback_days`` before the purchase, as far as somebody asked for them.

    ``view`` is how the reading sees charges and purchases.
    """

    conn: asyncpg.Connection
    tenant_id: UUID
    lookback_days: int
    models: Mapping[str, AttributionModel]
    view: View = AS_THEY_ARE
    there: set[UUID] = field(default_factory=set)
    periods: list[Period] = field(default_factory=list)
    """Of which everything is there."""
    complete: bool = False
    spent_s: float = 0.0

    @property
    def definition(self) -> Definition:
        """What stands for the table ``credits``."""
        return Definition(f"select '{self.tenant_id}'::uuid as tenant_id, * from {TABLE}")  # noqa: S608 – of a UUID

    async def work_out(self, sql: str, of: CreditsOf) -> None:
        """See that the credits are there that ``sql`` reads, if it reads any; raises Busy when that takes too long."""
        if self.complete or of in self.periods or not names("credits", sql):
            return
        missing = [one for one in await self._purchases(of) if one not in self.there]
        if missing:
            fitting = await tuned(self.conn, self.tenant_id, self.models)
            size = max(1, BATCH // len(fitting))
            for start in range(0, len(missing), size):
                await self._batch(missing[start : start + size], fitting)
            await self.conn.execute(f"analyze {TABLE}")
        self.complete = of is None
        if isinstance(of, Period):
            self.periods.append(of)

    async def _purchases(self, of: CreditsOf) -> Sequence[UUID]:
        if of is not None and not isinstance(of, Period):
            return of
        period = (of.start_at, of.end_at) if of else ()
        sql, values = self.view.over(_WITH_MONEY if of else _ALL, (self.tenant_id, *period))
        return [row[0] for row in await self.conn.fetch(sql, *values)]

    async def _batch(self, ids: Sequence[UUID], fitting: Mapping[str, AttributionModel]) -> None:
        started = time.monotonic()
        journeys = await load_journeys(self.conn, self.tenant_id, ids, self.lookback_days)
        charges = [(row[0], row[1], row[2]) for row in await self.conn.fetch(_CHARGES, self.tenant_id, ids)]
        rows = await asyncio.to_thread(compute, journeys, charges, fitting)  # others need not wait for it
        await self.conn.copy_records_to_table(TABLE, records=zip(*rows.columns, strict=True))
        self.there.update(ids)
        self.spent_s += time.monotonic() - started
        if self.spent_s > LONGEST_S:
            raise too_long()


def too_long() -> Busy:
    """What a report answers whose credits take longer to work out than anybody waits."""
    return Busy(
        "Working out this window took too long.",
        kind="report-timeout",
        detail="Choose a shorter period with range, or from and to; or make the window the tenant's own (lookbackDays).",
        retry_after_s=5,
    )
