"""Daily revenue as the bars of an SVG."""

from __future__ import annotations

from dataclasses import dataclass

from coursesignal.plugin import DailyReport

WIDTH, HEIGHT = 720, 200
LABELS = 5


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
class Label:
    """A day named below the bars."""

    x: str
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What the template draws."""

    width: int
    height: int
    top_minor: int
    bars: tuple[Bar, ...]
    labels: tuple[Label, ...]

    @property
    def empty(self) -> bool:
        return self.top_minor == 0


def draw(report: DailyReport) -> Chart:
    """One bar per day, as high as its share of the best day."""
    days = report.days
    top = max((day.revenue_minor for day in days), default=0)
    step = WIDTH / max(1, len(days))
    gap = 0.2 * step if len(days) <= 120 else 0.0
    bars = []
    for number, day in enumerate(days):
        height = HEIGHT * day.revenue_minor / top if top else 0.0
        bars.append(
            Bar(
                x=f"{number * step + gap / 2:.2f}",
                y=f"{HEIGHT - height:.2f}",
                width=f"{step - gap:.2f}",
                height=f"{height:.2f}",
                day=day.date.isoformat(),
                revenue_minor=day.revenue_minor,
                purchases=day.purchases,
            )
        )
    return Chart(WIDTH, HEIGHT, top, tuple(bars), _labels(report, step))


def _labels(report: DailyReport, step: float) -> tuple[Label, ...]:
    every = max(1, -(-len(report.days) // LABELS))
    numbered = list(enumerate(report.days))[::every]
    return tuple(Label(f"{number * step:.1f}", f"{day.date.day} {day.date:%b}") for number, day in numbered)
