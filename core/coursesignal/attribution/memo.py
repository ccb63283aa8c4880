"""Split each amount once for all journeys that a model cannot tell apart.

Most of core's models look only at which touches are direct, paid or the opt-in, or only at channels: of thousands of journeys few
differ in that, and of amounts few differ at all. Any other model, a plugin's too, is asked for every journey.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from coursesignal.attribution.allocate import allocate, check_weights
from coursesignal.attribution.markov import ByChannel
from coursesignal.attribution.models import (
    FirstTouch,
    LastNonDirect,
    LastTouch,
    Linear,
    LinearPaid,
    OptIn,
    PositionBased,
    WShaped,
)
from coursesignal.attribution.shapley import Shapley
from coursesignal.plugin import AttributionModel, Touch

BY_FLAGS = frozenset({FirstTouch, LastTouch, LastNonDirect, Linear, LinearPaid, PositionBased, WShaped, OptIn})
BY_CHANNEL = frozenset({Shapley, ByChannel})
Part = tuple[int, float, int]
"""A touch by its place in the path, its weight and its part of the amount."""


@dataclass(slots=True)
class Split:
    """How one model shares a journey; ``parts`` has those touches alone that get something."""

    weights: Sequence[float]
    known: dict[int, Sequence[Part]] = field(default_factory=dict)

    def parts(self, amount_minor: int) -> Sequence[Part]:
        """The parts of a signed amount."""
        found = self.known.get(amount_minor)
        if found is None:
            amounts = allocate(amount_minor, self.weights) if self.weights else []
            found = [
                (place, weight, part)
                for place, (weight, part) in enumerate(zip(self.weights, amounts, strict=True))
                if weight > 0 or part
            ]
            self.known[amount_minor] = found
        return found


@dataclass(slots=True)
class Memo:
    """The splits of one batch."""

    splits: dict[tuple[str, Hashable], Split] = field(default_factory=dict)

    def split(
        self, model: AttributionModel, slug: str, look: Look, path: Sequence[Touch], purchased_at: datetime
    ) -> Split:
        """The model's split of this journey; raises what the model raises, and BadWeights."""
        kind = type(model)
        shape = look.flags if kind in BY_FLAGS else look.channels if kind in BY_CHANNEL else None
        if shape is None:
            return Split(check_weights(model.credit(path, purchased_at), len(path)))
        found = self.splits.get((slug, shape))
        if found is None:
            found = self.splits[slug, shape] = Split(check_weights(model.credit(path, purchased_at), len(path)))
        return found


@dataclass(frozen=True, slots=True)
class Look:
    """What tells a journey from others, for a model that looks at no more."""

    flags: bytes
    channels: tuple[str, ...]

    @classmethod
    def of(cls, path: Sequence[Touch]) -> Look:
        """Of this journey."""
        return cls(
            bytes(touch.is_direct + 2 * touch.is_paid + 4 * touch.is_opt_in for touch in path),
            tuple(touch.channel for touch in path),
        )
