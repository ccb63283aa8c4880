"""Two attribution models: one that only looks at the path, one that learns from the tenant's journeys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from coursesignal.plugin import AttributionModel, FittedAttributionModel, PathRecord, Touch


class Middle(AttributionModel):
    """All credit to the touch in the middle."""

    slug = "sample_middle"
    name = "Middle touch"
    description = "All credit to the touch in the middle of the path."

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        weights = [0.0] * len(path)
        weights[len(path) // 2] = 1.0
        return weights


class _ByChannel(AttributionModel):
    """Credit in proportion to a weight per channel; what was never seen counts as one."""

    slug = "sample_learned"
    name = "Learned"
    description = "Credit in proportion to how often a channel's journeys ended in a purchase."

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        weights = [self._weights.get(touch.channel, 1.0) for touch in path]
        total = sum(weights)
        return [weight / total for weight in weights] if total else [1 / len(path)] * len(path)


class Learned(_ByChannel, FittedAttributionModel):
    """Learns a weight per channel; knows nothing before it was fitted and then shares evenly."""

    def __init__(self) -> None:
        super().__init__({})

    def fit(self, paths: Iterable[PathRecord]) -> Mapping[str, Any]:
        won, all_ = Counter[str](), Counter[str]()
        for record in paths:
            for channel in {touch.channel for touch in record.path}:
                won[channel] += record.conversions
                all_[channel] += record.conversions + record.losses
        return {channel: won[channel] / all_[channel] for channel in sorted(all_) if all_[channel]}

    def load(self, fitted: Mapping[str, Any]) -> AttributionModel:
        return _ByChannel(dict(fitted))
