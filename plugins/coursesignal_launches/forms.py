"""The form of a launch: what a browser sends, as the API would be sent it, and back."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from coursesignal.plugin import FieldError, Invalid, decimal_amount
from coursesignal_launches.phases import default_last_day
from coursesignal_launches.schemas import Launch, LaunchChange, NewLaunch

T = TypeVar("T")
WHEN = "%Y-%m-%dT%H:%M"
TIMES = (
    ("starts_at", "startsAt"),
    ("ends_at", "endsAt"),
    ("prelaunch_at", "prelaunchAt"),
    ("last_day_at", "lastDayAt"),
    ("post_ends_at", "postEndsAt"),
)
NEEDED = ("starts_at", "ends_at")


class LaunchForm(msgspec.Struct, frozen=True, kw_only=True):
    """What the form sends; times are local ones of the tenant, "2026-11-23T09:00", amounts decimal."""

    title: str = ""
    description: str = ""
    starts_at: str = ""
    ends_at: str = ""
    prelaunch_at: str = ""
    last_day_at: str = ""
    post_ends_at: str = ""
    revenue_goal: str = ""
    sales_goal: str = ""
    products: str = ""


def filled(launch: Launch, zone: ZoneInfo, currency: str) -> LaunchForm:
    """The form as the launch is now."""

    def local(at: datetime | None) -> str:
        return at.astimezone(zone).strftime(WHEN) if at else ""

    usual = default_last_day(launch.starts_at, launch.ends_at, zone)
    goal = launch.revenue_goal_minor
    return LaunchForm(
        title=launch.title,
        description=launch.description,
        starts_at=local(launch.starts_at),
        ends_at=local(launch.ends_at),
        prelaunch_at=local(launch.prelaunch_at),
        last_day_at="" if launch.last_day_at == usual else local(launch.last_day_at),
        post_ends_at=local(launch.post_ends_at),
        revenue_goal=decimal_amount(goal, currency) if goal is not None else "",
        sales_goal="" if launch.sales_goal is None else str(launch.sales_goal),
        products="\n".join(launch.products),
    )


def wanted(form: LaunchForm, currency: str) -> NewLaunch:
    """The launch the form describes; raises Invalid naming every field that is wrong."""
    return _converted(_values(form, currency), NewLaunch)


def change(form: LaunchForm, currency: str) -> LaunchChange:
    """The whole launch as the form has it, as a change of one."""
    values = _values(form, currency)
    cleared = {path: None for name, path in TIMES if name not in {*NEEDED, "last_day_at"}}
    goals = {"revenueGoalMinor": None, "salesGoal": None}
    return _converted({**cleared, **goals, **values}, LaunchChange)


def _values(form: LaunchForm, currency: str) -> dict[str, Any]:
    wrong: list[FieldError] = []
    values: dict[str, Any] = {"title": form.title, "description": form.description.replace("\r\n", "\n")}
    if not form.title.strip():
        wrong.append(FieldError("title", "Give the launch a name."))
    for name, path in TIMES:
        text = getattr(form, name)
        if text or name in NEEDED:
            _take(values, wrong, path, text)
    _goals(form, currency, values, wrong)
    values["products"] = [line.strip() for line in form.products.splitlines() if line.strip()]
    if wrong:
        raise Invalid(errors=wrong)
    return values


def _take(values: dict[str, Any], wrong: list[FieldError], path: str, text: str) -> None:
    try:
        values[path] = datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        wrong.append(FieldError(path, "Choose a day and a time."))


def _goals(form: LaunchForm, currency: str, values: dict[str, Any], wrong: list[FieldError]) -> None:
    if form.revenue_goal.strip():
        try:
            values["revenueGoalMinor"] = _minor(form.revenue_goal, currency)
        except (InvalidOperation, ValueError, OverflowError):
            wrong.append(
                FieldError("revenueGoalMinor", f"Write an amount above 0, such as {decimal_amount(500000, currency)}.")
            )
    if form.sales_goal.strip():
        if form.sales_goal.strip().isdecimal() and 0 < int(form.sales_goal[:12]) <= 10_000_000:
            values["salesGoal"] = int(form.sales_goal)
        else:
            wrong.append(FieldError("salesGoal", "Write a whole number above 0."))


def _minor(text: str, currency: str) -> int:
    decimals = len(decimal_amount(0, currency).partition(".")[2])
    amount = Decimal(text.strip().replace(",", "").replace(" ", "")).scaleb(decimals)
    if amount != amount.to_integral_value() or not 1 <= amount <= 10**15:
        raise ValueError(text)
    return int(amount)


def _converted(values: dict[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        path = "description" if "description" in str(error) else "products" if "products" in str(error) else "title"
        words = {
            "title": "Write one line of at most 200 characters.",
            "description": "Write at most 5,000 characters.",
            "products": "Name at most 50 products, each on a line of at most 200 characters.",
        }
        raise Invalid(errors=[FieldError(path, words[path])]) from error
