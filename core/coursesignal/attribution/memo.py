"""Split each amount once for all journeys that models cannot tell apart.

Most of core's models look only at which touches are direct, paid or the opt-in, or only at channels: of thousands of journeys few
differ in that, and of amounts few differ at all. What such models give is kept together, as columns that a charge's credits are
made of in one go. Any other model, a plugin's too, is asked for every journey.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from coursesignal.attribution.allocate import BadWeights, allocate, check_weights
from coursesignal.attribution.markov import ByChannel
from coursesignal.attribution.models import (
    GOOGLE_ADS,
    FirstTouch,
    GooglePaidLastClick,
    LastNonDirect,
    LastTouch,
    Linear,
    LinearPaid,
    OptIn,
    PositionBased,
    WShaped,
)
from coursesignal.attribution.paths import Journey
from coursesignal.attribution.shapley import Shapley
from coursesignal.plugin import AttributionModel, Touch

log = logging.getLogger(__name__)
BY_FLAGS = frozenset(
    {FirstTouch, LastTouch, LastNonDirect, GooglePaidLastClick, Linear, LinearPaid, PositionBased, WShaped, OptIn}
)
BY_CHANNEL = frozenset({Shapley, ByChannel})
Models = Mapping[str, AttributionModel]


@dataclass(slots=True)
class Cells:
    """What models give of one amount, as columns; ``places`` are touches by their place in the path."""

    slugs: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)

    def add(self, slug: str, weights: Sequence[float], amount_minor: int) -> None:
        """One model's, with those touches alone that get something."""
        amounts = allocate(amount_minor, weights) if weights else []
        for place, (weight, part) in enumerate(zip(weights, amounts, strict=True)):
            if weight > 0 or part:
                self.slugs.append(slug)
                self.places.append(place)
                self.weights.append(weight)
                self.parts.append(part)


@dataclass(slots=True)
class Shares:
    """How some models share a journey: the weights of each."""

    weights: Sequence[tuple[str, Sequence[float]]]
    known: dict[int, Cells] = field(default_factory=dict)

    def cells(self, amount_minor: int) -> Cells:
        """What each touch gets of a signed amount."""
        found = self.known.get(amount_minor)
        if found is None:
            found = self.known[amount_minor] = Cells()
            for slug, weights in self.weights:
                found.add(slug, weights, amount_minor)
        return found


class Memo:
    """The shares of one batch of journeys."""

    def __init__(self, models: Models) -> None:
        self._by_flags = {slug: model for slug, model in models.items() if type(model) in BY_FLAGS}
        self._by_channel = {slug: model for slug, model in models.items() if type(model) in BY_CHANNEL}
        self._others = {
            slug: model for slug, model in models.items() if slug not in self._by_flags.keys() | self._by_channel.keys()
        }
        self._known: dict[Hashable, Shares] = {}

    def shares(self, purchase_id: UUID, journey: Journey) -> Sequence[Shares]:
        """How every model shares this journey; one that raises or breaks its contract is logged and left out."""
        found = []
        if self._by_flags:
            found.append(self._kept(self._by_flags, flags(journey.path), purchase_id, journey))
        if self._by_channel:
            channels = tuple(touch.channel for touch in journey.path)
            found.append(self._kept(self._by_channel, channels, purchase_id, journey))
        if self._others:
            found.append(Shares(list(_weights(self._others, purchase_id, journey))))
        return found

    def _kept(self, models: Models, look: Hashable, purchase_id: UUID, journey: Journey) -> Shares:
        found = self._known.get(look)
        if found is None:
            found = self._known[look] = Shares(list(_weights(models, purchase_id, journey)))
        return found


def flags(path: Sequence[Touch]) -> bytes:
    """What a model of BY_FLAGS sees of a journey."""
    return bytes(
        touch.is_direct
        + 2 * touch.is_paid
        + 4 * touch.is_opt_in
        + 8 * (touch.is_paid and touch.source.lower() in GOOGLE_ADS)
        for touch in path
    )


def _weights(models: Models, purchase_id: UUID, journey: Journey) -> Iterator[tuple[str, Sequence[float]]]:
    for slug, model in models.items():
        try:
            yield slug, check_weights(model.credit(journey.path, journey.purchased_at), len(journey.path))
        except BadWeights as error:
            log.error("attribution model %r %s; its credits for purchase %s are left out", slug, error, purchase_id)
        except Exception:
            log.exception("attribution model %r raised on purchase %s; its credits are left out", slug, purchase_id)
