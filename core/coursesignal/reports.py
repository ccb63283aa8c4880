"""The shapes of the reports: what ``/api/analytics`` answers and what ``ctx.reports`` hands to plugins.

Words, the same in every report:

charged
    money of sales, renewals and instalments; ``refunded`` is refunds and disputes less disputes that were won (so a month
    in which an old dispute is won can show a negative one); ``net`` is charged less refunded.
in the period
    money counts on the day it moved: a refund counts on the day of the refund, whenever the sale was.
purchases
    distinct purchases charged more than zero in the period; ``students`` the distinct people (else e-mail addresses) behind
    them.
visitors
    distinct visitors who began a session in the period; of one source: who had a touch of it in the period.
rates
    percent with two decimals. Null wherever there is nothing to divide by. A conversion rate is purchases by visitors *of the
    same period*, so it passes 100 when people buy who visited earlier.

Amounts are integers in minor units of the report's currency, which is the tenant's. Other currencies are listed beside it and
never added to it.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

ReportPeriod = Literal["7d", "30d", "90d", "all"] | tuple[date, date]
"""A named range that ends today; the first and last day, both included; or two aware datetimes, half-open."""

PurchaseStatus = Literal["paid", "partially_refunded", "refunded", "cancelled"]


class Report(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base class of every answer."""


class Trends(Report, frozen=True, kw_only=True):
    """Percent against the period of the same length just before; null when that was 0."""

    revenue: float | None
    """Of what was charged."""
    net_revenue: float | None
    students: float | None
    average_order: float | None
    purchases: float | None
    visitors: float | None


class CurrencyTotal(Report, frozen=True, kw_only=True):
    """What came in in a currency that is not the report's."""

    currency: str
    revenue_minor: int
    refunded_minor: int
    net_revenue_minor: int
    purchases: int


class Summary(Report, frozen=True, kw_only=True):
    """The period on one card. ``revenue_minor`` is what was charged, before refunds.

    With ``source`` only what the model credits to it is counted, and ``unattributed_minor`` is 0.
    """

    from_: date = msgspec.field(name="from")
    to: date
    time_zone: str
    currency: str
    model: str
    source: str | None = None
    revenue_minor: int
    refunded_minor: int
    net_revenue_minor: int
    purchases: int
    students: int
    average_order_minor: int | None
    visitors: int
    conversion_rate: float | None
    match_rate: float | None
    """Purchases whose buyer was seen as a visitor, by purchases."""
    unattributed_minor: int
    """Net; part of ``net_revenue_minor``."""
    trends: Trends
    other_currencies: tuple[CurrencyTotal, ...]


class Totals(Report, frozen=True, kw_only=True):
    """The columns of a table of sources. ``revenue_minor`` is net: charged less refunded."""

    visitors: int
    revenue_minor: int
    charged_minor: int
    refunded_minor: int
    students: int
    purchases: int
    conversion_rate: float | None
    average_order_minor: int | None
    """Charged by purchases."""
    revenue_per_visitor_minor: int | None


class SourceRow(Totals, frozen=True, kw_only=True):
    """One source; ``channel`` is the one most of its purchases came through, without any the first by name."""

    source: str
    channel: str


class Unattributed(Report, frozen=True, kw_only=True):
    """What the model can credit to no touch."""

    revenue_minor: int
    charged_minor: int
    refunded_minor: int
    purchases: int
    students: int


class SourcesReport(Report, frozen=True, kw_only=True):
    """Revenue by source, most first: rows + unattributed = totals, and totals' revenue is the summary's net.

    A model that shares a purchase among sources counts it in each of their rows; totals count it once. A visitor of two sources
    is in both rows.
    """

    from_: date = msgspec.field(name="from")
    to: date
    currency: str
    model: str
    rows: tuple[SourceRow, ...]
    unattributed: Unattributed
    totals: Totals
    other_currencies: tuple[CurrencyTotal, ...]


class DrilldownRow(SourceRow, frozen=True, kw_only=True):
    """One source by medium, campaign and content; empty text where the link carried none."""

    medium: str
    campaign: str
    content: str


class DrilldownReport(Report, frozen=True, kw_only=True):
    """One source opened; ``totals`` equal its row in :class:`SourcesReport`."""

    from_: date = msgspec.field(name="from")
    to: date
    currency: str
    model: str
    source: str
    rows: tuple[DrilldownRow, ...]
    totals: Totals


class Day(Report, frozen=True, kw_only=True):
    """One day of the tenant's zone; ``revenue_minor`` is what was charged, as in :class:`Summary`."""

    date: date
    revenue_minor: int
    refunded_minor: int
    net_revenue_minor: int
    purchases: int


class DailyReport(Report, frozen=True, kw_only=True):
    """Every day of the period, oldest first."""

    from_: date = msgspec.field(name="from")
    to: date
    time_zone: str
    currency: str
    days: tuple[Day, ...]


class PurchaseLine(Report, frozen=True, kw_only=True):
    """A purchase in a list; ``amount_minor`` is all that was charged for it, ``source`` the touch with the most credit."""

    id: UUID
    platform: str
    amount_minor: int
    refunded_minor: int
    currency: str
    product: str
    email: str | None
    source: str | None
    channel: str | None
    purchased_at: datetime
    status: PurchaseStatus
    matched: bool


class RecentPurchases(Report, frozen=True, kw_only=True, omit_defaults=True):
    """Purchases, newest first; ``next_cursor`` is absent on the last page."""

    items: tuple[PurchaseLine, ...]
    next_cursor: str | None = None


class ItemLine(Report, frozen=True, kw_only=True):
    """One thing that was bought; the amount is null when the platform gives only a total."""

    external_id: str
    title: str
    quantity: int
    amount_minor: int | None


class ChargeLine(Report, frozen=True, kw_only=True):
    """Money that moved; negative when it went back."""

    id: UUID
    external_id: str
    kind: str
    amount_minor: int
    currency: str
    occurred_at: datetime


class Identifier(Report, frozen=True, kw_only=True):
    """One thing by which a person is known, and how we came to know it."""

    kind: str
    value: str
    evidence: str
    confidence: str
    first_seen_at: datetime


class PersonLine(Report, frozen=True, kw_only=True):
    """Who bought, and the evidence."""

    id: UUID
    email: str | None
    name: str | None
    first_seen_at: datetime
    identifiers: tuple[Identifier, ...]


class PathTouch(Report, frozen=True, kw_only=True):
    """One touch before the purchase; only those ``in_window`` can be credited."""

    id: UUID
    visitor_id: UUID
    occurred_at: datetime
    source: str
    channel: str
    medium: str
    campaign: str
    content: str
    term: str
    referrer: str
    landing_url: str
    is_direct: bool
    in_window: bool


class TouchCredit(Report, frozen=True, kw_only=True):
    """A model's share for one touch: of all charges and refunds of the purchase."""

    touch_id: UUID
    source: str
    channel: str
    medium: str
    campaign: str
    weight: float
    amount_minor: int


class ModelCredits(Report, frozen=True, kw_only=True):
    """What one model makes of the purchase: credited + unattributed = charged − refunded."""

    model: str
    name: str
    default: bool
    credited_minor: int
    unattributed_minor: int
    touches: tuple[TouchCredit, ...]


class PurchaseClaim(Report, frozen=True, kw_only=True):
    """What the buyer, their coupon or the platform says of where the sale came from; never a touch, and credited nothing."""

    kind: Literal["survey", "coupon", "platform"]
    source: str
    answer: str
    """As it was said."""
    evidence: str
    """"api", "event", "coupon", or the platform that told it."""
    occurred_at: datetime


class PurchaseDetail(PurchaseLine, frozen=True, kw_only=True):
    """One purchase with all that explains its numbers."""

    net_minor: int
    external_keys: tuple[str, ...]
    match: str
    """How the buyer was found; "unmatched" when not."""
    gift_recipient: str | None
    cancelled_at: datetime | None
    items: tuple[ItemLine, ...]
    charges: tuple[ChargeLine, ...]
    person: PersonLine | None
    lookback_days: int
    path: tuple[PathTouch, ...]
    claims: tuple[PurchaseClaim, ...] = ()
    credits: tuple[ModelCredits, ...]


class ConnectionLine(Report, frozen=True, kw_only=True):
    """A platform of the tenant, as far as a dashboard shows it."""

    platform: str
    account: str | None
    state: str
    problem: str | None


class SetupState(Report, frozen=True, kw_only=True):
    """What a tenant has set up so far, and so what to do next."""

    site_key: str | None
    site_attributes: str = ""
    """What the snippet says besides the key, each attribute with a space before it."""
    last_event_at: datetime | None
    connections: tuple[ConnectionLine, ...]
    has_purchases: bool


class Reports(Protocol):
    """Read one tenant's numbers: the same ones, by the same code, as ``/api/analytics``.

    ``model`` is a slug of an attribution model; empty means the tenant's default. Each call reads one consistent state of the
    database. Raises Invalid for an unknown model or a period that is none, Busy when a report takes longer than 5 s.
    """

    async def summary(self, period: ReportPeriod = "30d", *, model: str = "", source: str = "") -> Summary: ...
    async def sources(self, period: ReportPeriod = "30d", *, model: str = "") -> SourcesReport: ...
    async def drilldown(self, source: str, period: ReportPeriod = "30d", *, model: str = "") -> DrilldownReport: ...
    async def daily_revenue(self, period: ReportPeriod = "30d") -> DailyReport: ...
    async def recent_purchases(self, *, limit: int = 20, cursor: str = "", model: str = "") -> RecentPurchases: ...
    async def purchase(self, purchase_id: UUID) -> PurchaseDetail:
        """Raises NotFound for an id the tenant does not have."""
        ...

    async def setup(self) -> SetupState: ...
