"""A launch's orders by hour since the cart opened, by phase, and by whether the buyer was on the list. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from coursesignal_launches.orders import Order
from coursesignal_launches.phases import PHASES, phase_of_order, spans
from coursesignal_launches.schemas import Cohort, Hour, Launch, Phase, PhaseShare, WarmUp

HOUR = timedelta(hours=1)


def hours(launch: Launch, orders: Sequence[Order], now: datetime) -> tuple[Hour, ...]:
    """Every hour from the start to now or the end; orders from outside count in the first or the last."""
    until = min(now, launch.ends_at)
    if until <= launch.starts_at:
        return ()
    count = -((launch.starts_at - until) // HOUR)
    money, sales = [0] * count, [0] * count
    for order in orders:
        at = min(max((order.purchased_at - launch.starts_at) // HOUR, 0), count - 1)
        money[at] += order.net
        sales[at] += order.charged > 0
    rows, earned, sold = [], 0, 0
    for hour in range(count):
        earned, sold = earned + money[hour], sold + sales[hour]
        rows.append(
            Hour(
                hour=hour, net_revenue_minor=money[hour], purchases=sales[hour], cumulative_minor=earned,
                cumulative_purchases=sold,
            )
        )  # fmt: skip
    return tuple(rows)


def phases(launch: Launch, orders: Sequence[Order], visitors: Mapping[Phase, int]) -> tuple[PhaseShare, ...]:
    """Every phase the launch has, and those that pinned purchases fall in."""
    dated = {phase: (start, end) for phase, start, end in spans(launch)}
    found: dict[Phase, list[Order]] = {phase: [] for phase in PHASES}
    for order in orders:
        found[phase_of_order(launch, order.purchased_at)].append(order)
    return tuple(
        PhaseShare(
            phase=phase,
            starts_at=dated[phase][0] if phase in dated else None,
            ends_at=dated[phase][1] if phase in dated else None,
            visitors=visitors.get(phase, 0),
            purchases=sum(order.charged > 0 for order in found[phase]),
            net_revenue_minor=sum(order.net for order in found[phase]),
        )
        for phase in PHASES
        if phase in dated or found[phase]
    )


def warm_up(launch: Launch, orders: Sequence[Order]) -> WarmUp:
    """Buyers seen before the cart opened, since then, and never."""
    groups: dict[str, list[Order]] = {"list": [], "newcomers": [], "unseen": []}
    for order in orders:
        seen = order.first_seen_at
        groups["unseen" if seen is None else "list" if seen < launch.starts_at else "newcomers"].append(order)
    return WarmUp(**{name: _cohort(group) for name, group in groups.items()})


def _cohort(orders: Sequence[Order]) -> Cohort:
    paid = [order for order in orders if order.charged > 0]
    return Cohort(
        students=len({order.student for order in paid}),
        purchases=len(paid),
        net_revenue_minor=sum(order.net for order in orders),
        average_order_minor=average(sum(order.charged for order in paid), len(paid)),
    )


def average(total: int, count: int) -> int | None:
    """Rounded to the minor unit, halves up; None of none."""
    return (2 * total + count) // (2 * count) if count else None


def percent(part: int, whole: int) -> float | None:
    """With two decimals; None of nothing."""
    return round(100 * part / whole, 2) if whole else None
