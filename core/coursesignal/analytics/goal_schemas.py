"""Goals as they are defined and reported."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from coursesignal.reports import GoalKind, Report

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
