"""Daily revenue as the bars of an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from coursesignal.plugin import DailyReport

WIDTH, HEIGHT = 720, 200
STEPS = (1, 2, 3, 4, 5, 6, 8, 10)
"""What a scale may end with, times a power of ten."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One day, in the chart's units."""

    x: str
    y: str
    width: str
    height: str
    day: str
    revenue_minor: int
    purchases: int


@dataclass(frozen=True, slots=True)
class Chart:
    """What the template draws; the bars are stretched to the width of the page."""

    width: int
    height: int
    best_minor: int
    """Of the best day."""
    ticks: tuple[int, ...]
    """Amounts at the top, the middle and the bottom of the scale."""
    bars: tuple[Bar, ...]
    labels: tuple[str, ...]
    """The days at the left, the middle and the right."""

    @property
    def empty(self) -> bool:
        return self.best_minor == 0


def draw(report: DailyReport) -> Chart:
    """One bar per day, as high as its share of a round number just above the best day."""
    days = report.days
    best = max((day.revenue_minor for day in days), default=0)
    top = scale_end(best)
    step = WIDTH / max(1, len(days))
    gap = 0.2 * step if len(days) <= 120 else 0.0
    bars = tuple(
        Bar(
            x=f"{number * step + gap / 2:.2f}",
            y=f"{HEIGHT - HEIGHT * day.revenue_minor / top:.2f}",
            width=f"{step - gap:.2f}",
            height=f"{HEIGHT * day.revenue_minor / top:.2f}",
            day=day.date.isoformat(),
            revenue_minor=day.revenue_minor,
            purchases=day.purchases,
        )
        for number, day in enumerate(days)
    )
    return Chart(WIDTH, HEIGHT, best, (top, top // 2, 0), bars, _labels([day.date for day in days]))


def scale_end(amount_minor: int) -> int:
    """The first round number that is not below ``amount_minor``; its half is a whole number too."""
    power = 10
    while True:
        for step in STEPS:
            if step * power >= amount_minor:
                return step * power
        power *= 10


def _labels(days: Sequence[date]) -> tuple[str, ...]:
    """The first day, the last, and the one in the middle where half a bar to the side is not seen."""
    ends = {0, len(days) - 1}
    chosen = sorted(ends | {len(days) // 2} if len(days) % 2 or len(days) > 14 else ends)
    return tuple(f"{days[n].day} {days[n]:%b}" for n in chosen) if days else ()
