"""Credits: every signed charge of a purchase, shared among the touches of its journey by every model.

A refund, a renewal or a dispute carries the weights of its purchase's journey on its own day, so for any period and model
credited + unattributed = charges − refunds. What has no touch gets no credit: that is the
unattributed part, derived, never stored.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.attribution.allocate import BadWeights, allocate, check_weights
from coursesignal.attribution.paths import Journey, load_journeys
from coursesignal.attribution.tuning import tuned
from coursesignal.db.ids import uuid7
from coursesignal.db.locks import lock_ledger
from coursesignal.events import AttributionComputed
from coursesignal.jobs.outbox import publish_all
from coursesignal.plugin import AttributionModel

log = logging.getLogger(__name__)
BATCH = 500

DELETE = "delete from credits where tenant_id = $1 and purchase_id = any($2) and model = any($3)"
INSERT = """
    insert into credits (tenant_id, charge_id, model, touch_id, purchase_id, weight, amount_minor)
    select $1, * from unnest($2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::float8[], $7::bigint[])
"""


@dataclass(slots=True)
class _Credits:
    """Columns of the rows to insert."""

    columns: tuple[list[Any], ...] = field(default_factory=lambda: tuple([] for _ in range(6)))

    def add(self, *values: Any) -> None:
        for column, value in zip(self.columns, values, strict=True):
            column.append(value)


async def credit(
    conn: asyncpg.Connection, tenant_id: UUID, purchase_ids: Sequence[UUID], models: Mapping[str, AttributionModel]
) -> None:
    """Rewrite the credits of these purchases under every model, in the caller's transaction, and announce it.

    A model that breaks its contract credits nothing for that purchase, which shows as unattributed under that model alone.
    """
    for start in range(0, len(purchase_ids), BATCH):
        await _credit_batch(conn, tenant_id, sorted(purchase_ids[start : start + BATCH]), models)


async def _credit_batch(
    conn: asyncpg.Connection, tenant_id: UUID, purchase_ids: Sequence[UUID], models: Mapping[str, AttributionModel]
) -> None:
    # Two recomputes of one purchase at once would insert the same rows twice: the second waits here and then sees the first's.
    await lock_ledger(conn, tenant_id)
    models = await tuned(conn, tenant_id, models)
    journeys = await load_journeys(conn, tenant_id, purchase_ids)
    charges = await conn.fetch(
        "select id, purchase_id, amount_minor from charges where tenant_id = $1 and purchase_id = any($2) order by id",
        tenant_id, list(purchase_ids),
    )  # fmt: skip
    rows = compute(journeys, [(c["id"], c["purchase_id"], c["amount_minor"]) for c in charges], models)
    await conn.execute(DELETE, tenant_id, list(purchase_ids), list(models))
    await conn.execute(INSERT, tenant_id, *rows.columns)
    now = datetime.now(UTC)
    await publish_all(
        conn,
        [
            AttributionComputed(id=uuid7(), tenant_id=tenant_id, occurred_at=now, purchase_id=purchase_id)
            for purchase_id in journeys
        ],
    )


def compute(
    journeys: Mapping[UUID, Journey],
    charges: Sequence[tuple[UUID, UUID, int]],
    models: Mapping[str, AttributionModel],
) -> _Credits:
    """The credits of ``charges`` (id, purchase, signed amount), as columns. Pure but for its log."""
    weights = {(purchase_id, slug): found for purchase_id, slug, found in _weights(journeys, models)}
    credits = _Credits()
    for charge_id, purchase_id, amount_minor in charges:
        for slug in models:
            shares = weights.get((purchase_id, slug))
            if not shares:
                continue
            parts = allocate(amount_minor, shares)
            for touch_id, weight, part in zip(journeys[purchase_id].touch_ids, shares, parts, strict=True):
                if weight > 0 or part:
                    credits.add(charge_id, slug, touch_id, purchase_id, weight, part)
    return credits


def _weights(
    journeys: Mapping[UUID, Journey], models: Mapping[str, AttributionModel]
) -> Iterator[tuple[UUID, str, list[float]]]:
    for purchase_id, journey in journeys.items():
        if not journey.path:
            continue
        for slug, model in models.items():
            try:
                yield (
                    purchase_id,
                    slug,
                    check_weights(model.credit(journey.path, journey.purchased_at), len(journey.path)),
                )
            except BadWeights as error:
                log.error("attribution model %r %s; its credits for purchase %s are left out", slug, error, purchase_id)
            except Exception:
                log.exception("attribution model %r raised on purchase %s; its credits are left out", slug, purchase_id)


async def purchases_of(conn: asyncpg.Connection, tenant_id: UUID, person_ids: Sequence[UUID]) -> list[UUID]:
    """The purchases of these people."""
    rows = await conn.fetch(
        "select id from purchases where tenant_id = $1 and person_id = any($2) order by id", tenant_id, list(person_ids)
    )
    return [row["id"] for row in rows]
