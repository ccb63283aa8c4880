"""What the models make of every channel, as lines from the lowest to the highest with a mark for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coursesignal.plugin import ModelComparison

LEFT, RIGHT = 2.0, 98.0
"""Where a line may begin and end, in percent of the width: marks at the ends are not cut off."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One model's amount; ``x`` is in percent of the width."""

    x: str
    model: str
    amount_minor: int
    own: bool
    """Of the model that the tenant's reports use."""


@dataclass(frozen=True, slots=True)
class Span:
    """One channel: from the lowest amount to the highest."""

    name: str
    x: str
    width: str
    lowest_minor: int
    highest_minor: int
    own_minor: int | None
    """By the model that the tenant's reports use; None when it credits nothing at all."""
    marks: tuple[Mark, ...]


def spans(report: ModelComparison, own: str) -> Sequence[Span]:
    """One line per channel on a scale that all of them share and that begins at nothing."""
    least = min((row.lowest_minor for row in report.channels), default=0)
    most = max((row.highest_minor for row in report.channels), default=0)
    start, length = min(0, least), max(1, max(0, most) - min(0, least))

    def at(amount_minor: int) -> float:
        return LEFT + (RIGHT - LEFT) * (amount_minor - start) / length

    return [
        Span(
            name=row.name,
            x=f"{at(row.lowest_minor):.2f}",
            width=f"{at(row.highest_minor) - at(row.lowest_minor):.2f}",
            lowest_minor=row.lowest_minor,
            highest_minor=row.highest_minor,
            own_minor=row.revenue_minor.get(own),
            marks=tuple(
                Mark(f"{at(amount):.2f}", model, amount, model == own)
                for model, amount in sorted(row.revenue_minor.items(), key=lambda each: (each[0] == own, each))
            ),
        )
        for row in report.channels
    ]
