"""Core's own few pages: server-rendered, escaped by default, without scripts."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2
from litestar import Response, get

from coursesignal.web.access import public

STYLE = "/assets/house.css"


@functools.cache
def _environment() -> jinja2.Environment:
    """Every area's templates, found below core's own root."""
    loader = jinja2.FileSystemLoader(str(files("coursesignal")))
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)


def page(
    template: str, values: Mapping[str, object], *, status: int = 200, headers: Mapping[str, str] = {}
) -> Response[Any]:
    """The template ``<area>/<name>`` rendered as an answer."""
    area, _, name = template.partition("/")
    html = _environment().get_template(f"{area}/templates/{name}").render({**values, "style": STYLE})
    return Response(html, status_code=status, media_type="text/html", headers=dict(headers))


@get(STYLE, opt=public(), summary="The style of core's pages", operation_id="houseStyle", include_in_schema=False)
async def house_style() -> Response[bytes]:
    css = (files("coursesignal.web") / "static" / "house.css").read_bytes()
    return Response(css, media_type="text/css", headers={"cache-control": "public, max-age=3600"})


ROUTES = [house_style]
