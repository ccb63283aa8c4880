"""The answers of the reports on what visitors do before they buy, and on the sales that nobody was seen to make."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from coursesignal.reports.base import CurrencyTotal, Insight, Report


class FunnelSteps(Report, frozen=True, kw_only=True):
    """People of each step who were in the step before it; a person with several devices counts once when we know.

    Rates are percent of the step before, medians hours between the two steps of those who took both.
    """

    visitors: int
    """People with a touch in the period."""
    opt_ins: int
    """Of those, who gave an e-mail address in a visit of the period for the first time in that browser."""
    sales: int
    """Of those, who then paid for a purchase made before the period ended."""
    opt_in_rate: float | None
    sale_rate: float | None
    """Sales by opt-ins."""
    overall_rate: float | None
    """Sales by visitors."""
    median_hours_to_opt_in: float | None
    median_hours_to_sale: float | None
    sales_without_opt_in: int
    """Visitors who bought after their first touch of the period without an opt-in of the period before: beside the funnel."""


class FunnelRow(FunnelSteps, frozen=True, kw_only=True):
    """The people whose first touch of the period was of this source or channel."""

    name: str
    channel: str


class FunnelReport(Insight, frozen=True, kw_only=True):
    """Visit → opt-in → sale. Every person is in one row, so rows add up to totals."""

    by: str
    rows: tuple[FunnelRow, ...]
    totals: FunnelSteps


class JourneyPath(Report, frozen=True, kw_only=True):
    """Purchases whose journeys went the same way, consecutive repeats told once."""

    steps: tuple[str, ...]
    """Oldest first; of very long ways the middle is left out and shown as "…"."""
    purchases: int
    share: float | None
    """Of all purchases with a journey, in percent."""
    revenue_minor: int
    average_touches: float
    median_days: float


class JourneyBucket(Report, frozen=True, kw_only=True):
    """Purchases made ``from_days`` ≤ days < ``to_days`` after the journey's first touch; null is without an end."""

    from_days: int
    to_days: int | None
    purchases: int


class JourneyLengths(Report, frozen=True, kw_only=True):
    """Over all purchases with a journey. Days are of 24 hours from its first touch to the purchase."""

    average_touches: float | None
    median_touches: float | None
    average_steps: float | None
    """With consecutive repeats told once."""
    first_quartile_days: float | None
    median_days: float | None
    third_quartile_days: float | None
    days: tuple[JourneyBucket, ...]
    touches: tuple[TouchCount, ...]


class TouchCount(Report, frozen=True, kw_only=True):
    """Purchases whose journey had so many touches; the last count stands for all above it too."""

    touches: int
    purchases: int


class PurchaseSum(Report, frozen=True, kw_only=True):
    """Some purchases, and their net money of the period."""

    purchases: int
    revenue_minor: int


class JourneysReport(Insight, frozen=True, kw_only=True):
    """How people came to buy what they first paid for in the period.

    paths + other_paths + without_journey = totals; totals + made_earlier = the net revenue of the summary.
    """

    by: str
    paths: tuple[JourneyPath, ...]
    other_paths: PurchaseSum
    """Ways taken too seldom to be listed."""
    without_journey: PurchaseSum
    """Nobody was seen on the way, within the window."""
    totals: PurchaseSum
    made_earlier: PurchaseSum
    """Money of the period for purchases first paid before it: renewals, instalments, refunds."""
    lengths: JourneyLengths
    other_currencies: tuple[CurrencyTotal, ...]


class ContentRow(Report, frozen=True, kw_only=True):
    """One landing page, campaign, link or referring page."""

    name: str
    source: str | None
    """Of a campaign or a link; null for pages, where people come from many."""
    campaign: str | None
    visitors: int
    opt_ins: int
    """Visitors who gave an e-mail address in a visit of the period that began here."""
    opt_in_rate: float | None
    purchases: int
    students: int
    charged_minor: int
    refunded_minor: int
    revenue_minor: int
    """Net, as the model credits it."""
    conversion_rate: float | None
    """Purchases by visitors."""
    revenue_per_visitor_minor: int | None


class MoneySum(Report, frozen=True, kw_only=True):
    """Some credited money."""

    charged_minor: int
    refunded_minor: int
    revenue_minor: int


class ContentTotals(MoneySum, frozen=True, kw_only=True):
    """Over all rows, listed or not, and what is credited to none."""

    visitors: int
    opt_ins: int


class ContentReport(Insight, frozen=True, kw_only=True):
    """What each piece of content brought, most revenue first.

    Of the money, rows + other_rows + unnamed + unattributed = totals.
    """

    by: str
    rows: tuple[ContentRow, ...]
    other_rows: MoneySum
    """What is in the rows that are not listed."""
    rows_left_out: int
    unnamed: MoneySum
    """What is credited to visits without such a name: by no link with a campaign, from no page that is known."""
    unattributed: MoneySum
    totals: ContentTotals
    other_currencies: tuple[CurrencyTotal, ...]


CoverageStatus = Literal["matched", "probable", "unmatched"]


class CoverageExample(Report, frozen=True, kw_only=True):
    """A purchase to look at: ``/api/analytics/purchases/{id}`` has all that is known of it."""

    id: UUID
    platform: str
    email: str | None
    purchased_at: datetime
    net_revenue_minor: int


class CoverageRow(Report, frozen=True, kw_only=True):
    """The purchases of one status and reason; every purchase is in one row."""

    status: CoverageStatus
    reason: str
    explanation: str
    next_step: str | None
    purchases: int
    share: float | None
    """Of all purchases, in percent."""
    charged_minor: int
    refunded_minor: int
    net_revenue_minor: int
    examples: tuple[CoverageExample, ...]
    """The latest ones; none for what was credited."""


class CoverageSum(Report, frozen=True, kw_only=True):
    """All purchases of one status."""

    purchases: int
    share: float | None
    net_revenue_minor: int


class CoverageReport(Insight, frozen=True, kw_only=True):
    """Of which purchases it is known who made them and how they came: the rows add up to all purchases and all net revenue."""

    match_rate: float | None
    """Matched and probable, by all: the summary's."""
    credited_rate: float | None
    """Purchases that the model credits to a touch, by all."""
    matched: CoverageSum
    probable: CoverageSum
    unmatched: CoverageSum
    totals: CoverageSum
    rows: tuple[CoverageRow, ...]
    other_currencies: tuple[CurrencyTotal, ...]
