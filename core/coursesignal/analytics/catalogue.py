"""The attribution models a tenant may choose, and how far those that learn have come."""

from __future__ import annotations

from collections.abc import Mapping

from coursesignal.analytics.reading import Reading
from coursesignal.analytics.schemas import ModelInfo
from coursesignal.plugin import AttributionModel, FittedAttributionModel

UNASKED = "It learns from your journeys every night; it has not done so yet."


async def in_use(reading: Reading, models: Mapping[str, AttributionModel]) -> list[ModelInfo]:
    """Every model, the tenant's default first."""
    rows = await reading.fetch(
        "select model, fitted is not null as ready, problem, fitted_at from fitted_models where tenant_id = $1",
        reading.tenant.id,
    )
    learnt = {row["model"]: row for row in rows}
    infos = []
    for model in models.values():
        row = learnt.get(model.slug) if isinstance(model, FittedAttributionModel) else None
        waits = isinstance(model, FittedAttributionModel) and row is None
        infos.append(
            ModelInfo(
                slug=model.slug,
                name=model.name,
                description=model.description,
                default=model.slug == reading.default_model,
                ready=row["ready"] if row else not waits,
                problem=UNASKED if waits else row and row["problem"],
                learnt_at=row["fitted_at"] if row else None,
            )
        )
    return sorted(infos, key=lambda info: (not info.default, info.name))
