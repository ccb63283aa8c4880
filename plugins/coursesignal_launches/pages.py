"""The page of launches: what ran and what it brought in, and a form for the next one."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import jinja2
import msgspec
from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.params import URLEncodedBody

from coursesignal.plugin import Context, FieldError, Invalid, NoSettings, Shell, decimal_amount
from coursesignal_launches import launches
from coursesignal_launches.schemas import NewLaunch

Ctx = NamedDependency[Context[NoSettings]]
Around = NamedDependency[Shell]
SHOWN, WITH_RESULTS = 100, 10
"""How many launches the page lists, and for how many of the newest it adds up what they brought."""


class LaunchForm(msgspec.Struct, frozen=True, kw_only=True):
    """What the form sends; times are local ones of the tenant, "2026-11-23T09:00"."""

    title: str = ""
    starts_at: str = ""
    ends_at: str = ""


@get(
    "/",
    operation_id="launches_page",
    summary="The launches as a page",
    media_type=MediaType.HTML,
    include_in_schema=False,
)
async def launches_page(ctx: Ctx, shell: Around) -> str:
    return await _page(ctx, shell, LaunchForm())


@post("/", operation_id="launches_create_from_page", summary="Create a launch from the page", include_in_schema=False)
async def create_from_page(ctx: Ctx, shell: Around, data: URLEncodedBody[LaunchForm]) -> Response[str]:
    try:
        await launches.create(ctx, _wanted(data, ZoneInfo(ctx.tenant.time_zone)))
    except Invalid as error:
        html = await _page(ctx, shell, data, {found.path: found.message for found in error.errors})
        return Response(html, status_code=422, media_type=MediaType.HTML)
    return Response("", status_code=303, headers={"location": f"/app/{ctx.tenant.slug}/launches"})


def _wanted(form: LaunchForm, zone: ZoneInfo) -> NewLaunch:
    """The launch the form describes; raises Invalid naming every field that is wrong."""
    wrong, times = [], {}
    for path, text in (("startsAt", form.starts_at), ("endsAt", form.ends_at)):
        try:
            times[path] = datetime.fromisoformat(text).replace(tzinfo=zone).isoformat()
        except ValueError:
            wrong.append(FieldError(path, "Choose a day and a time."))
    if not form.title.strip():
        wrong.append(FieldError("title", "Give the launch a name."))
    if wrong:
        raise Invalid(errors=wrong)
    try:
        return msgspec.convert({"title": form.title, **times}, NewLaunch)
    except msgspec.ValidationError as error:
        raise Invalid(errors=[FieldError("title", "Write one line of at most 200 characters.")]) from error


async def _page(ctx: Ctx, shell: Around, form: LaunchForm, wrong: dict[str, str] | None = None) -> str:
    zone = ZoneInfo(ctx.tenant.time_zone)
    found = (await launches.listed(ctx, status="", sort="-startsAt", page=1, limit=SHOWN)).items
    begun = [launch for launch in found if launch.status != "upcoming"][:WITH_RESULTS]
    content = (
        _templates()
        .get_template("page.html")
        .render(
            tenant=ctx.tenant,
            launches=found,
            results={launch.id: await launches.results(ctx, launch) for launch in begun},
            moment=lambda at: f"{at.astimezone(zone).day} {at.astimezone(zone):%b %Y, %H:%M}",
            money=lambda minor, currency: f"{Decimal(decimal_amount(minor, currency)):,} {currency}",
            may_create=shell.role != "viewer",
            csrf_token=shell.csrf_token,
            form=form,
            wrong=wrong or {},
        )
    )
    return await shell.page("Launches", content)


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


PAGES = [launches_page, create_from_page]
