"""The pages of single reports: models side by side, funnel, journeys, content, students, products, goals, coverage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import MediaType, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from coursesignal.plugin import Context, NoSettings, Shell
from coursesignal_dashboard.pages import page
from coursesignal_dashboard.periods import RANGES, RangeParam, known
from coursesignal_dashboard.spans import spans
from coursesignal_dashboard.triangle import Figure, triangle

Ctx = NamedDependency[Context[NoSettings]]
Around = NamedDependency[Shell]
SHOWN = 25
HTML: dict[str, Any] = {"media_type": MediaType.HTML, "include_in_schema": False}


@get("/models", operation_id="dashboard_models", summary="The models side by side", **HTML)
async def models_page(ctx: Ctx, shell: Around, range_: RangeParam = "30d") -> str:
    """What each channel brought by every model: the wider the line, the more the choice of a model matters."""
    period = known(range_)
    report = await ctx.reports.compare(period, by="channel")
    own = (await ctx.reports.summary(period)).model
    return await page(
        "models.html", ctx, shell, title="Models side by side", range=period, ranges=RANGES, report=report,
        spans=spans(report, own), own=own,
    )  # fmt: skip


@get("/funnel", operation_id="dashboard_funnel", summary="From visit to sale", **HTML)
async def funnel_page(
    ctx: Ctx,
    shell: Around,
    range_: RangeParam = "30d",
    by: Annotated[Literal["source", "channel"], QueryParameter()] = "source",
) -> str:
    report = await ctx.reports.funnel(known(range_), by=by)
    return await page(
        "funnel.html", ctx, shell, title="Funnel", range=range_, ranges=RANGES, report=report, by=by, shown=SHOWN,
        choices=(("source", "By source"), ("channel", "By channel")),
    )  # fmt: skip


@get("/journeys", operation_id="dashboard_journeys", summary="The ways to a purchase", **HTML)
async def journeys_page(
    ctx: Ctx,
    shell: Around,
    range_: RangeParam = "30d",
    by: Annotated[Literal["channel", "source", "campaign"], QueryParameter()] = "channel",
) -> str:
    report = await ctx.reports.journeys(known(range_), by=by, limit=SHOWN)
    return await page(
        "journeys.html", ctx, shell, title="Journeys", range=range_, ranges=RANGES, report=report, by=by,
        choices=(("channel", "Channels"), ("source", "Sources"), ("campaign", "Campaigns")),
    )  # fmt: skip


@get("/content", operation_id="dashboard_content", summary="What each page and link brought", **HTML)
async def content_page(
    ctx: Ctx,
    shell: Around,
    range_: RangeParam = "30d",
    by: Annotated[Literal["landing", "campaign", "content", "referrer"], QueryParameter()] = "landing",
) -> str:
    report = await ctx.reports.content(known(range_), by=by, limit=SHOWN)
    return await page(
        "content.html", ctx, shell, title="Content", range=range_, ranges=RANGES, report=report, by=by,
        choices=(
            ("landing", "Landing pages"), ("campaign", "Campaigns"), ("content", "Links"), ("referrer", "Referring pages"),
        ),
    )  # fmt: skip


@get("/students", operation_id="dashboard_students", summary="What students are worth", **HTML)
async def students_page(
    ctx: Ctx, shell: Around, range_: RangeParam = "all", show: Annotated[Figure, QueryParameter()] = "value"
) -> str:
    period = known(range_)
    cohorts = await ctx.reports.cohorts(period)
    return await page(
        "students.html", ctx, shell, title="Students", range=period, ranges=RANGES, cohorts=cohorts,
        lines=triangle(cohorts, show), lifetime=await ctx.reports.lifetime_value(period), shown=SHOWN, show=show,
        choices=(("value", "Value per student"), ("active", "Who paid again")),
    )  # fmt: skip


@get("/coverage", operation_id="dashboard_coverage", summary="What is known of each sale", **HTML)
async def coverage_page(ctx: Ctx, shell: Around, range_: RangeParam = "30d") -> str:
    report = await ctx.reports.coverage(known(range_))
    return await page("coverage.html", ctx, shell, title="Coverage", range=range_, ranges=RANGES, report=report)


@get("/products", operation_id="dashboard_products", summary="Products and payment plans", **HTML)
async def products_page(ctx: Ctx, shell: Around, range_: RangeParam = "30d") -> str:
    report, plans = await ctx.reports.products(known(range_)), await ctx.reports.plans(limit=SHOWN)
    return await page(
        "products.html", ctx, shell, title="Products", range=range_, ranges=RANGES, report=report, plans=plans, shown=SHOWN
    )  # fmt: skip


@get("/goals", operation_id="dashboard_goals", summary="Goals, and what buyers say", **HTML)
async def goals_page(ctx: Ctx, shell: Around, range_: RangeParam = "30d") -> str:
    report, claims = await ctx.reports.goals(known(range_)), await ctx.reports.self_reported(known(range_))
    return await page(
        "goals.html", ctx, shell, title="Goals", range=range_, ranges=RANGES, report=report, claims=claims, shown=SHOWN
    )  # fmt: skip


REPORTS = [
    models_page, funnel_page, journeys_page, content_page, students_page, products_page, goals_page, coverage_page,
]  # fmt: skip
