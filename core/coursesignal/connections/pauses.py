"""How long to leave a platform alone after it did not work. Pure."""

from __future__ import annotations

import random

FIRST_S, LONGEST_S = 2.0, 300.0
MOST_ASKED_S = 900.0
"""A platform that asks for more is asked again after this all the same: its clock may be wrong."""


def pause_s(failures: int, asked_s: float | None = None, *, chance: float | None = None) -> float:
    """Seconds until the next attempt after ``failures`` in a row: what the platform asks for, else longer each time.

    ``chance`` in [0, 1) replaces the random number that spreads connections which failed together.
    """
    if asked_s is not None:
        return min(max(asked_s, 1.0), MOST_ASKED_S)
    grown = min(LONGEST_S, FIRST_S * 2.0 ** min(max(failures - 1, 0), 20))
    spread = random.random() if chance is None else chance  # noqa: S311
    return max(1.0, grown * (0.5 + spread / 2))
