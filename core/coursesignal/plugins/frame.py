"""What every page of a tenant has around its content: the menu, the way to other tenants, the way out, and one style."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2
from litestar import Response, get
from markupsafe import Markup

from coursesignal.auth.access import public

STYLE, ICON = "/assets/frame.css", "/assets/icon.svg"


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(files("coursesignal.plugins") / "templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def framed(content: str, values: Mapping[str, object]) -> str:
    """A whole page around ``content``, which is HTML already."""
    parts = {"content": Markup(content), "style": STYLE, "icon": ICON}  # noqa: S704
    return _environment().get_template("frame.html").render({**values, **parts})


def rendered(template: str, **values: object) -> str:
    """The content of one of core's own pages."""
    return _environment().get_template(template).render(values)


@get(STYLE, opt=public(), summary="The style of a tenant's pages", operation_id="frameStyle", include_in_schema=False)
async def frame_style() -> Response[Any]:
    return _asset("frame.css", "text/css")


@get(ICON, opt=public(), summary="The icon of a tenant's pages", operation_id="frameIcon", include_in_schema=False)
async def frame_icon() -> Response[Any]:
    return _asset("icon.svg", "image/svg+xml")


def _asset(name: str, media_type: str) -> Response[Any]:
    content = (files("coursesignal.plugins") / "static" / name).read_bytes()
    return Response(content, media_type=media_type, headers={"cache-control": "public, max-age=300"})


ROUTES = [frame_style, frame_icon]
