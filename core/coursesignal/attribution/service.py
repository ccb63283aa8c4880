"""Credits: every signed charge of a purchase, shared among the touches of its journey by every model.

A refund, a renewal or a dispute carries the weights of its purchase's journey on its own day, so for any period and model
credited + unattributed = charges − refunds. What has no touch gets no credit: that is the
unattributed part, derived, never stored.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.attribution.memo import Memo
from coursesignal.attribution.paths import Journey, load_journeys
from coursesignal.attribution.tuning import tuned
from coursesignal.attribution.writing import write
from coursesignal.db.ids import uuid7
from coursesignal.db.locks import lock_ledger
from coursesignal.events import AttributionComputed
from coursesignal.jobs.outbox import publish_all
from coursesignal.plugin import AttributionModel

BATCH = 500


@dataclass(slots=True)
class _Credits:
    """Columns of the rows of credits: charge, model, touch, purchase, weight, amount."""

    columns: tuple[list[Any], ...] = field(default_factory=lambda: tuple([] for _ in range(6)))


async def credit(
    conn: asyncpg.Connection, tenant_id: UUID, purchase_ids: Sequence[UUID], models: Mapping[str, AttributionModel]
) -> None:
    """Bring the credits of these purchases up to date under every model, in the caller's transaction, and announce it.

    A model that breaks its contract credits nothing for that purchase, which shows as unattributed under that model alone.
    """
    # Two recomputes of one purchase at once would insert the same rows twice: the second waits here and then sees the first's.
    await lock_ledger(conn, tenant_id)
    for start in range(0, len(purchase_ids), BATCH):
        batch = sorted(purchase_ids[start : start + BATCH])
        await credit_again(conn, tenant_id, batch, models)
        await announce(conn, tenant_id, batch)


async def credit_again(
    conn: asyncpg.Connection, tenant_id: UUID, purchase_ids: Sequence[UUID], models: Mapping[str, AttributionModel]
) -> set[UUID]:
    """The same for a caller who holds the locks and announces; returns the purchases whose credits changed."""
    models = await tuned(conn, tenant_id, models)
    journeys = await load_journeys(conn, tenant_id, purchase_ids)
    charges = await conn.fetch(
        "select id, purchase_id, amount_minor from charges where tenant_id = $1 and purchase_id = any($2) order by id",
        tenant_id, list(purchase_ids),
    )  # fmt: skip
    rows = compute(journeys, [(c[0], c[1], c[2]) for c in charges], models)
    changed = await write(conn, tenant_id, [c[0] for c in charges], list(models), rows.columns)
    return {c[1] for c in charges if c[0] in changed}


async def announce(conn: asyncpg.Connection, tenant_id: UUID, purchase_ids: Collection[UUID]) -> None:
    """Tell plugins that credits of these purchases were written."""
    now = datetime.now(UTC)
    await publish_all(
        conn,
        [
            AttributionComputed(id=uuid7(), tenant_id=tenant_id, occurred_at=now, purchase_id=one)
            for one in purchase_ids
        ],
    )


def compute(
    journeys: Mapping[UUID, Journey],
    charges: Sequence[tuple[UUID, UUID, int]],
    models: Mapping[str, AttributionModel],
) -> _Credits:
    """The credits of ``charges`` (id, purchase, signed amount), as columns. Pure but for its log."""
    memo, credits = Memo(models), _Credits()
    shares = {of: memo.shares(of, journey) for of, journey in journeys.items() if journey.path}
    charge_ids, slugs, touch_ids, purchase_ids, weights, amounts = credits.columns
    for charge_id, purchase_id, amount_minor in charges:
        for some in shares.get(purchase_id, ()):
            cells, touches = some.cells(amount_minor), journeys[purchase_id].touch_ids
            charge_ids += [charge_id] * len(cells.slugs)
            slugs += cells.slugs
            touch_ids += [touches[place] for place in cells.places]
            purchase_ids += [purchase_id] * len(cells.slugs)
            weights += cells.weights
            amounts += cells.parts
    return credits


async def purchases_of(conn: asyncpg.Connection, tenant_id: UUID, person_ids: Sequence[UUID]) -> list[UUID]:
    """The purchases of these people."""
    rows = await conn.fetch(
        "select id from purchases where tenant_id = $1 and person_id = any($2) order by id", tenant_id, list(person_ids)
    )
    return [row["id"] for row in rows]
