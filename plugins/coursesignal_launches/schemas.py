"""What the launches API takes and answers."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from coursesignal.plugin import SourcesReport
from coursesignal_launches.phases import Phase, Status

__all__ = ["Phase", "Status"]

LINE = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
Title = Annotated[str, Meta(min_length=1, max_length=200, pattern=LINE)]
Description = Annotated[str, Meta(max_length=5000, pattern=r"^[^\x00]*$")]
Products = Annotated[tuple[Title, ...], Meta(max_length=50)]
RevenueGoal = Annotated[int, Meta(ge=1, le=10**15)]
SalesGoal = Annotated[int, Meta(ge=1, le=10_000_000)]


class In(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Base class of what is sent."""


class Out(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base class of what is answered."""


class NewLaunch(In, frozen=True, kw_only=True):
    """A launch to create; its cart is open from ``starts_at`` up to, not including, ``ends_at``.

    Times without an offset are those of the tenant's zone. ``last_day_at`` is a day before the end without, and null for none.
    """

    title: Title
    starts_at: datetime
    ends_at: datetime
    description: Description = ""
    prelaunch_at: datetime | None = None
    last_day_at: datetime | UnsetType | None = UNSET
    post_ends_at: datetime | None = None
    revenue_goal_minor: RevenueGoal | None = None
    sales_goal: SalesGoal | None = None
    products: Products = ()


class LaunchChange(In, frozen=True, kw_only=True):
    """Only what is given changes."""

    title: Title | UnsetType = UNSET
    starts_at: datetime | UnsetType = UNSET
    ends_at: datetime | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    prelaunch_at: datetime | UnsetType | None = UNSET
    last_day_at: datetime | UnsetType | None = UNSET
    post_ends_at: datetime | UnsetType | None = UNSET
    revenue_goal_minor: RevenueGoal | UnsetType | None = UNSET
    sales_goal: SalesGoal | UnsetType | None = UNSET
    products: Products | UnsetType = UNSET


class Copy(In, frozen=True, kw_only=True):
    """What the copy has of its own; without a start it begins when the original ends, on the same weekday and time."""

    title: Title | None = None
    starts_at: datetime | None = None


class Pin(In, frozen=True, kw_only=True):
    """The launch a purchase counts for whatever its date; null for none."""

    launch_id: UUID | None = None


class ShareForm(In, frozen=True, kw_only=True):
    """How a launch is shared."""

    password: str = ""
    expires_at: datetime | None = None


class Password(In, frozen=True, kw_only=True):
    """What opens a link."""

    password: str = ""


class Launch(Out, frozen=True, kw_only=True):
    """A launch; ``status`` and ``phase`` are as of now."""

    id: UUID
    title: str
    description: str
    starts_at: datetime
    ends_at: datetime
    prelaunch_at: datetime | None
    last_day_at: datetime | None
    post_ends_at: datetime | None
    revenue_goal_minor: int | None
    sales_goal: int | None
    products: tuple[str, ...]
    status: Status
    phase: Phase | None
    archived: bool
    created_at: datetime


class LaunchPage(Out, frozen=True, kw_only=True):
    """One page of launches."""

    items: tuple[Launch, ...]
    page: int
    limit: int
    total: int


class SourceShare(Out, frozen=True, kw_only=True):
    """What one source brought to a launch, net of refunds."""

    source: str
    channel: str
    revenue_minor: int
    purchases: int


class Figures(Out, frozen=True, kw_only=True):
    """A launch on one card: the money of its purchases charged up to its end, less all that went back of it since.

    ``later_minor`` is what its purchases brought after the end, by instalments and renewals; it is not part of the rest.
    """

    currency: str
    revenue_minor: int
    refunded_minor: int
    net_revenue_minor: int
    later_minor: int
    purchases: int
    students: int
    average_order_minor: int | None
    visitors: int
    conversion_rate: float | None


class Results(Figures, frozen=True, kw_only=True):
    """What a launch brought under the tenant's default model; so far, while it runs."""

    model: str
    unattributed_minor: int
    sources: tuple[SourceShare, ...]


class LaunchDetail(Launch, frozen=True, kw_only=True):
    """A launch with its results; None before it starts."""

    results: Results | None


class Day(Out, frozen=True, kw_only=True):
    """A day of the tenant's zone."""

    date: date
    revenue_minor: int
    refunded_minor: int
    net_revenue_minor: int
    purchases: int


class Hour(Out, frozen=True, kw_only=True):
    """An hour since the cart opened, 0 being the first; money is net."""

    hour: int
    net_revenue_minor: int
    purchases: int
    cumulative_minor: int
    cumulative_purchases: int


class PhaseShare(Out, frozen=True, kw_only=True):
    """What came in one phase."""

    phase: Phase
    starts_at: datetime | None
    ends_at: datetime | None
    visitors: int
    purchases: int
    net_revenue_minor: int


class Goal(Out, frozen=True, kw_only=True):
    """How far a goal is, beside a pace that is the same every hour from start to end."""

    goal: int
    so_far: int
    progress: float
    """Percent of the goal."""
    expected: int
    """What an even pace would have reached by now."""
    pace: Literal["ahead", "on_pace", "behind", "reached", "missed", "not_started"]
    projected: int | None
    """At the end, when it goes on as up to now; None before the start and after the end."""


class Goals(Out, frozen=True, kw_only=True):
    """Those that were set."""

    revenue: Goal | None
    sales: Goal | None


class Cohort(Out, frozen=True, kw_only=True):
    """Buyers who have something in common."""

    students: int
    purchases: int
    net_revenue_minor: int
    average_order_minor: int | None


class WarmUp(Out, frozen=True, kw_only=True):
    """Who had been seen before the cart opened: the list; who came during the launch; and who was never seen."""

    list: Cohort
    newcomers: Cohort
    unseen: Cohort


class OtherCurrency(Out, frozen=True, kw_only=True):
    """What came in in another currency; never added."""

    currency: str
    net_revenue_minor: int
    purchases: int


class Correction(Out, frozen=True, kw_only=True):
    """A change of results that had been final."""

    at: datetime
    reason: str
    net_before_minor: int
    net_after_minor: int
    purchases_before: int
    purchases_after: int


class LaunchAnalytics(Out, frozen=True, kw_only=True):
    """A launch's results.

    ``frozen_at`` says since when those of a completed launch stay, ``corrections`` what changed them since.
    """

    launch: Launch
    as_of: datetime
    frozen_at: datetime | None
    corrections: tuple[Correction, ...]
    figures: Figures
    match_rate: float | None
    other_currencies: tuple[OtherCurrency, ...]
    goals: Goals
    days: tuple[Day, ...]
    hours: tuple[Hour, ...]
    phases: tuple[PhaseShare, ...]
    warm_up: WarmUp
    attribution: SourcesReport
    models: tuple[str, ...]


class LastHour(Out, frozen=True, kw_only=True):
    """Of the last 60 minutes; ``visitors_now`` were seen in the last five."""

    purchases: int
    net_revenue_minor: int
    visitors_now: int


class LiveStats(Out, frozen=True, kw_only=True):
    """A launch at this moment."""

    launch_id: UUID
    status: Status
    phase: Phase | None
    as_of: datetime
    seconds_left: int
    figures: Figures
    last_hour: LastHour
    goals: Goals


class ComparedLaunch(Out, frozen=True, kw_only=True):
    """One of the launches compared; ``hours`` since its cart opened, up to now or its end."""

    launch: Launch
    figures: Figures
    hours: tuple[Hour, ...]


class Comparison(Out, frozen=True, kw_only=True):
    """Launches beside each other, aligned by the hour since each opened."""

    currency: str
    hours: int
    """Of the longest."""
    launches: tuple[ComparedLaunch, ...]


class Suggestion(Out, frozen=True, kw_only=True):
    """A stretch of days with far more orders than usual that no launch covers."""

    starts_at: datetime
    ends_at: datetime
    purchases: int
    usual_purchases: float
    """In as many usual days."""
    revenue_minor: int
    currency: str
    title: str


class Suggestions(Out, frozen=True, kw_only=True):
    """Newest first; ``hint`` says why there are none."""

    items: tuple[Suggestion, ...]
    hint: str | None


class Assigned(Out, frozen=True, kw_only=True):
    """A purchase of a launch."""

    id: UUID
    purchased_at: datetime
    product: str
    currency: str
    net_revenue_minor: int
    pinned: bool


class AssignedPage(Out, frozen=True, kw_only=True):
    """The launch's purchases, newest first."""

    items: tuple[Assigned, ...]
    total: int


class Shared(Out, frozen=True, kw_only=True):
    """A link, told once."""

    share_token: str
    share_url: str
    page_url: str
    has_password: bool
    expires_at: datetime | None


class Views(Out, frozen=True, kw_only=True):
    """How often the launch's links were opened; nobody knows by whom."""

    shared: bool
    has_password: bool
    expires_at: datetime | None
    views: int
    last_viewed_at: datetime | None
    days: tuple[dict[str, Any], ...]


class RecapSource(Out, frozen=True, kw_only=True):
    """A source's part of the net revenue."""

    source: str
    share: float | None


class Recap(Out, frozen=True, kw_only=True):
    """What a shared launch shows: sums, and nothing of anybody."""

    title: str
    description: str
    tenant: str
    status: Status
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    figures: Figures
    goals: Goals
    days: tuple[Day, ...]
    phases: tuple[PhaseShare, ...]
    sources: tuple[RecapSource, ...]
