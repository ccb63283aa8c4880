"""Data-driven credit by removal effects on a Markov chain of channels (Anderl et al. 2016), by exact linear algebra.

A channel's removal effect is the part of all conversions that is lost when every step to it leads nowhere (see ``chain``).

:func:`removal_effects` and :func:`shares` take the rows of a path data set: ``(["fb", "email", "google"], 10, 20)``, channels in
order, with how many such journeys converted and how many did not. :func:`conversions` gives the shares as conversions, and
``rows.conversions`` what any other model makes of such rows.

An order is credited touch by touch. Removal effects as weights within each journey would not add up to the channels' shares of
all conversions; so they are rescaled per channel, by iterative proportional fitting, until the sums over all journeys meet those
shares – or come as near as the journeys allow: of a channel that many reach alone, those orders stay its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from coursesignal.attribution.chain import Chain
from coursesignal.attribution.models import shared
from coursesignal.errors import TooLittleData
from coursesignal.plugin import AttributionModel, FittedAttributionModel, PathRecord, Touch

MIN_CONVERSIONS = 50
ROUNDS = 500
"""Of the rescaling, at most."""
SMALLEST = 1e-9
Row = tuple[Sequence[str], int, int]
"""A Walk, or what makes one."""


class Walk(NamedTuple):
    """Journeys through the same channels: how many ended in a purchase and how many did not."""

    channels: Sequence[str]
    conversions: int
    losses: int


def walks_of(paths: Iterable[PathRecord]) -> list[Walk]:
    """Journeys by their channels."""
    return [Walk([touch.channel for touch in one.path], one.conversions, one.losses) for one in paths if one.path]


def removal_effects(rows: Sequence[Row], order: int) -> Mapping[str, float]:
    """The part of conversions that is lost without each channel, by name; empty when nothing converts."""
    chain = Chain(order)
    for row in rows:
        chain.add(*row)
    chances = chain.chances()
    if chances.everything <= 0:
        return {}
    return {channel: 1 - chance / chances.everything for channel, chance in chances.without.items()}


def shares(rows: Sequence[Row], order: int) -> Mapping[str, float]:
    """Each channel's share of all removal effects; they sum to 1."""
    effects = removal_effects(rows, order)
    total = sum(effects.values())
    return {channel: effect / total for channel, effect in effects.items()} if total > 0 else {}


def conversions(rows: Sequence[Row], order: int) -> Mapping[str, float]:
    """Each channel's part of the conversions; they sum to all conversions of ``rows``."""
    total = sum(converted for _, converted, _ in rows)
    return {channel: share * total for channel, share in shares(rows, order).items()}


def rescaled(walks: Sequence[Walk], effects: Mapping[str, float]) -> Mapping[str, float]:
    """Weights per channel with which the orders' credits come to the channels' parts of all conversions."""
    import numpy as np

    channels = [channel for channel, effect in sorted(effects.items()) if effect > 0]
    place = {channel: n for n, channel in enumerate(channels)}
    won = [walk for walk in walks if walk.conversions and any(channel in place for channel in walk.channels)]
    if not won:
        return dict(effects)
    uses = np.zeros((len(won), len(channels)))
    for n, walk in enumerate(won):
        for channel in walk.channels:
            if channel in place:
                uses[n, place[channel]] += 1
    number = np.array([walk.conversions for walk in won], dtype=float)
    weights = np.array([effects[channel] for channel in channels])
    wanted = weights / weights.sum() * number.sum()
    for _ in range(ROUNDS):
        credited = weights * ((number / (uses @ weights)) @ uses)
        if np.allclose(credited, wanted, rtol=1e-9, atol=1e-12):
            break
        weights = np.clip(weights * wanted / np.maximum(credited, SMALLEST), SMALLEST, None)
        weights = weights / weights.max()
    return {channel: float(weights[n]) for channel, n in place.items()}


@dataclass(frozen=True)
class ByChannel(AttributionModel):
    """Weights that were learnt per channel; a journey through channels without one shares evenly."""

    slug: str  # type: ignore[misc]
    name: str  # type: ignore[misc]
    description: str  # type: ignore[misc]
    weights: Mapping[str, float]

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        learnt = [max(0.0, self.weights.get(touch.channel, 0.0)) for touch in path]
        return shared(learnt) or shared([1.0] * len(path))


class Markov(FittedAttributionModel):
    """Removal effects of order ``order``; before there is enough to learn from it credits nobody."""

    def __init__(self, order: int) -> None:
        self.order = order
        self.slug = f"markov_{order}"  # type: ignore[misc]
        self.name = f"Data-driven, Markov order {order}"  # type: ignore[misc]
        self.description = (  # type: ignore[misc]
            f"What would be lost without each channel, learnt from journeys with and without a purchase "
            f"(removal effects, order {order}; within each journey in proportion to its channels' effects, rescaled so that all "
            f"orders together come to each channel's share)."
        )

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        return ()

    def fit(self, paths: Iterable[PathRecord]) -> Mapping[str, Any]:
        walks = walks_of(paths)
        conversions = sum(walk.conversions for walk in walks)
        if conversions < MIN_CONVERSIONS:
            raise TooLittleData("purchases with a journey", conversions, MIN_CONVERSIONS)
        if not any(walk.losses for walk in walks):
            raise TooLittleData("journeys without a purchase", 0, 1)
        effects = dict(removal_effects(walks, self.order))
        return {"order": self.order, "effects": effects, "weights": dict(rescaled(walks, effects))}

    def load(self, fitted: Mapping[str, Any]) -> AttributionModel:
        return ByChannel(self.slug, self.name, self.description, fitted.get("weights", fitted["effects"]))
