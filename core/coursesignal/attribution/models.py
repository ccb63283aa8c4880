"""Core's rule models, through the same interface as a plugin's. Definitions: GA4's and Matomo's standard ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from coursesignal.plugin import AttributionModel, Touch


def _all_to(position: int, length: int) -> list[float]:
    weights = [0.0] * length
    weights[position] = 1.0
    return weights


class FirstTouch(AttributionModel):
    """All credit to the first touch in the window."""

    slug = "first_touch"
    name = "First touch"
    description = "All credit to the touch that first brought the buyer."

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        return _all_to(0, len(path))


class LastTouch(AttributionModel):
    """All credit to the newest touch, direct visits included."""

    slug = "last_touch"
    name = "Last touch"
    description = "All credit to the touch just before the purchase, even a direct visit."

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        return _all_to(len(path) - 1, len(path))


class LastNonDirect(AttributionModel):
    """All credit to the newest touch that is not direct; to the newest of all when every one is direct."""

    slug = "last_non_direct"
    name = "Last non-direct touch"
    description = (
        "All credit to the newest touch that came from somewhere; direct visits count only when there is nothing else."
    )

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        newest = max((i for i, touch in enumerate(path) if not touch.is_direct), default=len(path) - 1)
        return _all_to(newest, len(path))


class Linear(AttributionModel):
    """The same credit to every touch."""

    slug = "linear"
    name = "Linear"
    description = "Every touch on the way gets the same share."

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        return [1 / len(path)] * len(path)


CORE_MODELS: tuple[AttributionModel, ...] = (FirstTouch(), LastTouch(), LastNonDirect(), Linear())
