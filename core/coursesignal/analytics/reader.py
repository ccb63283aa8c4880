"""The reports of one tenant as plugins read them: ``ctx.reports``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from coursesignal.analytics import daily, journey, purchases, setup, sources, summary
from coursesignal.analytics.period import Wanted, given
from coursesignal.analytics.reading import reading, snapshot
from coursesignal.db.engine import Database
from coursesignal.plugin import AttributionModel, Tenant
from coursesignal.reports import (
    DailyReport,
    DrilldownReport,
    PurchaseDetail,
    RecentPurchases,
    ReportPeriod,
    SetupState,
    SourcesReport,
    Summary,
)


class Reports:
    """Implements :class:`coursesignal.reports.Reports`."""

    def __init__(self, db: Database, tenant: Tenant, models: Mapping[str, AttributionModel]) -> None:
        self._db = db
        self._tenant = tenant
        self._models = models

    async def summary(self, period: ReportPeriod = "30d", *, model: str = "", source: str = "") -> Summary:
        async with reading(self._db, self._tenant, self._models, self._wanted(period), model) as about:
            return await summary.summarise(about, source)

    async def sources(self, period: ReportPeriod = "30d", *, model: str = "") -> SourcesReport:
        async with reading(self._db, self._tenant, self._models, self._wanted(period), model) as about:
            return await sources.by_source(about)

    async def drilldown(self, source: str, period: ReportPeriod = "30d", *, model: str = "") -> DrilldownReport:
        async with reading(self._db, self._tenant, self._models, self._wanted(period), model) as about:
            return await sources.of_source(about, source)

    async def daily_revenue(self, period: ReportPeriod = "30d") -> DailyReport:
        async with reading(self._db, self._tenant, self._models, self._wanted(period)) as about:
            return await daily.by_day(about)

    async def recent_purchases(self, *, limit: int = 20, cursor: str = "", model: str = "") -> RecentPurchases:
        async with reading(self._db, self._tenant, self._models, "all", model) as about:
            return await purchases.recent(about, limit=limit, cursor=cursor)

    async def purchase(self, purchase_id: UUID) -> PurchaseDetail:
        async with reading(self._db, self._tenant, self._models) as about:
            return await journey.purchase(about, purchase_id, self._models)

    async def setup(self) -> SetupState:
        async with snapshot(self._db, self._tenant) as conn:
            return await setup.state(conn, self._tenant.id)

    def _wanted(self, period: ReportPeriod) -> Wanted:
        return given(period, ZoneInfo(self._tenant.time_zone), datetime.now(UTC))
