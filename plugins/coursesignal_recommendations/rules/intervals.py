"""How sure a share is: no advice from noise."""

from __future__ import annotations

import math

Z_95 = 1.96


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % confidence interval of ``successes / trials`` (Wilson's score interval); (0, 1) without trials."""
    if trials <= 0:
        return 0.0, 1.0
    share = min(1.0, successes / trials)
    square = Z_95 * Z_95
    centre = share + square / (2 * trials)
    spread = Z_95 * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
