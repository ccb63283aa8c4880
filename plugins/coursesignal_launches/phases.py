"""When a launch is what: its status, its phases, and times as people write them. Pure.

prelaunch_at … starts_at … last_day_at … ends_at … post_ends_at
   pre_launch     cart_open    last_day      post
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

Status = Literal["upcoming", "active", "completed"]
Phase = Literal["pre_launch", "cart_open", "last_day", "post"]
PHASES: tuple[Phase, ...] = ("pre_launch", "cart_open", "last_day", "post")
DAY = timedelta(days=1)


class Dated(Protocol):
    """What has a launch's times."""

    @property
    def starts_at(self) -> datetime: ...
    @property
    def ends_at(self) -> datetime: ...
    @property
    def prelaunch_at(self) -> datetime | None: ...
    @property
    def last_day_at(self) -> datetime | None: ...
    @property
    def post_ends_at(self) -> datetime | None: ...


def status_at(starts_at: datetime, ends_at: datetime, now: datetime) -> Status:
    """Upcoming before the start, active until the end, completed from the end on."""
    if now < starts_at:
        return "upcoming"
    return "active" if now < ends_at else "completed"


def spans(launch: Dated) -> Iterator[tuple[Phase, datetime, datetime]]:
    """The phases the launch has, in order, half-open."""
    last_day = launch.last_day_at or launch.ends_at
    if launch.prelaunch_at is not None:
        yield "pre_launch", launch.prelaunch_at, launch.starts_at
    yield "cart_open", launch.starts_at, last_day
    if last_day < launch.ends_at:
        yield "last_day", last_day, launch.ends_at
    if launch.post_ends_at is not None:
        yield "post", launch.ends_at, launch.post_ends_at


def phase_at(launch: Dated, now: datetime) -> Phase | None:
    """The phase of a moment; None outside of all."""
    return next((phase for phase, start, end in spans(launch) if start <= now < end), None)


def phase_of_order(launch: Dated, at: datetime) -> Phase:
    """The phase a purchase of the launch counts in; one pinned from outside counts before or after."""
    if at < launch.starts_at:
        return "pre_launch"
    if at >= launch.ends_at:
        return "post"
    return "last_day" if launch.last_day_at is not None and at >= launch.last_day_at else "cart_open"


def default_last_day(starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> datetime | None:
    """The same time of day a day before the end, in the tenant's zone; None for launches of less than two days."""
    if ends_at - starts_at < 2 * DAY:
        return None
    return moved(ends_at, -DAY, zone)


def moved(at: datetime, by: timedelta, zone: ZoneInfo) -> datetime:
    """``at`` by whole days of the wall clock: nine in the morning stays nine when the clocks change between."""
    local = at.astimezone(zone).replace(tzinfo=None) + by
    return local.replace(tzinfo=zone).astimezone(UTC)


class SkippedTime(ValueError):
    """A local time that the clocks jumped over."""


def in_zone(at: datetime, zone: ZoneInfo) -> datetime:
    """The instant of ``at``: as it says, or without an offset the wall clock of ``zone``, of two such times the first.

    Raises SkippedTime for one that the clocks jump over.
    """
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    instant = at.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != at:
        raise SkippedTime(f"{at:%Y-%m-%d %H:%M} does not exist in {zone.key}: the clocks jump over it.")
    return instant
