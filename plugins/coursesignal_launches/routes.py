"""/api/launches and the page of launches."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated
from uuid import UUID

import jinja2
from litestar import MediaType, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from coursesignal.plugin import Context, NoSettings, Routes, Shell
from coursesignal_launches import launches
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


@get(
    "/",
    operation_id="launches_page",
    summary="The launches as a page",
    media_type=MediaType.HTML,
    include_in_schema=False,
)
async def launches_page(ctx: Ctx, shell: NamedDependency[Shell]) -> str:
    nav = await shell.nav()
    home = f"/app/{ctx.tenant.slug}"
    with_dashboard = any(link.plugin == "dashboard" for link in nav)
    return (
        _templates()
        .get_template("page.html")
        .render(
            tenant=ctx.tenant,
            nav=nav,
            home=home,
            style=f"{home}/dashboard/style.css" if with_dashboard else "/assets/house.css",
            launches=(await launches.listed(ctx, status="", sort="-startsAt", page=1, limit=100)).items,
        )
    )


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)


ROUTES = [
    Routes(handlers=[list_launches, create_launch, get_launch, delete_launch]),
    Routes(handlers=[launches_page], area="dashboard"),
]
