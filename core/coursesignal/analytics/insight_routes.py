"""/api/analytics: the reports on students, on what visitors do, and on what is not matched."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from coursesignal.analytics import cohorts, content, coverage, funnel, journeys, lifetime, returning, students
from coursesignal.analytics.asking import Ask, report_router
from coursesignal.analytics.months import Interval, fitting
from coursesignal.analytics.purchases import check_limit
from coursesignal.analytics.reading import chosen
from coursesignal.reports import (
    CohortReport,
    ContentReport,
    CoverageReport,
    FunnelReport,
    JourneysReport,
    LifetimeReport,
    NewReturningReport,
    StudentsReport,
)

LimitParam = Annotated[int, QueryParameter(description="1 to 200.")]
CursorParam = Annotated[str, QueryParameter(description="nextCursor of the page before.")]
FirstSourceParam = Annotated[
    str, QueryParameter(description="Only students whose first purchase is credited to this source.")
]
FirstChannelParam = Annotated[
    str, QueryParameter(description="Only students whose first purchase is credited to this channel.")
]


def since_ever(ask: Ask, request: Request[Any, Any, Any]) -> Ask:
    """The question, about all there is unless the query names a period."""
    named = {"range", "from", "to"} & request.query_params.keys()
    return ask if named else dataclasses.replace(ask, wanted="all")


@get("/students", summary="Students who paid in the period", operation_id="analyticsStudents")
async def get_students(
    ask: NamedDependency[Ask],
    sort: Annotated[students.Sort, QueryParameter(description="What the list is ordered by.")] = "lastPurchase",
    order: Annotated[students.Order, QueryParameter(description="desc or asc.")] = "desc",
    limit: LimitParam = 50,
    cursor: CursorParam = "",
    source: FirstSourceParam = "",
) -> StudentsReport:
    async with ask.reading() as about:
        return await students.students(about, sort=sort, order=order, limit=limit, cursor=cursor, source=source)


@get("/lifetime-value", summary="Lifetime value by first source", operation_id="analyticsLifetimeValue")
async def get_lifetime_value(
    request: Request[Any, Any, Any],
    ask: NamedDependency[Ask],
    by: Annotated[lifetime.By, QueryParameter(description="source, channel or campaign.")] = "source",
) -> LifetimeReport:
    """Of students who bought for the first time in the period; of all without one."""
    async with since_ever(ask, request).reading() as about:
        return await lifetime.lifetime_value(about, by)


@get("/cohorts", summary="Students by the month of their first purchase", operation_id="analyticsCohorts")
async def get_cohorts(
    request: Request[Any, Any, Any],
    ask: NamedDependency[Ask],
    source: FirstSourceParam = "",
    channel: FirstChannelParam = "",
) -> CohortReport:
    """Of students who bought for the first time in the period; of all without one."""
    async with since_ever(ask, request).reading() as about:
        return await cohorts.cohorts(about, source=source, channel=channel)


@get("/new-returning", summary="New and returning students", operation_id="analyticsNewReturning")
async def get_new_returning(
    ask: NamedDependency[Ask],
    interval: Annotated[
        Interval | None, QueryParameter(description="day, week or month; what suits the period without.")
    ] = None,
) -> NewReturningReport:
    async with ask.reading() as about:
        return await returning.new_and_returning(about, interval or fitting(about.period))


@get("/funnel", summary="From visit to opt-in to sale", operation_id="analyticsFunnel")
async def get_funnel(
    ask: NamedDependency[Ask],
    by: Annotated[funnel.By, QueryParameter(description="source or channel.")] = "source",
) -> FunnelReport:
    async with ask.reading() as about:
        return await funnel.funnel(about, by)


@get("/journeys", summary="The ways to a purchase", operation_id="analyticsJourneys")
async def get_journeys(
    ask: NamedDependency[Ask],
    by: Annotated[journeys.By, QueryParameter(description="What a step is: channel, source or campaign.")] = "channel",
    limit: LimitParam = 20,
) -> JourneysReport:
    """The same under every model: ``model`` in the answer is the one that credits every touch."""
    check_limit(limit)
    chosen(ask.model, journeys.WHOLE_PATH_MODEL, ask.models)
    async with dataclasses.replace(ask, model=journeys.WHOLE_PATH_MODEL).reading() as about:
        return await journeys.journeys(about, by, limit)


@get("/content", summary="Landing pages, campaigns, links and referring pages", operation_id="analyticsContent")
async def get_content(
    ask: NamedDependency[Ask],
    by: Annotated[content.By, QueryParameter(description="landing, campaign, content or referrer.")] = "landing",
    limit: LimitParam = 100,
) -> ContentReport:
    check_limit(limit)
    async with ask.reading() as about:
        return await content.content(about, by, limit)


@get("/coverage", summary="What is matched, and why the rest is not", operation_id="analyticsCoverage")
async def get_coverage(ask: NamedDependency[Ask]) -> CoverageReport:
    async with ask.reading() as about:
        return await coverage.coverage(about)


ROUTES = [
    report_router(
        [
            get_students, get_lifetime_value, get_cohorts, get_new_returning, get_funnel, get_journeys, get_content,
            get_coverage,
        ]
    )
]  # fmt: skip
