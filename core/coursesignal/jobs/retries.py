"""How long to wait before another attempt."""

from __future__ import annotations

import random
from datetime import timedelta

from coursesignal.errors import CourseSignalError

FIRST_PAUSE_S = 5.0
GROWTH = 4.0
LONGEST_PAUSE_S = 3600.0
REASON_LENGTH = 500


def pause_s(attempts: int, error: BaseException | None = None, *, chance: float | None = None) -> float:
    """Seconds until the next attempt after ``attempts`` failed ones: growing, spread, never before what ``error`` asks for.

    ``chance`` in [0, 1) replaces the random number that spreads the attempts of tasks that failed together.
    """
    grown = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * GROWTH ** min(max(attempts - 1, 0), 20))
    spread = random.random() if chance is None else chance  # noqa: S311
    asked = getattr(error, "retry_after", None)
    least = asked.total_seconds() if isinstance(asked, timedelta) else 0.0
    return max(least, grown * (0.5 + spread / 2))


def reason(error: BaseException) -> str:
    """One line that says what went wrong; a database error's detail stays out, it may quote a row."""
    lines = str(error).strip().splitlines()
    words = lines[0] if lines else ""
    if not isinstance(error, CourseSignalError):
        words = f"{type(error).__name__}: {words}" if words else type(error).__name__
    return words[:REASON_LENGTH]
