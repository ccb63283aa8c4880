"""The answers of the reports on students: who they are, what they are worth, when they come back."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from coursesignal.reports.base import CurrencyTotal, Insight, Report


class FirstTouch(Report, frozen=True, kw_only=True):
    """The earliest touch of any of a student's browsers up to the first purchase, however long before."""

    at: datetime
    source: str
    channel: str
    campaign: str


class StudentRow(Report, frozen=True, kw_only=True):
    """One student; money without ``period`` in its name is of the whole time up to now."""

    person_id: UUID | None
    """Null for a buyer of whom the platform told no more than the purchase."""
    email: str | None
    name: str | None
    source: str | None
    """Where the model says the first purchase came from; null when it credits nothing."""
    channel: str | None
    campaign: str | None
    first_touch: FirstTouch | None
    lifetime_value_minor: int
    """Charged less refunded."""
    charged_minor: int
    refunded_minor: int
    purchases: int
    first_purchase_at: datetime
    last_purchase_at: datetime
    """When money was last charged for a purchase not charged before."""
    period_charged_minor: int
    period_refunded_minor: int


class StudentTotals(Report, frozen=True, kw_only=True):
    """Over all students of the report, not only this page."""

    students: int
    lifetime_value_minor: int
    average_lifetime_value_minor: int | None
    period_charged_minor: int
    period_refunded_minor: int


class StudentsReport(Insight, frozen=True, kw_only=True):
    """Everybody who paid in the period; ``next_cursor`` is null on the last page."""

    sort: str
    items: tuple[StudentRow, ...]
    totals: StudentTotals
    other_currencies: tuple[CurrencyTotal, ...]
    next_cursor: str | None


class LifetimeAfter(Report, frozen=True, kw_only=True):
    """Value within ``days`` (of 24 hours) after the first purchase, of the students whose first purchase is that long ago."""

    days: int
    students: int
    value_minor: int
    average_minor: int | None


class LifetimeFigures(Report, frozen=True, kw_only=True):
    """What a group of students is worth."""

    students: int
    value_minor: int
    """Charged less refunded, up to now."""
    average_minor: int | None
    purchases: int
    repeat_students: int
    """Of ``students``, those with two purchases or more."""
    repeat_rate: float | None
    after: tuple[LifetimeAfter, ...]


class LifetimeRow(LifetimeFigures, frozen=True, kw_only=True):
    """The students of one source, channel or campaign; ``channel`` is the one most of them came through."""

    name: str
    channel: str


class LifetimeReport(Insight, frozen=True, kw_only=True):
    """Students who bought for the first time in the period, by where that came from: rows + unattributed = totals."""

    by: str
    rows: tuple[LifetimeRow, ...]
    unattributed: LifetimeFigures
    totals: LifetimeFigures
    other_currencies: tuple[CurrencyTotal, ...]


class CohortCell(Report, frozen=True, kw_only=True):
    """One cohort in one calendar month."""

    months_since: int
    """0 is the month of the first purchase."""
    active_students: int
    """Who paid something in that month."""
    active_rate: float | None
    net_revenue_minor: int
    """Of that month."""
    cumulative_minor: int
    """Net, up to the end of that month."""
    average_value_minor: int | None
    """Cumulative, by all students of the cohort."""


class CohortRow(Report, frozen=True, kw_only=True):
    """Students who bought for the first time in one month, with a cell for every month since, the running one too."""

    month: date
    students: int
    net_revenue_minor: int
    cells: tuple[CohortCell, ...]


class CohortReport(Insight, frozen=True, kw_only=True):
    """A triangle: oldest cohort first, months of the tenant's zone; without a row for a month nobody started in."""

    time_zone: str
    source: str | None
    channel: str | None
    rows: tuple[CohortRow, ...]
    students: int
    net_revenue_minor: int
    longest_months: int
    """How many columns the triangle has."""
    other_currencies: tuple[CurrencyTotal, ...]


class Buyers(Report, frozen=True, kw_only=True):
    """What one kind of students did in one period."""

    students: int
    purchases: int
    charged_minor: int
    refunded_minor: int
    net_revenue_minor: int
    average_order_minor: int | None
    """Charged by purchases."""


class NewAndReturning(Report, frozen=True, kw_only=True):
    """``new`` bought for the first time in the period, ``returning`` before it; together they are everybody."""

    new: Buyers
    returning: Buyers
    new_revenue_share: float | None
    """New students' part of what was charged, in percent."""


class BuyersOfSource(NewAndReturning, frozen=True, kw_only=True):
    """What the model credits to one source."""

    source: str
    channel: str


class BuyersOfInterval(NewAndReturning, frozen=True, kw_only=True):
    """One day, week or month as a period of its own: who is new in it had not bought before it began."""

    first: date
    last: date


class NewReturningReport(Insight, frozen=True, kw_only=True):
    """Money and people split in two: new + returning = the summary's; of the money also rows + unattributed = totals."""

    interval: str
    totals: NewAndReturning
    intervals: tuple[BuyersOfInterval, ...]
    rows: tuple[BuyersOfSource, ...]
    unattributed: NewAndReturning
    other_currencies: tuple[CurrencyTotal, ...]
