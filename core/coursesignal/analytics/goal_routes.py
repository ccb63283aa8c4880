"""/api/analytics/goals: define goals and see who reaches them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from coursesignal.analytics import goal_report, goals
from coursesignal.analytics.asking import Ask, report_router
from coursesignal.analytics.goal_schemas import GoalChange, GoalIn, GoalOut
from coursesignal.auth.access import tenant as of_tenant
from coursesignal.auth.callers import Caller
from coursesignal.db.engine import Database
from coursesignal.plugin import Tenant
from coursesignal.reports import GoalReport

WRITES = of_tenant("member", scope="tenant:write")


@get("/", opt=of_tenant("viewer", scope="analytics:read"), summary="The goals there are", operation_id="listGoals")
async def list_goals(db: NamedDependency[Database], tenant: NamedDependency[Tenant]) -> Sequence[GoalOut]:
    async with db.tenant(tenant.id) as conn:
        return await goals.listing(conn, tenant.id)


@post("/", opt=WRITES, status_code=201, summary="Define a goal", operation_id="createGoal")
async def create_goal(
    data: JSONBody[GoalIn],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> GoalOut:
    """History counts: what reached it before is found within seconds."""
    async with db.tenant(tenant.id) as conn:
        return await goals.add(conn, caller, tenant.id, data)


@patch("/{goal_id:uuid}", opt=WRITES, summary="Rename a goal, or aim it elsewhere", operation_id="changeGoal")
async def change_goal(
    goal_id: FromPath[UUID],
    data: JSONBody[GoalChange],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> GoalOut:
    async with db.tenant(tenant.id) as conn:
        return await goals.change(conn, caller, tenant.id, goal_id, data)


@delete("/{goal_id:uuid}", opt=WRITES, summary="Delete a goal", operation_id="deleteGoal")
async def delete_goal(
    goal_id: FromPath[UUID],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> None:
    async with db.tenant(tenant.id) as conn:
        await goals.remove(conn, caller, tenant.id, goal_id)


@get("/goals/report", summary="Who reached which goal, and from where", operation_id="analyticsGoals")
async def get_goal_report(
    ask: NamedDependency[Ask],
    goal: Annotated[UUID | None, QueryParameter(description="Only this goal.")] = None,
) -> GoalReport:
    async with ask.reading() as about:
        return await goal_report.report(about, goal)


ROUTES = [
    Router(
        "/api/analytics/goals", route_handlers=[list_goals, create_goal, change_goal, delete_goal], tags=["analytics"]
    ),
    report_router([get_goal_report]),
]
