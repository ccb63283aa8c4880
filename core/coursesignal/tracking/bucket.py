"""A token bucket per key, in this process: a flood on one site must not slow the others."""

from __future__ import annotations

from collections.abc import Hashable


class TokenBuckets:
    """``rate`` requests per second and key, bursts up to ``burst``; a rate of 0 lets everything through."""

    def __init__(self, rate: float, burst: float | None = None) -> None:
        self._rate = rate
        self._burst = burst if burst is not None else 2 * rate
        self._levels: dict[Hashable, tuple[float, float]] = {}

    def take(self, key: Hashable, now_s: float) -> float:
        """0 when the request may pass, else the seconds until the next may."""
        if not self._rate:
            return 0.0
        level, then_s = self._levels.get(key, (self._burst, now_s))
        level = min(self._burst, level + (now_s - then_s) * self._rate)
        if level < 1.0:
            self._levels[key] = (level, now_s)
            return (1.0 - level) / self._rate
        self._levels[key] = (level - 1.0, now_s)
        return 0.0
