"""The pages of launches: the list, one launch, its form, its link, and launches beside each other."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter, URLEncodedBody
from litestar.response import ServerSentEvent

from coursesignal.plugin import FieldError, Invalid, NotFound, Shell
from coursesignal_launches import charts, compare, forms, launches, live, orders, results, sharing, suggestions
from coursesignal_launches.schemas import Copy, Launch, Shared, ShareForm
from coursesignal_launches.settings import Ctx as Context
from coursesignal_launches.words import moment, templates

Ctx = NamedDependency[Context]
Around = NamedDependency[Shell]
SHOWN, WITH_RESULTS, PURCHASES, SOURCES = 100, 12, 10, 12
"""How many launches the list has, for how many of the newest it adds up what they brought; rows of a launch's page."""
HTML: dict[str, Any] = {"media_type": MediaType.HTML, "include_in_schema": False}
TABS = (("", "All"), ("active", "Running"), ("upcoming", "To come"), ("completed", "Over"), ("archived", "Archived"))


class SharePageForm(msgspec.Struct, frozen=True, kw_only=True):
    """What the form of a link sends."""

    password: str = ""
    expires_at: str = ""


class PinForm(msgspec.Struct, frozen=True, kw_only=True):
    """Which purchase, and what becomes of it."""

    purchase_id: str = ""
    to: str = "none"


@get("/", operation_id="launches_page", summary="The launches as a page", **HTML)
async def launches_page(
    ctx: Ctx,
    shell: Around,
    status: FromQuery[str] = "",
    title: FromQuery[str] = "",
    starts_at: FromQuery[str] = "",
    ends_at: FromQuery[str] = "",
) -> str:
    """The query fills in the form: a suggestion is one click from being a launch."""
    form = forms.LaunchForm(title=title[:200], starts_at=starts_at[:16], ends_at=ends_at[:16])
    return await _list_page(ctx, shell, form, status if status in dict(TABS) else "")


@post("/", operation_id="launches_create_from_page", summary="Create a launch from the page", include_in_schema=False)
async def create_from_page(ctx: Ctx, shell: Around, data: URLEncodedBody[forms.LaunchForm]) -> Response[str]:
    try:
        made = await launches.create(ctx, forms.wanted(data, ctx.tenant.currency))
    except Invalid as error:
        return _again(await _list_page(ctx, shell, data, "", _wrong(error)))
    return _to(ctx, f"/{made.id}")


@get("/compare", operation_id="launches_compare_page", summary="Launches beside each other", **HTML)
async def compare_page(ctx: Ctx, shell: Around, launch: Annotated[list[str] | None, QueryParameter()] = None) -> str:
    """The newest two without a choice."""
    known = (await launches.listed(ctx, status="", sort="-startsAt", page=1, limit=SHOWN)).items
    begun = [one for one in known if one.status != "upcoming"]
    chosen = [one for one in launch or [str(one.id) for one in begun[:2]] if one][: compare.MOST]
    found = await compare.compare(ctx, ",".join(chosen)) if chosen else None
    series = [(one.launch.title, one.hours) for one in found.launches] if found else []
    return await _page(
        ctx, shell, "compare.html", "Compare launches", known=begun, chosen=chosen, found=found, slots=range(compare.MOST),
        chart=charts.climbing(series, found.hours) if found and found.hours else None,
    )  # fmt: skip


@get("/live.js", operation_id="launches_script", summary="The script of live numbers", include_in_schema=False)
async def script() -> Response[bytes]:
    content = (Path(__file__).parent / "static" / "live.js").read_bytes()
    return Response(content, media_type="text/javascript", headers={"cache-control": "private, max-age=300"})


@get("/{launch_id:uuid}", operation_id="launches_launch_page", summary="One launch", **HTML)
async def launch_page(ctx: Ctx, shell: Around, launch_id: FromPath[UUID], model: FromQuery[str] = "") -> str:
    launch = await launches.get(ctx, launch_id)
    found = await results.analytics(ctx, launch, model)
    length = -((launch.starts_at - launch.ends_at) // charts.HOUR)
    return await _page(
        ctx, shell, "launch.html", launch.title, launch=launch, found=found, model=model or found.attribution.model,
        stats=await live.stats(ctx, launch), shared=await sharing.views(ctx, launch),
        days=charts.by_day(found.days), climb=charts.climbing([("So far", found.hours)], length, launch.revenue_goal_minor),
        sources=found.attribution.rows[:SOURCES],
        purchases=await orders.page(ctx, launch, limit=PURCHASES, offset=0),
    )  # fmt: skip


@get("/{launch_id:uuid}/live", operation_id="launches_page_stream", summary="Live numbers", include_in_schema=False,
     media_type="text/event-stream")  # fmt: skip
async def page_stream(ctx: Ctx, launch_id: FromPath[UUID]) -> ServerSentEvent:
    return live.stream(ctx, await launches.get(ctx, launch_id))


@get("/{launch_id:uuid}/edit", operation_id="launches_edit_page", summary="Change a launch", **HTML)
async def edit_page(ctx: Ctx, shell: Around, launch_id: FromPath[UUID]) -> str:
    launch = await launches.get(ctx, launch_id)
    return await _edit_page(
        ctx, shell, launch, forms.filled(launch, ZoneInfo(ctx.tenant.time_zone), ctx.tenant.currency)
    )


@post(
    "/{launch_id:uuid}/edit",
    operation_id="launches_change_from_page",
    summary="Change a launch",
    include_in_schema=False,
)
async def change_from_page(
    ctx: Ctx, shell: Around, launch_id: FromPath[UUID], data: URLEncodedBody[forms.LaunchForm]
) -> Response[str]:
    launch = await launches.get(ctx, launch_id)
    try:
        await launches.change(ctx, launch_id, forms.change(data, ctx.tenant.currency))
    except Invalid as error:
        return _again(await _edit_page(ctx, shell, launch, data, _wrong(error)))
    return _to(ctx, f"/{launch_id}")


@post(
    "/{launch_id:uuid}/archive", operation_id="launches_archive_from_page", summary="Archive", include_in_schema=False
)
async def archive_from_page(ctx: Ctx, launch_id: FromPath[UUID]) -> Response[str]:
    await launches.archive(ctx, launch_id, archived=True)
    return _to(ctx, "")


@post(
    "/{launch_id:uuid}/restore", operation_id="launches_restore_from_page", summary="Restore", include_in_schema=False
)
async def restore_from_page(ctx: Ctx, launch_id: FromPath[UUID]) -> Response[str]:
    await launches.archive(ctx, launch_id, archived=False)
    return _to(ctx, f"/{launch_id}")


@post(
    "/{launch_id:uuid}/duplicate", operation_id="launches_copy_from_page", summary="Duplicate", include_in_schema=False
)
async def duplicate_from_page(ctx: Ctx, launch_id: FromPath[UUID]) -> Response[str]:
    made = await launches.duplicate(ctx, launch_id, Copy())
    return _to(ctx, f"/{made.id}/edit")


@post("/{launch_id:uuid}/delete", operation_id="launches_delete_from_page", summary="Delete", include_in_schema=False)
async def delete_from_page(ctx: Ctx, launch_id: FromPath[UUID]) -> Response[str]:
    await launches.delete(ctx, launch_id)
    return _to(ctx, "")


@get("/{launch_id:uuid}/share", operation_id="launches_share_page", summary="Share a launch", **HTML)
async def share_page(ctx: Ctx, shell: Around, launch_id: FromPath[UUID]) -> str:
    return await _share_page(ctx, shell, await launches.get(ctx, launch_id))


@post(
    "/{launch_id:uuid}/share", operation_id="launches_share_from_page", summary="Make a link", include_in_schema=False
)
async def share_from_page(
    ctx: Ctx, shell: Around, launch_id: FromPath[UUID], data: URLEncodedBody[SharePageForm]
) -> Response[str]:
    """The link is on this answer and nowhere else."""
    launch, made, wrong = await launches.get(ctx, launch_id), None, {}
    try:
        made = await sharing.enable(ctx, launch, _share_form(data))
    except Invalid as error:
        wrong = _wrong(error)
    html = await _share_page(ctx, shell, launch, made, wrong)
    return Response(html, status_code=422 if wrong else 200, media_type=MediaType.HTML)


@post(
    "/{launch_id:uuid}/unshare",
    operation_id="launches_unshare_from_page",
    summary="End a link",
    include_in_schema=False,
)
async def unshare_from_page(ctx: Ctx, launch_id: FromPath[UUID]) -> Response[str]:
    await sharing.disable(ctx, await launches.get(ctx, launch_id))
    return _to(ctx, f"/{launch_id}/share")


@post("/{launch_id:uuid}/pin", operation_id="launches_pin_from_page", summary="Pin a purchase", include_in_schema=False)
async def pin_from_page(ctx: Ctx, launch_id: FromPath[UUID], data: URLEncodedBody[PinForm]) -> Response[str]:
    """Into this launch, into none, or back to where its date puts it."""
    launch = await launches.get(ctx, launch_id)
    try:
        purchase_id = UUID(data.purchase_id.strip())
    except ValueError as error:
        raise NotFound() from error
    if data.to == "date":
        await orders.unpin(ctx, purchase_id)
    else:
        await orders.pin(ctx, purchase_id, launch.id if data.to == "this" else None)
    return _to(ctx, f"/{launch_id}")


async def _list_page(
    ctx: Context, shell: Shell, form: forms.LaunchForm, status: str, wrong: dict[str, str] | None = None
) -> str:
    zone = ZoneInfo(ctx.tenant.time_zone)
    found = (await launches.listed(ctx, status=status, sort="-startsAt", page=1, limit=SHOWN)).items
    begun = [launch for launch in found if launch.status != "upcoming"][:WITH_RESULTS]
    suggested = await suggestions.suggest(ctx)
    links = [
        (one, urlencode({"title": one.title, "starts_at": one.starts_at.astimezone(zone).strftime(forms.WHEN),
                         "ends_at": one.ends_at.astimezone(zone).strftime(forms.WHEN)}))
        for one in suggested.items
    ]  # fmt: skip
    return await _page(
        ctx, shell, "page.html", "Launches", launches=found, tabs=TABS, status=status, form=form, wrong=wrong or {},
        figures={launch.id: (await live.stats(ctx, launch)).figures for launch in begun}, suggested=links,
        hint=suggested.hint,
    )  # fmt: skip


async def _edit_page(
    ctx: Context, shell: Shell, launch: Launch, form: forms.LaunchForm, wrong: dict[str, str] | None = None
) -> str:
    return await _page(ctx, shell, "edit.html", f"Change {launch.title}", launch=launch, form=form, wrong=wrong or {})


async def _share_page(
    ctx: Context, shell: Shell, launch: Launch, made: Shared | None = None, wrong: dict[str, str] | None = None
) -> str:
    return await _page(
        ctx, shell, "share.html", f"Share {launch.title}", launch=launch, shared=await sharing.views(ctx, launch), made=made,
        address=shell.base_url + made.page_url if made else "", wrong=wrong or {},
    )  # fmt: skip


async def _page(ctx: Context, shell: Shell, template: str, title: str, **values: object) -> str:
    home = f"/app/{ctx.tenant.slug}"
    dashboard = any(link.plugin == "dashboard" for link in await shell.nav())
    content = (
        templates()
        .get_template(template)
        .render(
            tenant=ctx.tenant,
            home=f"{home}/launches",
            dashboard=f"{home}/dashboard" if dashboard else "",
            moment=moment(ctx.tenant.time_zone),
            may_change=shell.role != "viewer",
            csrf_token=shell.csrf_token,
            **values,
        )
    )
    return await shell.page(title, content)


def _share_form(data: SharePageForm) -> ShareForm:
    try:
        until = datetime.fromisoformat(data.expires_at).replace(tzinfo=None) if data.expires_at else None
    except ValueError as error:
        raise Invalid(errors=[FieldError("expiresAt", "Choose a day and a time.")]) from error
    return ShareForm(password=data.password, expires_at=until)


def _wrong(error: Invalid) -> dict[str, str]:
    return {found.path: found.message for found in error.errors}


def _again(html: str) -> Response[str]:
    return Response(html, status_code=422, media_type=MediaType.HTML)


def _to(ctx: Context, path: str) -> Response[str]:
    return Response("", status_code=303, headers={"location": f"/app/{ctx.tenant.slug}/launches{path}"})


PAGES = [
    launches_page, create_from_page, compare_page, script, launch_page, page_stream, edit_page, change_from_page,
    archive_from_page, restore_from_page, duplicate_from_page, delete_from_page, share_page, share_from_page,
    unshare_from_page, pin_from_page,
]  # fmt: skip
