"""The reports of one tenant as plugins read them: ``ctx.reports``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from coursesignal.analytics import (
    cohorts,
    compare,
    content,
    coverage,
    daily,
    funnel,
    goal_report,
    journey,
    journeys,
    lifetime,
    plans,
    products,
    purchases,
    returning,
    self_reported,
    setup,
    sources,
    students,
    summary,
)
from coursesignal.analytics.months import Interval, fitting
from coursesignal.analytics.orders import Orders
from coursesignal.analytics.period import given
from coursesignal.analytics.reading import Reading, reading, snapshot
from coursesignal.db.engine import Database
from coursesignal.plugin import AttributionModel, Tenant
from coursesignal.reports import (
    CohortReport,
    ContentReport,
    CoverageReport,
    DailyReport,
    DrilldownReport,
    FunnelReport,
    GoalReport,
    JourneysReport,
    LifetimeReport,
    ModelComparison,
    NewReturningReport,
    PlansReport,
    ProductsReport,
    PurchaseDetail,
    RecentPurchases,
    ReportPeriod,
    SelfReportedReport,
    SetupState,
    SourcesReport,
    StudentsReport,
    Summary,
)


class Reports:
    """Implements :class:`coursesignal.reports.Reports`."""

    def __init__(
        self, db: Database, tenant: Tenant, models: Mapping[str, AttributionModel], orders: Orders | None = None
    ) -> None:
        self._db = db
        self._tenant = tenant
        self._models = models
        self._orders = orders

    def of_purchases(self, purchase_ids: Sequence[UUID], *, within: tuple[datetime, datetime]) -> Reports:
        return Reports(self._db, self._tenant, self._models, Orders(tuple(purchase_ids), *within))

    async def summary(self, period: ReportPeriod = "30d", *, model: str = "", source: str = "") -> Summary:
        async with self._about(period, model) as about:
            return await summary.summarise(about, source)

    async def sources(self, period: ReportPeriod = "30d", *, model: str = "") -> SourcesReport:
        async with self._about(period, model) as about:
            return await sources.by_source(about)

    async def drilldown(self, source: str, period: ReportPeriod = "30d", *, model: str = "") -> DrilldownReport:
        async with self._about(period, model) as about:
            return await sources.of_source(about, source)

    async def daily_revenue(self, period: ReportPeriod = "30d") -> DailyReport:
        async with self._about(period) as about:
            return await daily.by_day(about)

    async def recent_purchases(self, *, limit: int = 20, cursor: str = "", model: str = "") -> RecentPurchases:
        async with self._about("all", model) as about:
            return await purchases.recent(about, limit=limit, cursor=cursor)

    async def purchase(self, purchase_id: UUID) -> PurchaseDetail:
        async with reading(self._db, self._tenant, self._models) as about:
            return await journey.purchase(about, purchase_id, self._models)

    async def compare(self, period: ReportPeriod = "30d", *, by: compare.By = "source") -> ModelComparison:
        async with self._about(period, every_model=True) as about:
            return await compare.compare(about, self._models, by)

    async def students(
        self,
        period: ReportPeriod = "30d",
        *,
        sort: students.Sort = "lastPurchase",
        order: students.Order = "desc",
        limit: int = 50,
        cursor: str = "",
        source: str = "",
        model: str = "",
    ) -> StudentsReport:
        async with self._about(period, model) as about:
            return await students.students(about, sort=sort, order=order, limit=limit, cursor=cursor, source=source)

    async def lifetime_value(
        self, period: ReportPeriod = "all", *, by: lifetime.By = "source", model: str = ""
    ) -> LifetimeReport:
        async with self._about(period, model) as about:
            return await lifetime.lifetime_value(about, by)

    async def cohorts(
        self, period: ReportPeriod = "all", *, source: str = "", channel: str = "", model: str = ""
    ) -> CohortReport:
        async with self._about(period, model) as about:
            return await cohorts.cohorts(about, source=source, channel=channel)

    async def new_returning(
        self, period: ReportPeriod = "30d", *, interval: Interval | None = None, model: str = ""
    ) -> NewReturningReport:
        async with self._about(period, model) as about:
            return await returning.new_and_returning(about, interval or fitting(about.period))

    async def funnel(self, period: ReportPeriod = "30d", *, by: funnel.By = "source", model: str = "") -> FunnelReport:
        async with self._about(period, model) as about:
            return await funnel.funnel(about, by)

    async def journeys(
        self, period: ReportPeriod = "30d", *, by: journeys.By = "channel", limit: int = 20
    ) -> JourneysReport:
        purchases.check_limit(limit)
        async with self._about(period, journeys.WHOLE_PATH_MODEL) as about:
            return await journeys.journeys(about, by, limit)

    async def content(
        self, period: ReportPeriod = "30d", *, by: content.By = "landing", limit: int = 100, model: str = ""
    ) -> ContentReport:
        purchases.check_limit(limit)
        async with self._about(period, model) as about:
            return await content.content(about, by, limit)

    async def coverage(self, period: ReportPeriod = "30d", *, model: str = "") -> CoverageReport:
        async with self._about(period, model) as about:
            return await coverage.coverage(about)

    async def goals(self, period: ReportPeriod = "30d") -> GoalReport:
        async with self._about(period) as about:
            return await goal_report.report(about)

    async def self_reported(self, period: ReportPeriod = "30d", *, model: str = "") -> SelfReportedReport:
        async with self._about(period, model) as about:
            return await self_reported.self_reported(about)

    async def plans(self, period: ReportPeriod = "all", *, limit: int = 50) -> PlansReport:
        purchases.check_limit(limit)
        async with self._about(period) as about:
            return await plans.plans(about, limit)

    async def products(self, period: ReportPeriod = "30d", *, model: str = "") -> ProductsReport:
        async with self._about(period, model) as about:
            return await products.products(about)

    async def setup(self) -> SetupState:
        async with snapshot(self._db, self._tenant) as conn:
            return await setup.state(conn, self._tenant.id)

    def _about(
        self, period: ReportPeriod, model: str = "", *, every_model: bool = False
    ) -> AbstractAsyncContextManager[Reading]:
        wanted = given(period, ZoneInfo(self._tenant.time_zone), datetime.now(UTC))
        return reading(
            self._db, self._tenant, self._models, wanted, model, every_model=every_model, orders=self._orders
        )
