"""Goals in a period: who reached them, and from where."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

from coursesignal.reports.base import Report

GoalKind = Literal["path", "event", "opt_in", "purchase"]


class GoalSource(Report, frozen=True, kw_only=True):
    """One source's part in a goal."""

    source: str
    channel: str
    visitors: int
    conversions: int
    rate: float | None


class GoalRow(Report, frozen=True, kw_only=True):
    """A goal in the period.

    ``conversions`` counts people, or visitors nobody knows, each once; ``completions`` every time. ``first_touch`` and
    ``last_touch`` share the same conversions out by where each had come from first, and last, before it; the rest is
    ``unattributed``.
    """

    id: UUID
    name: str
    kind: GoalKind
    target: str
    counting: bool
    visitors: int
    conversions: int
    completions: int
    rate: float | None
    unattributed: int
    first_touch: Sequence[GoalSource]
    last_touch: Sequence[GoalSource]


class GoalReport(Report, frozen=True, kw_only=True):
    """Every goal, or the one that was asked for, in the order they were made."""

    from_: date = msgspec.field(name="from")
    to: date
    visitors: int
    rows: Sequence[GoalRow]
