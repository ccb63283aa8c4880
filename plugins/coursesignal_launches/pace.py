"""Goals beside an even pace from start to end. Pure, in whole minor units."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from coursesignal_launches.schemas import Goal, Goals, Launch

Pace = Literal["ahead", "on_pace", "behind", "reached", "missed", "not_started"]
SLACK = 20
"""A twentieth beside the pace is on pace."""


def goals(launch: Launch, net_revenue_minor: int, purchases: int, now: datetime) -> Goals:
    """How far the launch's goals are."""
    return Goals(
        revenue=_goal(launch, launch.revenue_goal_minor, net_revenue_minor, now),
        sales=_goal(launch, launch.sales_goal, purchases, now),
    )


def _goal(launch: Launch, goal: int | None, so_far: int, now: datetime) -> Goal | None:
    if goal is None:
        return None
    expected = expected_at(launch, goal, now)
    running = launch.starts_at < now < launch.ends_at
    return Goal(
        goal=goal,
        so_far=so_far,
        progress=round(100 * so_far / goal, 2),
        expected=expected,
        pace=_pace(goal, so_far, expected, started=now > launch.starts_at, over=now >= launch.ends_at),
        projected=_projected(launch, so_far, now) if running else None,
    )


def expected_at(launch: Launch, goal: int, at: datetime) -> int:
    """What the even pace has reached at a moment."""
    whole = launch.ends_at - launch.starts_at
    passed = min(max(at, launch.starts_at), launch.ends_at) - launch.starts_at
    return goal * _us(passed) // _us(whole)


def _projected(launch: Launch, so_far: int, now: datetime) -> int:
    return so_far * _us(launch.ends_at - launch.starts_at) // max(1, _us(now - launch.starts_at))


def _pace(goal: int, so_far: int, expected: int, *, started: bool, over: bool) -> Pace:
    if so_far >= goal:
        return "reached"
    if over:
        return "missed"
    if not started:
        return "not_started"
    if abs(so_far - expected) * SLACK <= goal:
        return "on_pace"
    return "ahead" if so_far > expected else "behind"


def _us(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
