"""/api/launches."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from coursesignal.plugin import Context, NoSettings, Routes
from coursesignal_launches import launches
from coursesignal_launches.pages import PAGES
from coursesignal_launches.schemas import Launch, LaunchDetail, LaunchPage, NewLaunch

Ctx = NamedDependency[Context[NoSettings]]


@get("/", operation_id="launches_list", summary="The launches, newest start first")
async def list_launches(
    ctx: Ctx,
    status: Annotated[str, QueryParameter(description="upcoming, active or completed; all without.")] = "",
    sort: Annotated[str, QueryParameter(description="-startsAt, startsAt, title or -createdAt.")] = "-startsAt",
    page: FromQuery[int] = 1,
    limit: FromQuery[int] = 50,
) -> LaunchPage:
    return await launches.listed(ctx, status=status, sort=sort, page=page, limit=limit)


@post("/", operation_id="launches_create", summary="Create a launch")
async def create_launch(ctx: Ctx, data: JSONBody[NewLaunch]) -> Launch:
    return await launches.create(ctx, data)


@get("/{launch_id:uuid}", operation_id="launches_get", summary="A launch and what it brought in")
async def get_launch(ctx: Ctx, launch_id: FromPath[UUID]) -> LaunchDetail:
    return await launches.get(ctx, launch_id)


@delete("/{launch_id:uuid}", operation_id="launches_delete", summary="Delete a launch")
async def delete_launch(ctx: Ctx, launch_id: FromPath[UUID]) -> None:
    await launches.delete(ctx, launch_id)


ROUTES = [
    Routes(handlers=[list_launches, create_launch, get_launch, delete_launch]),
    Routes(handlers=PAGES, area="dashboard"),
]
