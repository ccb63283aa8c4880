"""Goals as they are defined and reported."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from coursesignal.reports import Report

GoalKind = Literal["path", "event", "opt_in", "purchase"]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Target = Annotated[str, Meta(max_length=500)]


class _Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base class of what is sent."""


class GoalIn(_Body, frozen=True, kw_only=True):
    """``target`` is a path ("/thanks", "/blog/*"), the name of a custom event, or a product's title or id; none for an opt-in."""

    name: Name
    kind: GoalKind
    target: Target = ""


class GoalChange(_Body, frozen=True, kw_only=True):
    """Only what is given changes; another target counts the history anew."""

    name: Name | UnsetType = UNSET
    target: Target | UnsetType = UNSET


class GoalOut(Report, frozen=True, kw_only=True):
    """A goal; while ``counting``, what happened before it was defined is still being looked through."""

    id: UUID
    name: str
    kind: GoalKind
    target: str
    counting: bool
    created_at: datetime


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
