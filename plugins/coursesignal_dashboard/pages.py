"""Render the dashboard's templates into the frame that every page of a tenant has."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

from coursesignal.plugin import Context, NoSettings, Shell
from coursesignal_dashboard.words import FILTERS, moment

FOLDER = Path(__file__).parent


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment


async def page(template: str, ctx: Context[NoSettings], shell: Shell, *, title: str, **values: object) -> str:
    """The HTML of a whole page."""
    content = (
        _environment()
        .get_template(template)
        .render(
            tenant=ctx.tenant,
            title=title,
            home=f"/app/{ctx.tenant.slug}/dashboard",
            moment=moment(ctx.tenant.time_zone),
            **values,
        )
    )
    return await shell.page(title, content)


def asset(name: str) -> bytes:
    """A file of ``static``."""
    return (FOLDER / "static" / name).read_bytes()
