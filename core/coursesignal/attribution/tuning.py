"""Models as one tenant has them: with its shares and half-life, and with what the learning ones have learnt for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from uuid import UUID

import asyncpg

from coursesignal.attribution.models import PositionBased, TimeDecay, WShaped
from coursesignal.plugin import AttributionModel, FittedAttributionModel

log = logging.getLogger(__name__)


async def tuned(
    conn: asyncpg.Connection, tenant_id: UUID, models: Mapping[str, AttributionModel]
) -> Mapping[str, AttributionModel]:
    """``models`` with the tenant's settings; one that has learnt nothing yet stays as it is."""
    row = await conn.fetchrow(
        "select half_life_days, first_share, last_share, w_first_share, w_opt_in_share, w_last_share from tenants where id = $1",
        tenant_id,
    )
    learnt = await conn.fetch(
        "select model, fitted from fitted_models where tenant_id = $1 and fitted is not null", tenant_id
    )
    found = dict(models)
    for slug, model in models.items():
        if isinstance(model, TimeDecay) and row is not None:
            found[slug] = TimeDecay(row["half_life_days"])
        elif isinstance(model, PositionBased) and row is not None:
            found[slug] = PositionBased(row["first_share"], row["last_share"])
        elif isinstance(model, WShaped) and row is not None:
            found[slug] = WShaped(row["w_first_share"], row["w_opt_in_share"], row["w_last_share"])
    for row in learnt:
        learning = models.get(row["model"])
        if isinstance(learning, FittedAttributionModel):
            found[learning.slug] = _loaded(learning, row["fitted"])
    return found


def _loaded(model: FittedAttributionModel, fitted: Mapping[str, object]) -> AttributionModel:
    try:
        return model.load(fitted)
    except Exception:
        log.exception(
            "attribution model %r could not load what it has learnt; it credits as if it had learnt nothing", model.slug
        )
        return model
