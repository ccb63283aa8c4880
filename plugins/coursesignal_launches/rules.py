"""Advice about launches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from coursesignal.plugin import Context, Recommendation, RecommendationRule, decimal_amount
from coursesignal_launches import launches, live
from coursesignal_launches.schemas import Launch, LiveStats

CHANCE = 0.01
"""How likely a launch on pace may at most be this far behind."""
FEWEST_EXPECTED = 10.0
"""Sales that an even pace would have brought by now, before anything is said."""


class PaceBehindGoal(RecommendationRule):
    """A warning: a running launch has fewer sales than its goal needs by now, by more than chance."""

    slug = "launches_pace"
    minimum_purchases = 10

    async def evaluate(self, ctx: Context[Any]) -> Sequence[Recommendation]:
        """At most one for each launch that runs."""
        running = (await launches.listed(ctx, status="active", sort="startsAt", page=1, limit=20)).items
        found = [(launch, await live.stats(ctx, launch)) for launch in running]
        return [advice for launch, stats in found if (advice := advise(launch, stats)) is not None]


def advise(launch: Launch, stats: LiveStats) -> Recommendation | None:
    """What to say of one launch; an early day of a slow start is nothing to speak of."""
    expected, sales = expected_sales(stats), stats.figures.purchases
    if expected < FEWEST_EXPECTED or below_by_chance(sales, expected) > CHANCE:
        return None
    goal = stats.goals.revenue or stats.goals.sales
    assert goal is not None and goal.projected is not None
    return Recommendation(
        key=f"pace:{launch.id}",
        kind="warning",
        priority=1,
        title=f"{launch.title} is behind its goal",
        body=(
            f"{sales} sales so far, where an even pace to the goal would have brought {expected:.0f} by now; a launch on pace "
            f"is this far behind less than once in a hundred times. At this rate it ends at {_amount(stats)}. "
            f"Write to those on your list who have not bought, before the last day."
        ),
        evidence={
            "launch": launch.title,
            "sales": sales,
            "expectedSales": round(expected),
            "soFar": goal.so_far,
            "goal": goal.goal,
            "projected": goal.projected,
            "currency": stats.figures.currency,
        },
        link=f"/api/launches/{launch.id}/analytics",
    )


def expected_sales(stats: LiveStats) -> float:
    """What an even pace would have brought by now: of the goal in sales, or of that in revenue at the average order so far."""
    if stats.goals.sales is not None:
        return float(stats.goals.sales.expected)
    average = stats.figures.average_order_minor
    if stats.goals.revenue is None or not average:
        return 0.0
    return stats.goals.revenue.expected / average


def below_by_chance(count: int, expected: float) -> float:
    """An upper bound of how likely ``count`` or fewer are where ``expected`` are: Chernoff's, for a Poisson count."""
    if count >= expected:
        return 1.0
    rest = count * math.log(count / expected) if count else 0.0
    return math.exp(count - expected - rest)


def _amount(stats: LiveStats) -> str:
    if stats.goals.revenue is None:
        assert stats.goals.sales is not None
        return f"{stats.goals.sales.projected} sales"
    projected = stats.goals.revenue.projected or 0
    return f"{decimal_amount(projected, stats.figures.currency)} {stats.figures.currency}"
