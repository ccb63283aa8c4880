"""Cohorts as a triangle of cells that are the darker the more they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from coursesignal.plugin import CohortCell, CohortReport

Figure = Literal["value", "active"]
SHADES = 5
LONGEST = 13
"""Columns: a year after the first month."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cohort in one month; ``shade`` is 0 (nothing) to SHADES."""

    months_since: int
    shade: int
    average_value_minor: int | None
    active_rate: float | None
    active_students: int


@dataclass(frozen=True, slots=True)
class Line:
    """The students who began in one month."""

    month: str
    students: int
    cells: tuple[Cell | None, ...]
    """None where the month has not come yet."""


def triangle(report: CohortReport, figure: Figure) -> Sequence[Line]:
    """A line per cohort, newest last, as long as the oldest one but at most LONGEST."""
    columns = range(min(LONGEST, report.longest_months))
    most = max((_held(cell, figure) for row in report.rows for cell in row.cells if _counts(cell, figure)), default=0.0)
    lines = []
    for row in report.rows:
        known = {cell.months_since: cell for cell in row.cells}
        cells = tuple(_cell(known[month], figure, most) if month in known else None for month in columns)
        lines.append(Line(f"{row.month:%b %Y}", row.students, cells))
    return lines


def _counts(cell: CohortCell, figure: Figure) -> bool:
    """Every student pays in their first month: it says nothing about who comes back."""
    return figure == "value" or cell.months_since > 0


def _held(cell: CohortCell, figure: Figure) -> float:
    return float((cell.average_value_minor if figure == "value" else cell.active_rate) or 0)


def _cell(cell: CohortCell, figure: Figure, most: float) -> Cell:
    held = _held(cell, figure)
    share = min(1.0, held / most) if most > 0 and held > 0 else 0.0
    return Cell(
        months_since=cell.months_since,
        shade=max(1, round(SHADES * share)) if share else 0,
        average_value_minor=cell.average_value_minor,
        active_rate=cell.active_rate,
        active_students=cell.active_students,
    )
