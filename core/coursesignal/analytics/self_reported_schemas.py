"""What buyers say of where they came from, as it is sent and reported."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from coursesignal.reports import Report

Address = Annotated[str, Meta(max_length=320)]
Answer = Annotated[str, Meta(min_length=1, max_length=1000, description="As it was answered.")]
Code = Annotated[str, Meta(min_length=1, max_length=100)]
Source = Annotated[str, Meta(min_length=1, max_length=200)]


class _Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base class of what is sent."""


class ClaimIn(_Body, frozen=True, kw_only=True):
    """What somebody answered to "how did you hear about us?"; ``at`` is now without."""

    email: Address
    source: Answer
    at: datetime | None = None


class ClaimTaken(Report, frozen=True, kw_only=True, omit_defaults=True):
    """Whether the answer was kept, and why not."""

    accepted: bool
    reason: str | None = None


class CouponSource(_Body, frozen=True, kw_only=True):
    """The source whose buyers get this code; upper and lower case are one."""

    code: Code
    source: Source


class CouponSourcesIn(_Body, frozen=True, kw_only=True):
    """All of them: what is not listed is mapped no more."""

    codes: Annotated[Sequence[CouponSource], Meta(max_length=1000)]


class CouponUse(Report, frozen=True, kw_only=True):
    """A coupon code with its source, null while it has none, and the purchases that used it."""

    code: str
    source: str | None
    purchases: int


class CouponSources(Report, frozen=True, kw_only=True):
    """The mapped codes by name, then the most used of those that are not mapped."""

    codes: Sequence[CouponUse]
    unmapped: Sequence[CouponUse]
