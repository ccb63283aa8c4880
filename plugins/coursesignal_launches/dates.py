"""A launch's dates, goals and products as one checked value, from what was sent. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET

from coursesignal.plugin import FieldError, Invalid
from coursesignal_launches.phases import SkippedTime, default_last_day, in_zone
from coursesignal_launches.schemas import LaunchChange, NewLaunch

LONGEST = timedelta(days=366)
TIMES = ("starts_at", "ends_at", "prelaunch_at", "last_day_at", "post_ends_at")
FIELDS = ("title", "description", *TIMES, "revenue_goal_minor", "sales_goal", "products")
"""What can be chosen of a launch: its columns."""


def new(sent: NewLaunch, zone: ZoneInfo) -> dict[str, Any]:
    """The columns of a new launch; raises Invalid naming every field that is wrong."""
    values = _timed({name: getattr(sent, name) for name in FIELDS}, zone)
    return _checked(values, zone)


def changed(before: Mapping[str, Any], sent: LaunchChange, zone: ZoneInfo) -> dict[str, Any]:
    """The columns after a change; a last day that was a day before the end goes with it."""
    values = {name: before[name] for name in FIELDS}
    followed = before["last_day_at"] == default_last_day(before["starts_at"], before["ends_at"], zone)
    given = {name: value for name in FIELDS if (value := getattr(sent, name)) is not UNSET}
    values |= _timed(given, zone)
    if followed and "last_day_at" not in given:
        values["last_day_at"] = UNSET
    return _checked(values, zone)


def _timed(values: dict[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    errors = []
    for name in TIMES:
        at = values.get(name)
        if isinstance(at, datetime):
            try:
                values[name] = in_zone(at, zone)
            except SkippedTime as error:
                errors.append(FieldError(_camel(name), str(error)))
            except (OverflowError, ValueError):
                errors.append(FieldError(_camel(name), "Must be between the years 2000 and 2100."))
    _refuse(errors)
    return values


def _checked(values: dict[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    values["title"] = values["title"].strip()
    values["products"] = sorted(set(values["products"]))
    _refuse(list(_window_problems(values)))
    if values["last_day_at"] is UNSET:
        values["last_day_at"] = default_last_day(values["starts_at"], values["ends_at"], zone)
    _refuse(list(_phase_problems(values)))
    return values


def _window_problems(values: Mapping[str, Any]) -> Iterator[FieldError]:
    starts_at, ends_at = values["starts_at"], values["ends_at"]
    if not 2000 <= starts_at.year <= 2100:
        yield FieldError("startsAt", "Must be between the years 2000 and 2100.")
    elif ends_at <= starts_at:
        yield FieldError("endsAt", "Must be later than startsAt.")
    elif ends_at - starts_at > LONGEST:
        yield FieldError("endsAt", "A launch lasts at most 366 days.")


def _phase_problems(values: Mapping[str, Any]) -> Iterator[FieldError]:
    starts_at, ends_at = values["starts_at"], values["ends_at"]
    prelaunch, last_day, post = values["prelaunch_at"], values["last_day_at"], values["post_ends_at"]
    if prelaunch is not None and not starts_at - LONGEST <= prelaunch < starts_at:
        yield FieldError("prelaunchAt", "Must be before startsAt, by at most 366 days.")
    if last_day is not None and not starts_at < last_day < ends_at:
        yield FieldError("lastDayAt", "Must be between startsAt and endsAt.")
    if post is not None and not ends_at < post <= ends_at + LONGEST:
        yield FieldError("postEndsAt", "Must be after endsAt, by at most 366 days.")


def _refuse(errors: list[FieldError]) -> None:
    if errors:
        raise Invalid("This launch cannot be.", errors=errors)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


def columns(values: Mapping[str, Any]) -> list[Any]:
    """In the order of FIELDS."""
    return [msgspec.to_builtins(values[name]) if name == "products" else values[name] for name in FIELDS]
