"""What the launches API takes and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

Status = Literal["upcoming", "active", "completed"]
Moment = Annotated[datetime, Meta(tz=True)]


class NewLaunch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A launch to create; it runs from ``starts_at`` up to, not including, ``ends_at``."""

    title: Annotated[
        str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$")
    ]
    starts_at: Moment
    ends_at: Moment


class Launch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A launch; ``status`` is as of now."""

    id: UUID
    title: str
    starts_at: datetime
    ends_at: datetime
    status: Status
    created_at: datetime


class LaunchPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One page of launches."""

    items: tuple[Launch, ...]
    page: int
    limit: int
    total: int


class SourceShare(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one source brought to a launch, net of refunds."""

    source: str
    channel: str
    revenue_minor: int
    purchases: int


class Results(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The money that moved while the launch ran, under the tenant's default model; so far, while it runs."""

    currency: str
    model: str
    revenue_minor: int
    refunded_minor: int
    net_revenue_minor: int
    purchases: int
    students: int
    average_order_minor: int | None
    visitors: int
    conversion_rate: float | None
    unattributed_minor: int
    sources: tuple[SourceShare, ...]


class LaunchDetail(Launch, frozen=True, kw_only=True, rename="camel"):
    """A launch with its results; None before it starts."""

    results: Results | None
