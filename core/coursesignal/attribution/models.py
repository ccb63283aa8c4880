"""Core's rule models, through the same interface as a plugin's. Definitions: GA4's and Matomo's standard ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from coursesignal.plugin import AttributionModel, Touch

GOOGLE_ADS = frozenset({"google", "google ads", "google-ads", "googleads", "adwords"})
"""What paid visits from Google call their source."""


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


class GooglePaidLastClick(AttributionModel):
    """All credit to the newest touch by an advertisement with Google; without one as the last non-direct touch."""

    slug = "google_paid_last_click"
    name = "Google paid last click"
    description = (
        "All credit to the newest click on an advertisement with Google; without one to the last non-direct touch."
    )

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        paid = [i for i, touch in enumerate(path) if touch.is_paid and touch.source.lower() in GOOGLE_ADS]
        return _all_to(paid[-1], len(path)) if paid else LastNonDirect().credit(path, purchased_at)


class Linear(AttributionModel):
    """The same credit to every touch."""

    slug = "linear"
    name = "Linear"
    description = "Every touch on the way gets the same share."

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        return [1 / len(path)] * len(path)


class LinearPaid(AttributionModel):
    """The same credit to every paid touch; to every touch when none was paid."""

    slug = "linear_paid"
    name = "Linear, paid only"
    description = "Every paid touch gets the same share; when nothing was paid for, every touch does."

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        return shared([float(touch.is_paid) for touch in path]) or shared([1.0] * len(path))


@dataclass(frozen=True)
class PositionBased(AttributionModel):
    """Fixed shares to the first and the last touch, the rest to those between; two touches share as first and last do."""

    slug = "position_based"
    name = "Position based"
    description = "40 % to the first touch, 40 % to the last, the rest to those between."

    first: float = 0.4
    last: float = 0.4

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        between = len(path) - 2
        middle = (1 - self.first - self.last) / between if between > 0 else 0.0
        weights = [middle] * len(path)
        weights[0] = self.first
        weights[-1] = self.last if between >= 0 else 1.0
        return shared(weights) or shared([1.0] * len(path))


@dataclass(frozen=True)
class TimeDecay(AttributionModel):
    """A touch counts half as much for every half-life before the purchase; days are fractional."""

    slug = "time_decay"
    name = "Time decay"
    description = "The nearer to the purchase, the more credit: half as much for every week before it."

    half_life_days: float = 7.0

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        ages = [(purchased_at - touch.occurred_at).total_seconds() / 86_400 / self.half_life_days for touch in path]
        newest = min(ages)  # the ratio counts: an old path must not round down to nothing
        return shared([2.0 ** (newest - age) for age in ages])


@dataclass(frozen=True)
class WShaped(AttributionModel):
    """Fixed shares to first touch, opt-in and last touch, the rest to the others; without an anchor or others, in proportion."""

    slug = "w_shaped"
    name = "W-shaped"
    description = "30 % each to the first touch, the touch of the opt-in and the last one; the rest to the others."

    first: float = 0.3
    opt_in: float = 0.3
    last: float = 0.3

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        opted = next((n for n, touch in enumerate(path) if touch.is_opt_in), None)
        anchors = {0, len(path) - 1} | ({opted} if opted is not None else set())
        others = len(path) - len(anchors)
        rest = max(0.0, round(1 - self.first - self.opt_in - self.last, 12))
        weights = [0.0 if n in anchors else rest / others for n in range(len(path))]
        weights[0] += self.first
        weights[-1] += self.last
        if opted is not None:
            weights[opted] += self.opt_in
        return shared(weights) or shared([1.0] * len(path))


class OptIn(AttributionModel):
    """All credit to the touch in whose visit the buyer first gave an e-mail address; none when nobody saw that."""

    slug = "opt_in"
    name = "Opt-in"
    description = "All credit to the visit in which the buyer first gave an e-mail address."

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        return shared([float(touch.is_opt_in) for touch in path])


def shared(weights: Sequence[float]) -> list[float]:
    """The weights in proportion, summing to 1; nothing at all when all are 0."""
    total = math.fsum(weights)
    return [weight / total for weight in weights] if total > 0 else []


RULE_MODELS: tuple[AttributionModel, ...] = (
    FirstTouch(),
    LastTouch(),
    LastNonDirect(),
    Linear(),
    LinearPaid(),
    PositionBased(),
    WShaped(),
    TimeDecay(),
    OptIn(),
    GooglePaidLastClick(),
)
