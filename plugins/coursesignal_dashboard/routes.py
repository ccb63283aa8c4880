"""The pages below /app/{tenant}/dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from litestar import MediaType, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from coursesignal.plugin import Context, NoSettings, NotFound, PluginError, Routes, Shell, SourcesReport
from coursesignal_dashboard.chart import draw
from coursesignal_dashboard.pages import asset, page
from coursesignal_dashboard.periods import RANGES, RangeParam, known
from coursesignal_dashboard.report_pages import REPORTS

Ctx = NamedDependency[Context[NoSettings]]
Around = NamedDependency[Shell]
SORTS: dict[str, str] = {
    "revenue_minor": "Revenue",
    "visitors": "Visitors",
    "purchases": "Purchases",
    "students": "Students",
    "conversion_rate": "Conversion",
    "average_order_minor": "Average order",
    "revenue_per_visitor_minor": "Per visitor",
}
"""Columns of the table of sources, by field."""
ASSETS = {"panels.js": "text/javascript"}
RECENT = 10


@get("/", operation_id="dashboard_overview", summary="The overview", media_type=MediaType.HTML, include_in_schema=False)
async def overview(ctx: Ctx, shell: Around, range_: RangeParam = "30d", sort: FromQuery[str] = "revenue_minor") -> str:
    period = known(range_)
    summary = await ctx.reports.summary(period)
    sources = await ctx.reports.sources(period)
    return await page(
        "overview.html", ctx, shell,
        title="Dashboard",
        range=period,
        ranges=RANGES,
        summary=summary,
        sources=sources,
        rows=_sorted(sources, sort),
        sort=sort if sort in SORTS else "revenue_minor",
        sorts=SORTS,
        chart=draw(await ctx.reports.daily_revenue(period)),
        recent=(await ctx.reports.recent_purchases(limit=RECENT)).items,
        setup=await ctx.reports.setup(),
        base_url=shell.base_url,
        panels=await shell.panels("overview"),
    )  # fmt: skip


@get(
    "/source", operation_id="dashboard_source", summary="One source", media_type=MediaType.HTML, include_in_schema=False
)
async def source_page(ctx: Ctx, shell: Around, name: FromQuery[str], range_: RangeParam = "30d") -> str:
    period = known(range_)
    report = await ctx.reports.drilldown(name, period)
    return await page(
        "source.html", ctx, shell,
        title=name or "Source",
        range=period,
        ranges=RANGES,
        report=report,
        sorts=SORTS,
        panels=await shell.panels("channel"),
    )  # fmt: skip


@get(
    "/purchases",
    operation_id="dashboard_purchases",
    summary="All purchases",
    media_type=MediaType.HTML,
    include_in_schema=False,
)
async def purchases_page(ctx: Ctx, shell: Around, cursor: FromQuery[str] = "") -> str:
    found = await ctx.reports.recent_purchases(limit=50, cursor=cursor)
    return await page("purchases.html", ctx, shell, title="Purchases", found=found, first=not cursor)


@get(
    "/purchases/{purchase_id:uuid}", operation_id="dashboard_purchase", summary="One purchase", media_type=MediaType.HTML,
    include_in_schema=False,
)  # fmt: skip
async def purchase_page(ctx: Ctx, shell: Around, purchase_id: FromPath[UUID]) -> str:
    purchase = await ctx.reports.purchase(purchase_id)
    panels = await shell.panels("purchase")
    return await page("purchase.html", ctx, shell, title="Purchase", purchase=purchase, panels=panels)


@get(
    "/panels/{plugin:str}/{slug:str}",
    operation_id="dashboard_panel",
    summary="A plugin's panel",
    include_in_schema=False,
)
async def panel(shell: Around, plugin: FromPath[str], slug: FromPath[str]) -> Response[str]:
    """The panel alone, so that a slow or broken one holds up nothing else."""
    try:
        html, status = await shell.panel(plugin, slug), 200
    except PluginError:
        html, status = (
            '<p class="empty">This part is not available right now. The rest of the page is not affected.</p>',
            503,
        )
    return Response(html, status_code=status, media_type=MediaType.HTML)


@get("/{name:str}", operation_id="dashboard_asset", summary="The script of the pages", include_in_schema=False)
async def assets(name: FromPath[str]) -> Response[Any]:
    """The script that loads panels; any other name is no page."""
    if name not in ASSETS:
        raise NotFound()
    return Response(asset(name), media_type=ASSETS[name], headers={"cache-control": "private, max-age=300"})


def _sorted(report: SourcesReport, sort: str) -> Sequence[Any]:
    """The rows with the most of ``sort`` first; what has none last."""
    if sort not in SORTS or sort == "revenue_minor":
        return report.rows
    return sorted(report.rows, key=lambda row: -(getattr(row, sort) or 0))


ROUTES = [
    Routes(handlers=[overview, source_page, purchases_page, purchase_page, *REPORTS, panel, assets], area="dashboard"),
]
