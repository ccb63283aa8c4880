"""/api/analytics: the reports over HTTP, for viewers and for API keys that may read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal
from urllib.parse import unquote
from uuid import UUID

from litestar import Request, Response, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, QueryParameter

from coursesignal.analytics import catalogue, daily, journey, purchases, reconciliation, sources, summary, visits
from coursesignal.analytics.asking import Ask, ModelParam, Models, report_router
from coursesignal.analytics.compare import compare
from coursesignal.analytics.export import FORMATS, MEDIA_TYPE, export
from coursesignal.analytics.exportable import EXPORTABLE, Query, exportable
from coursesignal.analytics.ledger import Row, ledger
from coursesignal.analytics.rate_routes import HANDLERS as RATES
from coursesignal.analytics.reading import reading
from coursesignal.analytics.schemas import Ledger, ModelInfo, Reconciliation
from coursesignal.analytics.segment_routes import HANDLERS as SEGMENTS
from coursesignal.analytics.visit_schemas import By, DailyVisits
from coursesignal.db.engine import Database
from coursesignal.errors import FieldError, Invalid
from coursesignal.plugin import Exporter, Tenant
from coursesignal.reports import (
    DailyReport,
    DrilldownReport,
    ModelComparison,
    PurchaseDetail,
    RecentPurchases,
    SourcesReport,
    Summary,
)

SourceParam = Annotated[str, QueryParameter(description="Only what is credited to this source.")]
RowParam = Annotated[str | None, QueryParameter(description="Of a credited touch; empty is a value.")]
LimitParam = Annotated[int, QueryParameter(description="1 to 200.")]
CursorParam = Annotated[str, QueryParameter(description="nextCursor of the page before.")]


@get("/summary", summary="The period on one card", operation_id="analyticsSummary")
async def get_summary(
    ask: NamedDependency[Ask],
    source: SourceParam = "",
) -> Summary:
    async with ask.reading() as about:
        return await summary.summarise(about, source)


@get("/sources", summary="Revenue by source", operation_id="analyticsSources")
async def get_sources(
    ask: NamedDependency[Ask],
) -> SourcesReport:
    async with ask.reading() as about:
        return await sources.by_source(about)


@get(
    "/drilldown/{source:path}", summary="One source by medium, campaign and content", operation_id="analyticsDrilldown"
)
async def get_drilldown(
    request: Request[Any, Any, Any],
    source: FromPath[str],
    ask: NamedDependency[Ask],
) -> DrilldownReport:
    async with ask.reading() as about:
        return await sources.of_source(about, _literal(request, source))


@get("/recent-purchases", summary="Purchases, newest first", operation_id="analyticsRecentPurchases")
async def get_recent_purchases(
    request: Request[Any, Any, Any],
    ask: NamedDependency[Ask],
    limit: LimitParam = 20,
    cursor: CursorParam = "",
) -> RecentPurchases:
    """All there are, unless the query asks for a period."""
    narrowed = ask if {"range", "from", "to"} & request.query_params.keys() else replace(ask, wanted="all")
    async with narrowed.reading() as about:
        return await purchases.recent(about, limit=limit, cursor=cursor)


@get("/daily-revenue", summary="Revenue of every day", operation_id="analyticsDailyRevenue")
async def get_daily_revenue(
    ask: NamedDependency[Ask],
) -> DailyReport:
    async with ask.reading() as about:
        return await daily.by_day(about)


@get("/daily-visits", summary="Visits of every day", operation_id="analyticsDailyVisits")
async def get_daily_visits(
    ask: NamedDependency[Ask],
    by: Annotated[
        By, QueryParameter(description="What the rows are: channel, source, medium or campaign.")
    ] = "channel",
    limit: LimitParam = 50,
) -> DailyVisits:
    purchases.check_limit(limit)
    async with ask.reading() as about:
        return await visits.daily_visits(about, by, limit)


@get(
    "/purchases/{purchase_id:uuid}", summary="One purchase and why it was credited so", operation_id="analyticsPurchase"
)
async def get_purchase(
    purchase_id: FromPath[UUID],
    db: NamedDependency[Database],
    tenant: NamedDependency[Tenant],
    models: NamedDependency[Models],
    model: ModelParam = "",
) -> PurchaseDetail:
    async with reading(db, tenant, models, "all", model) as about:
        return await journey.purchase(about, purchase_id, models)


async def provide_row(
    source: Annotated[str, QueryParameter(description="What a credited touch came from.")] = "",
    channel: RowParam = None,
    medium: RowParam = None,
    campaign: RowParam = None,
    content: RowParam = None,
    landing: Annotated[str | None, QueryParameter(description="The path a credited touch arrived at.")] = None,
    platform: Annotated[str | None, QueryParameter(description="Of the purchase.")] = None,
    product: Annotated[str | None, QueryParameter(description="Of the purchase.")] = None,
    person: Annotated[UUID | None, QueryParameter(description="Who bought: an id of a person.")] = None,
    unattributed: Annotated[bool, QueryParameter(description="Only what the model credits to no touch.")] = False,
) -> Row:
    """The row of a report that is opened."""
    return Row(source or None, channel, medium, campaign, content, landing, platform, product, person, unattributed)


@get(
    "/ledger",
    summary="The purchases behind a number, with their credits and the reasons",
    operation_id="analyticsLedger",
    dependencies={"row": Provide(provide_row)},
)
async def get_ledger(
    ask: NamedDependency[Ask],
    row: NamedDependency[Row],
    day: Annotated[str | None, QueryParameter(description="One day, YYYY-MM-DD, instead of a period.")] = None,
    limit: LimitParam = 50,
    cursor: CursorParam = "",
) -> Ledger:
    purchases.check_limit(limit)
    async with (ask if day is None else ask.of_day(day)).reading() as about:
        return await ledger(about, limit=limit, cursor=cursor, row=row)


@get("/reconciliation", summary="Do the credits add up to the money?", operation_id="analyticsReconciliation")
async def get_reconciliation(
    ask: NamedDependency[Ask],
) -> Reconciliation:
    async with ask.reading() as about:
        return await reconciliation.reconcile(about)


@get("/models", summary="The attribution models in use", operation_id="analyticsModels")
async def get_models(
    db: NamedDependency[Database], tenant: NamedDependency[Tenant], models: NamedDependency[Models]
) -> list[ModelInfo]:
    """The tenant's default first."""
    async with reading(db, tenant, models) as about:
        return await catalogue.in_use(about, models)


@get("/models/compare", summary="Revenue by source or channel under each model", operation_id="analyticsCompareModels")
async def compare_models(
    ask: NamedDependency[Ask],
    by: Annotated[Literal["source", "channel"], QueryParameter(description="source or channel.")] = "source",
) -> ModelComparison:
    async with ask.reading(every_model=True) as about:
        return await compare(about, ask.models, by)


@get(
    "/export",
    summary="Any report as a file",
    operation_id="analyticsExport",
    media_type=MEDIA_TYPE,
    dependencies={"row": Provide(provide_row)},
)
async def get_export(
    request: Request[Any, Any, Any],
    ask: NamedDependency[Ask],
    row: NamedDependency[Row],
    exporters: NamedDependency[Mapping[str, Exporter]],
    report: Annotated[str, QueryParameter(description=f"{', '.join(EXPORTABLE)}.")] = "sources",
    file_format: Annotated[
        str, QueryParameter(name="format", description="csv, json, or a format of a plugin.")
    ] = "csv",
) -> Response[bytes]:
    """CSV has decimal amounts in UTF-8; text that a spreadsheet would run as a formula is defused."""
    exporter = None if file_format in FORMATS else exporters.get(file_format)
    if exporter is None and file_format not in FORMATS:
        known = ", ".join([*FORMATS, *sorted(exporters)])
        raise Invalid("There is no such file format.", errors=[FieldError("format", f"Must be one of {known}.")])
    query = Query({name: str(value) for name, value in request.query_params.items()}, row)
    async with ask.reading(every_model=exportable(report).every_model) as about:
        file = await export(about, report, query, exporter, file_format)
    headers = {"content-disposition": f'attachment; filename="{file.name}"', "cache-control": "no-store"}
    return Response(file.content, media_type=file.media_type, headers=headers)


def _literal(request: Request[Any, Any, Any], source: str) -> str:
    """The source exactly as the path spells it; the router's own value has lost doubled and trailing slashes."""
    raw: bytes | None = request.scope.get("raw_path")
    _, found, rest = (raw or b"").partition(b"/drilldown/")
    return unquote(rest.split(b"?")[0].decode("ascii", "replace")) if found else source.removeprefix("/")


ROUTES = [
    report_router(
        [
            get_summary, get_sources, get_drilldown, get_recent_purchases, get_daily_revenue, get_daily_visits, get_purchase,
            get_ledger, get_reconciliation, get_models, compare_models, get_export, *SEGMENTS, *RATES,
        ]
    )
]  # fmt: skip
