"""Credits as they would be within another window than the tenant's: worked out from the journeys, the moment they are asked for.

The same models and the same split to the minor unit as the stored credits have, read in the report's own snapshot: were it the
tenant's window, they would be stored so. Nothing is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from uuid import UUID

import asyncpg

from coursesignal.analytics.views import Definition
from coursesignal.attribution.paths import load_journeys
from coursesignal.attribution.service import compute
from coursesignal.attribution.tuning import tuned
from coursesignal.errors import FieldError, Invalid
from coursesignal.plugin import AttributionModel

MAX_PURCHASES = 20_000
"""Of known buyers; more take longer than a report may."""
_CHARGES = """
    select c.id, c.purchase_id, c.amount_minor
    from purchases p join charges c on c.tenant_id = $1 and c.purchase_id = p.id
    where p.tenant_id = $1 and p.person_id is not null order by c.id"""
_PURCHASES = "select id from purchases where tenant_id = $1 and person_id is not null order by id limit $2"


async def credits_within(
    conn: asyncpg.Connection, tenant_id: UUID, lookback_days: int, models: Mapping[str, AttributionModel]
) -> Definition:
    """All credits of ``models`` from touches at most ``lookback_days`` before the purchase, as rows of the table ``credits``.

    Raises Invalid when there are too many purchases to do it while somebody waits.
    """
    ids = [row["id"] for row in await conn.fetch(_PURCHASES, tenant_id, MAX_PURCHASES + 1)]
    if len(ids) > MAX_PURCHASES:
        text = f"Only for up to {MAX_PURCHASES} purchases; make it the tenant's own window (lookbackDays) instead."
        raise Invalid("This window takes too long.", errors=[FieldError("window", text)])
    journeys = await load_journeys(conn, tenant_id, ids, lookback_days)
    charges = [(row["id"], row["purchase_id"], row["amount_minor"]) for row in await conn.fetch(_CHARGES, tenant_id)]
    fitting = await tuned(conn, tenant_id, models)
    rows = await asyncio.to_thread(
        compute, journeys, charges, fitting
    )  # a second of work that others need not wait for
    return Definition(
        f"select '{tenant_id}'::uuid as tenant_id, * from unnest("  # noqa: S608 – of a UUID
        "$1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::float8[], $6::bigint[]"
        ") as k (charge_id, model, touch_id, purchase_id, weight, amount_minor)",
        rows.columns,
        kept=True,
    )
