"""The page of recommendations, with a button to look again."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import jinja2
from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency

from coursesignal.plugin import Context, NoSettings, Shell
from coursesignal_recommendations import advice

Ctx = NamedDependency[Context[NoSettings]]
KINDS = {"opportunity": "Opportunity", "warning": "Warning", "insight": "Insight"}


@get(
    "/",
    operation_id="recommendations_page",
    summary="The advice as a page",
    media_type=MediaType.HTML,
    include_in_schema=False,
)
async def advice_page(ctx: Ctx, shell: NamedDependency[Shell]) -> str:
    found = await advice.current(ctx)
    has_dashboard = any(link.plugin == "dashboard" for link in await shell.nav())
    at = found.generated_at and found.generated_at.astimezone(ZoneInfo(ctx.tenant.time_zone))
    content = (
        _templates()
        .get_template("page.html")
        .render(
            found=found,
            at=f"{at.day} {at:%b %Y, %H:%M}" if at else "",
            kinds=KINDS,
            sources=f"/app/{ctx.tenant.slug}/dashboard/source?range=90d&name=" if has_dashboard else "",
            quote=lambda text: quote(str(text), safe=""),
            may_look=shell.role != "viewer",
            csrf_token=shell.csrf_token,
        )
    )
    return await shell.page("Recommendations", content)


@post("/", operation_id="recommendations_look", summary="Look for advice from the page", include_in_schema=False)
async def look_again(ctx: Ctx) -> Response[str]:
    await advice.generate(ctx)
    return Response("", status_code=303, headers={"location": f"/app/{ctx.tenant.slug}/recommendations"})


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


PAGES = [advice_page, look_again]
