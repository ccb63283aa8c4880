"""Numbers made of other numbers; null where there is nothing to divide by."""

from __future__ import annotations

from dataclasses import dataclass

from coursesignal.reports import Totals, Trends, Unattributed


@dataclass(frozen=True, slots=True)
class Sales:
    """Money and who it came from, counted over one set of charges; refunded ≥ 0 unless old disputes were won."""

    charged_minor: int = 0
    refunded_minor: int = 0
    purchases: int = 0
    students: int = 0
    matched: int = 0
    """Of ``purchases``, those with a known person."""

    @property
    def net_minor(self) -> int:
        return self.charged_minor - self.refunded_minor

    @property
    def average_minor(self) -> int | None:
        return per(self.charged_minor, self.purchases)


def percent(part: int, whole: int) -> float | None:
    """``part`` of ``whole`` in percent with two decimals."""
    return round(100 * part / whole, 2) if whole else None


def per(amount_minor: int, count: int) -> int | None:
    """``amount_minor`` by ``count``, to the nearest minor unit, halves up."""
    return (2 * amount_minor + count) // (2 * count) if count else None


def trend(now: int | None, before: int | None) -> float | None:
    """Change in percent, signed by direction even from a negative number; None when there was nothing before."""
    if not before or now is None:
        return None
    return round(100 * (now - before) / abs(before), 2)


def trends(now: Sales, before: Sales, visitors_now: int, visitors_before: int) -> Trends:
    """Every trend of the summary."""
    return Trends(
        revenue=trend(now.charged_minor, before.charged_minor),
        net_revenue=trend(now.net_minor, before.net_minor),
        students=trend(now.students, before.students),
        average_order=trend(now.average_minor, before.average_minor),
        purchases=trend(now.purchases, before.purchases),
        visitors=trend(visitors_now, visitors_before),
    )


def totals(sales: Sales, visitors: int) -> Totals:
    """The columns of a table of sources for ``sales``."""
    return Totals(
        visitors=visitors,
        revenue_minor=sales.net_minor,
        charged_minor=sales.charged_minor,
        refunded_minor=sales.refunded_minor,
        students=sales.students,
        purchases=sales.purchases,
        conversion_rate=percent(sales.purchases, visitors),
        average_order_minor=sales.average_minor,
        revenue_per_visitor_minor=per(sales.net_minor, visitors),
    )


def unattributed(sales: Sales) -> Unattributed:
    """What is left for no touch."""
    return Unattributed(
        revenue_minor=sales.net_minor,
        charged_minor=sales.charged_minor,
        refunded_minor=sales.refunded_minor,
        purchases=sales.purchases,
        students=sales.students,
    )
