"""Split an amount by weights, to the last minor unit."""

from __future__ import annotations

import math
from collections.abc import Sequence

from coursesignal.errors import CourseSignalError

TOLERANCE = 1e-6


class BadWeights(CourseSignalError):
    """A model broke its contract; the message says how."""


def check_weights(weights: Sequence[float], length: int) -> list[float]:
    """The weights as finite floats ≥ 0, one per touch, summing to 1, or none at all; raises BadWeights."""
    values = [float(weight) for weight in weights]
    if not values:
        return values
    if len(values) != length:
        raise BadWeights(f"returned {len(values)} weights for {length} touches")
    if not all(math.isfinite(value) for value in values):
        raise BadWeights("returned a weight that is no finite number")
    if min(values) < 0:
        raise BadWeights("returned a negative weight")
    total = math.fsum(values)
    if abs(total - 1) > TOLERANCE:
        raise BadWeights(f"returned weights that sum to {total:g}, not 1")
    return values


def allocate(amount_minor: int, weights: Sequence[float]) -> list[int]:
    """Parts of ``amount_minor`` in proportion to ``weights`` that sum to it exactly: largest remainder, ties to the older touch.

    A negative amount is split exactly as its positive mirror image, so that a full refund cancels its sale touch by touch.
    """
    if amount_minor < 0:
        return [-part for part in allocate(-amount_minor, weights)]
    ratios = [weight.as_integer_ratio() for weight in weights]
    scale = max(
        (below for _, below in ratios), default=1
    )  # floats are whole numbers over powers of two: exact, without fractions
    whole = [above * (scale // below) for above, below in ratios]
    total = sum(whole)
    if total <= 0:
        raise BadWeights("no weight is above zero")
    shares = [divmod(amount_minor * one, total) for one in whole]
    parts = [share for share, _ in shares]
    missing = amount_minor - sum(parts)
    if missing:
        for i in sorted(range(len(parts)), key=lambda i: (-shares[i][1], i))[:missing]:
            parts[i] += 1
    return parts
