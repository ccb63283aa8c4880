"""What ``ctx.reports`` can be asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from coursesignal.reports.base import ReportPeriod
from coursesignal.reports.behaviour import ContentReport, CoverageReport, FunnelReport, JourneysReport
from coursesignal.reports.claims import SelfReportedReport
from coursesignal.reports.comparison import ModelComparison
from coursesignal.reports.goals import GoalReport
from coursesignal.reports.plans import PlansReport, ProductsReport
from coursesignal.reports.purchases import PurchaseDetail, RecentPurchases
from coursesignal.reports.revenue import DailyReport, DrilldownReport, SourcesReport, Summary
from coursesignal.reports.setup import SetupState
from coursesignal.reports.students import CohortReport, LifetimeReport, NewReturningReport, StudentsReport


class Reports(Protocol):
    """Read one tenant's numbers: the same ones, by the same code, as ``/api/analytics``.

    ``model`` is a slug of an attribution model; empty means the tenant's default. Each call reads one consistent state of the
    database. Raises Invalid for an unknown model or a period that is none, Busy when a report takes longer than 5 s.
    """

    def of_purchases(self, purchase_ids: Sequence[UUID], *, within: tuple[datetime, datetime]) -> Reports:
        """The same reports about these purchases alone, such as those of a launch; visits stay what they are.

        Their money counts at their order, at the edge of the window ``within`` for orders outside of it: sales always, renewals
        and instalments charged before the window's end, and what goes back of these however much later.
        """
        ...

    async def summary(self, period: ReportPeriod = "30d", *, model: str = "", source: str = "") -> Summary: ...
    async def sources(self, period: ReportPeriod = "30d", *, model: str = "") -> SourcesReport: ...
    async def drilldown(self, source: str, period: ReportPeriod = "30d", *, model: str = "") -> DrilldownReport: ...
    async def daily_revenue(self, period: ReportPeriod = "30d") -> DailyReport: ...
    async def recent_purchases(self, *, limit: int = 20, cursor: str = "", model: str = "") -> RecentPurchases: ...
    async def purchase(self, purchase_id: UUID) -> PurchaseDetail:
        """Raises NotFound for an id the tenant does not have."""
        ...

    async def compare(
        self, period: ReportPeriod = "30d", *, by: Literal["source", "channel"] = "source"
    ) -> ModelComparison:
        """Every model beside every other."""
        ...

    async def students(
        self,
        period: ReportPeriod = "30d",
        *,
        sort: Literal["lastPurchase", "firstPurchase", "lifetimeValue", "purchases"] = "lastPurchase",
        order: Literal["desc", "asc"] = "desc",
        limit: int = 50,
        cursor: str = "",
        source: str = "",
        model: str = "",
    ) -> StudentsReport:
        """Everybody who paid in the period, or of them those whose first purchase is credited to ``source``."""
        ...

    async def lifetime_value(
        self, period: ReportPeriod = "all", *, by: Literal["source", "channel", "campaign"] = "source", model: str = ""
    ) -> LifetimeReport:
        """Of students who bought for the first time in the period."""
        ...

    async def cohorts(
        self, period: ReportPeriod = "all", *, source: str = "", channel: str = "", model: str = ""
    ) -> CohortReport:
        """Of students who bought for the first time in the period."""
        ...

    async def new_returning(
        self, period: ReportPeriod = "30d", *, interval: Literal["day", "week", "month"] | None = None, model: str = ""
    ) -> NewReturningReport:
        """``interval`` is what suits the period without."""
        ...

    async def funnel(
        self, period: ReportPeriod = "30d", *, by: Literal["source", "channel"] = "source", model: str = ""
    ) -> FunnelReport: ...
    async def journeys(
        self, period: ReportPeriod = "30d", *, by: Literal["channel", "source", "campaign"] = "channel", limit: int = 20
    ) -> JourneysReport:
        """The same under every model."""
        ...

    async def content(
        self,
        period: ReportPeriod = "30d",
        *,
        by: Literal["landing", "campaign", "content", "referrer"] = "landing",
        limit: int = 100,
        model: str = "",
    ) -> ContentReport: ...
    async def coverage(self, period: ReportPeriod = "30d", *, model: str = "") -> CoverageReport: ...
    async def goals(self, period: ReportPeriod = "30d") -> GoalReport: ...
    async def self_reported(self, period: ReportPeriod = "30d", *, model: str = "") -> SelfReportedReport: ...
    async def plans(self, period: ReportPeriod = "all", *, limit: int = 50) -> PlansReport:
        """Of purchases made in the period, as they are now."""
        ...

    async def products(self, period: ReportPeriod = "30d", *, model: str = "") -> ProductsReport: ...
    async def setup(self) -> SetupState: ...
