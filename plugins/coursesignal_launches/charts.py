"""Launches as lines of an SVG: what came in by hour since the cart opened, beside an even pace. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coursesignal_launches.breakdown import HOUR
from coursesignal_launches.schemas import Day, Hour

__all__ = ["HOUR", "Bars", "Chart", "by_day", "climbing"]

WIDTH, HEIGHT = 720, 200
MOST_POINTS = 400
STEPS = (1, 2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True, slots=True)
class Line:
    """One launch's way up; ``points`` in the units of the SVG."""

    label: str
    points: str
    last: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What the template draws, stretched to the width of the page."""

    width: int
    height: int
    top: int
    ticks: tuple[int, ...]
    lines: tuple[Line, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """A day, in the units of the SVG."""

    x: str
    y: str
    width: str
    height: str
    day: Day


@dataclass(frozen=True, slots=True)
class Bars:
    """Revenue by day."""

    width: int
    height: int
    top: int
    ticks: tuple[int, ...]
    bars: tuple[Bar, ...]
    labels: tuple[str, ...]


def climbing(series: Sequence[tuple[str, Sequence[Hour]]], length: int, goal: int | None = None) -> Chart:
    """Cumulated net revenue of launches over ``length`` hours; with a goal, an even pace up to it."""
    best = max((hour.cumulative_minor for _, hours in series for hour in hours), default=0)
    top = scale_end(max(best, goal or 0))
    lines = [Line(label, _points(hours, length, top), f"{_last(hours):,}") for label, hours in series]
    if goal:
        lines.append(Line("Even pace to the goal", f"0,{HEIGHT} {WIDTH},{_y(goal, top)}", f"{goal:,}"))
    return Chart(
        WIDTH, HEIGHT, top, (top, top // 2, 0), tuple(lines), ("Open", f"hour {length // 2}", f"hour {length}")
    )


def by_day(days: Sequence[Day]) -> Bars:
    """A bar per day, as high as its charged revenue."""
    top = scale_end(max((day.revenue_minor for day in days), default=0))
    step = WIDTH / max(1, len(days))
    gap = 0.2 * step if len(days) <= 120 else 0.0
    bars = tuple(
        Bar(
            x=f"{n * step + gap / 2:.2f}", y=_y(day.revenue_minor, top), width=f"{step - gap:.2f}",
            height=f"{HEIGHT * max(0, day.revenue_minor) / top:.2f}", day=day,
        )
        for n, day in enumerate(days)
    )  # fmt: skip
    ends = sorted({0, len(days) - 1}) if days else []
    labels = tuple(f"{days[n].date.day} {days[n].date:%b}" for n in ends)
    return Bars(WIDTH, HEIGHT, top, (top, top // 2, 0), bars, labels)


def scale_end(amount_minor: int) -> int:
    """The first round number that is not below ``amount_minor``."""
    power = 10
    while True:
        for step in STEPS:
            if step * power >= amount_minor:
                return step * power
        power *= 10


def _points(hours: Sequence[Hour], length: int, top: int) -> str:
    """From nothing at the opening to each hour's end; of many hours every few."""
    every = max(1, len(hours) // MOST_POINTS)
    chosen = [hour for n, hour in enumerate(hours) if n % every == 0 or n == len(hours) - 1]
    rest = [f"{WIDTH * (hour.hour + 1) / max(1, length):.2f},{_y(hour.cumulative_minor, top)}" for hour in chosen]
    return " ".join([f"0,{HEIGHT}", *rest])


def _y(amount: int, top: int) -> str:
    return f"{HEIGHT - HEIGHT * min(max(0, amount), top) / top:.2f}"


def _last(hours: Sequence[Hour]) -> int:
    return hours[-1].cumulative_minor if hours else 0
