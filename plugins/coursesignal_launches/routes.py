"""/api/launches."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import ServerSentEvent

from coursesignal.plugin import FieldError, Invalid, Routes
from coursesignal_launches import compare, launches, live, orders, results, sharing, suggestions
from coursesignal_launches.pages import PAGES
from coursesignal_launches.public import PUBLIC
from coursesignal_launches.schemas import (
    AssignedPage,
    Comparison,
    Copy,
    Launch,
    LaunchAnalytics,
    LaunchChange,
    LaunchDetail,
    LaunchPage,
    LiveStats,
    NewLaunch,
    Pin,
    Shared,
    ShareForm,
    Suggestions,
    Views,
)
from coursesignal_launches.settings import Ctx as Context

Ctx = NamedDependency[Context]
Model = Annotated[str, QueryParameter(description="Slug of an attribution model; the tenant's default without.")]


@get("/", operation_id="launches_list", summary="The launches, newest start first")
async def list_launches(
    ctx: Ctx,
    status: Annotated[
        str, QueryParameter(description="upcoming, active, completed or archived; all but archived without.")
    ] = "",
    sort: Annotated[str, QueryParameter(description="-startsAt, startsAt, title or -createdAt.")] = "-startsAt",
    page: FromQuery[int] = 1,
    limit: FromQuery[int] = 50,
) -> LaunchPage:
    return await launches.listed(ctx, status=status, sort=sort, page=page, limit=limit)


@post("/", operation_id="launches_create", summary="Create a launch")
async def create_launch(ctx: Ctx, data: JSONBody[NewLaunch]) -> Launch:
    return await launches.create(ctx, data)


@get("/suggestions", operation_id="launches_suggestions", summary="Launches that the history of orders shows")
async def suggested(ctx: Ctx) -> Suggestions:
    return await suggestions.suggest(ctx)


@get("/compare", operation_id="launches_compare", summary="Up to three launches by the hour since they opened")
async def compare_launches(
    ctx: Ctx, ids: Annotated[str, QueryParameter(description="Ids of launches, with commas between.")]
) -> Comparison:
    return await compare.compare(ctx, ids)


@put("/purchases/{purchase_id:uuid}/pin", operation_id="launches_pin", summary="Count a purchase for a launch by hand")
async def pin_purchase(ctx: Ctx, purchase_id: FromPath[UUID], data: JSONBody[Pin]) -> Pin:
    await orders.pin(ctx, purchase_id, data.launch_id)
    return data


@delete(
    "/purchases/{purchase_id:uuid}/pin", operation_id="launches_unpin", summary="Count a purchase by its date again"
)
async def unpin_purchase(ctx: Ctx, purchase_id: FromPath[UUID]) -> None:
    await orders.unpin(ctx, purchase_id)


@get("/{launch_id:uuid}", operation_id="launches_get", summary="A launch and what it brought in")
async def get_launch(ctx: Ctx, launch_id: FromPath[UUID]) -> LaunchDetail:
    launch = await launches.get(ctx, launch_id)
    return LaunchDetail(**msgspec.structs.asdict(launch), results=await results.results(ctx, launch))


@patch("/{launch_id:uuid}", operation_id="launches_change", summary="Change a launch")
async def change_launch(ctx: Ctx, launch_id: FromPath[UUID], data: JSONBody[LaunchChange]) -> Launch:
    return await launches.change(ctx, launch_id, data)


@put("/{launch_id:uuid}", operation_id="launches_update", summary="Change a launch, as PATCH does")
async def update_launch(ctx: Ctx, launch_id: FromPath[UUID], data: JSONBody[LaunchChange]) -> Launch:
    return await launches.change(ctx, launch_id, data)


@delete("/{launch_id:uuid}", operation_id="launches_delete", summary="Delete a launch")
async def delete_launch(ctx: Ctx, launch_id: FromPath[UUID]) -> None:
    await launches.delete(ctx, launch_id)


@post("/{launch_id:uuid}/archive", operation_id="launches_archive", summary="Archive a launch", status_code=200)
async def archive_launch(ctx: Ctx, launch_id: FromPath[UUID]) -> Launch:
    return await launches.archive(ctx, launch_id, archived=True)


@post(
    "/{launch_id:uuid}/restore",
    operation_id="launches_restore",
    summary="Take a launch out of the archive",
    status_code=200,
)
async def restore_launch(ctx: Ctx, launch_id: FromPath[UUID]) -> Launch:
    return await launches.archive(ctx, launch_id, archived=False)


@post("/{launch_id:uuid}/duplicate", operation_id="launches_duplicate", summary="Make a launch like this one")
async def duplicate_launch(ctx: Ctx, launch_id: FromPath[UUID], data: JSONBody[Copy | None] = None) -> Launch:
    return await launches.duplicate(ctx, launch_id, data or Copy())


@get("/{launch_id:uuid}/analytics", operation_id="launches_analytics", summary="All results of a launch")
async def launch_analytics(ctx: Ctx, launch_id: FromPath[UUID], model: Model = "") -> LaunchAnalytics:
    return await results.analytics(ctx, await launches.get(ctx, launch_id), model)


@get("/{launch_id:uuid}/purchases", operation_id="launches_purchases", summary="The purchases that count for a launch")
async def launch_purchases(
    ctx: Ctx, launch_id: FromPath[UUID], page: FromQuery[int] = 1, limit: FromQuery[int] = 50
) -> AssignedPage:
    if not 1 <= limit <= launches.MAX_LIMIT or not 1 <= page <= 10_000:
        path = "limit" if 1 <= page <= 10_000 else "page"
        raise Invalid(errors=[FieldError(path, f"limit is 1 to {launches.MAX_LIMIT}, page 1 to 10000.")])
    return await orders.page(ctx, await launches.get(ctx, launch_id), limit=limit, offset=(page - 1) * limit)


@get("/{launch_id:uuid}/live-stats", operation_id="launches_live_stats", summary="A launch at this moment")
async def live_stats(ctx: Ctx, launch_id: FromPath[UUID]) -> LiveStats:
    return await live.stats(ctx, await launches.get(ctx, launch_id))


@get(
    "/{launch_id:uuid}/live-stats/stream",
    operation_id="launches_live_stream",
    summary="The same as server-sent events, whenever a number changes",
    media_type="text/event-stream",
)
async def live_stream(ctx: Ctx, launch_id: FromPath[UUID]) -> ServerSentEvent:
    return live.stream(ctx, await launches.get(ctx, launch_id))


@post(
    "/{launch_id:uuid}/enable-share",
    operation_id="launches_enable_share",
    summary="Make a link to a recap",
    status_code=200,
)
async def enable_share(ctx: Ctx, launch_id: FromPath[UUID], data: JSONBody[ShareForm | None] = None) -> Shared:
    """The link is told this once; one made before ends."""
    return await sharing.enable(ctx, await launches.get(ctx, launch_id), data or ShareForm())


@post(
    "/{launch_id:uuid}/disable-share",
    operation_id="launches_disable_share",
    summary="End the link to the recap",
    status_code=200,
)
async def disable_share(ctx: Ctx, launch_id: FromPath[UUID]) -> Views:
    launch = await launches.get(ctx, launch_id)
    await sharing.disable(ctx, launch)
    return await sharing.views(ctx, launch)


@get("/{launch_id:uuid}/views", operation_id="launches_views", summary="How often the recap was looked at")
async def share_views(ctx: Ctx, launch_id: FromPath[UUID]) -> Views:
    return await sharing.views(ctx, await launches.get(ctx, launch_id))


ROUTES = [
    Routes(
        handlers=[
            list_launches, create_launch, suggested, compare_launches, pin_purchase, unpin_purchase, get_launch,
            change_launch, update_launch, delete_launch, archive_launch, restore_launch, duplicate_launch,
            launch_analytics, launch_purchases, live_stats, live_stream, enable_share, disable_share, share_views,
        ]
    ),
    *PUBLIC,
    Routes(handlers=PAGES, area="dashboard"),
]  # fmt: skip
