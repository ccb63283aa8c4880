"""Learning models learn from a tenant's journeys, with and without a purchase, and its history is credited again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.attribution.paths import CLOSES_AT
from coursesignal.errors import TooLittleData
from coursesignal.plugin import AttributionModel, FittedAttributionModel, PathRecord, Touch

log = logging.getLogger(__name__)

LONGEST_PATH = 100
"""Touches; of a longer journey the newest count."""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

# Journeys that are the same sequence of channels are one row. Whoever bought is in the first query with each purchase's journey;
# the second has those who never bought, an unknown visitor being a journey of its own.
_CONVERSIONS = f"""
    with wanted as (
        select p.id, p.person_id, {CLOSES_AT.format(purchased_at="p.purchased_at")} as closes_at,
            p.purchased_at - make_interval(days => t.lookback_days) as opens_at
        from purchases p join tenants t on t.id = p.tenant_id
        where p.tenant_id = $1 and p.charged_minor > 0 and p.person_id is not null
    ), journeys as (
        select (array_agg(x.channel order by x.occurred_at desc, x.id desc))[:$2] as channels
        from wanted w
        join visitors v on v.tenant_id = $1 and v.person_id = w.person_id
        join touches x on x.tenant_id = $1 and x.visitor_id = v.id and x.occurred_at between w.opens_at and w.closes_at
        group by w.id
    )
    select channels, count(*) as journeys from journeys group by channels order by channels"""  # noqa: S608 – of constants

_LOSSES = """
    with journeys as (
        select (array_agg(x.channel order by x.occurred_at desc, x.id desc))[:$2] as channels
        from visitors v join touches x on x.tenant_id = $1 and x.visitor_id = v.id
        where v.tenant_id = $1 and not exists (
            select 1 from purchases p where p.tenant_id = $1 and p.person_id = v.person_id and p.charged_minor > 0
        )
        group by coalesce(v.person_id, v.id)
    )
    select channels, count(*) as journeys from journeys group by channels order by channels"""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a model learnt, or the problem it had, in words for the tenant."""

    slug: str
    fitted: Mapping[str, Any] | None = None
    problem: str | None = None


async def journeys_of(conn: asyncpg.Connection, tenant_id: UUID) -> Sequence[PathRecord]:
    """The tenant's journeys, equal sequences of channels as one record; their touches have a channel and an order, no times."""
    won = await conn.fetch(_CONVERSIONS, tenant_id, LONGEST_PATH)
    lost = await conn.fetch(_LOSSES, tenant_id, LONGEST_PATH)
    counts: dict[tuple[str, ...], list[int]] = {}
    for column, rows in enumerate((won, lost)):
        for row in rows:
            counts.setdefault(tuple(reversed(row["channels"])), [0, 0])[column] = row["journeys"]
    return [PathRecord(path=tuple(_touches(path)), conversions=c, losses=n) for path, (c, n) in sorted(counts.items())]


def _touches(channels: Sequence[str]) -> Iterator[Touch]:
    for number, channel in enumerate(channels):
        yield Touch(channel, _EPOCH + timedelta(days=number), is_direct=channel == "Direct")


def learnable(models: Mapping[str, AttributionModel]) -> Sequence[FittedAttributionModel]:
    """The models that learn."""
    return [model for model in models.values() if isinstance(model, FittedAttributionModel)]


async def learn(models: Sequence[FittedAttributionModel], journeys: Sequence[PathRecord]) -> Sequence[Learnt]:
    """Have each model learn, beside the event loop."""
    return [await asyncio.to_thread(_fit, model, journeys) for model in models]


async def keep(conn: asyncpg.Connection, tenant_id: UUID, learnt: Sequence[Learnt]) -> list[str]:
    """Store what was learnt, or why not; returns the slugs of the models that learnt something else than before."""
    return [one.slug for one in learnt if await _store(conn, tenant_id, one)]


def _fit(model: FittedAttributionModel, journeys: Sequence[PathRecord]) -> Learnt:
    try:
        return Learnt(model.slug, model.fit(journeys))
    except TooLittleData as error:
        return Learnt(model.slug, problem=str(error))
    except Exception as error:
        log.exception("attribution model %r failed to learn; it keeps what it knew", model.slug)
        return Learnt(model.slug, problem=f"{type(error).__name__} while learning; the log has the details.")


async def _store(conn: asyncpg.Connection, tenant_id: UUID, learnt: Learnt) -> bool:
    before = await conn.fetchval(
        "select fitted from fitted_models where tenant_id = $1 and model = $2", tenant_id, learnt.slug
    )
    await conn.execute(
        "insert into fitted_models as f (tenant_id, model, fitted, problem) values ($1, $2, $3, $4) "
        "on conflict (tenant_id, model) do update set fitted = coalesce(excluded.fitted, f.fitted), "
        "problem = excluded.problem, fitted_at = now()",
        tenant_id, learnt.slug, None if learnt.fitted is None else dict(learnt.fitted), learnt.problem,
    )  # fmt: skip
    return learnt.fitted is not None and learnt.fitted != before
