"""The page of plugins: which there are, which are on, and their settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.params import FromPath, FromQuery

from coursesignal.auth.access import browser
from coursesignal.auth.callers import Caller
from coursesignal.errors import NotFound, Refused
from coursesignal.plugin import Tenant
from coursesignal.plugins.fields import entered, form_fields
from coursesignal.plugins.frame import rendered
from coursesignal.plugins.host import Host
from coursesignal.plugins.lines import PluginLine, line_of, lines_of
from coursesignal.plugins.own_pages import DONE, Asked, form_values, host_of, seen, shown
from coursesignal.plugins.service import Wish, change


@get(
    "/app/{tenant_slug:str}/plugins",
    opt=browser("viewer"),
    summary="The plugins as a page",
    operation_id="pluginsPage",
    media_type=MediaType.HTML,
    include_in_schema=False,
)
async def plugins_page(
    request: Asked, caller: NamedDependency[Caller], tenant: NamedDependency[Tenant], done: FromQuery[str] = ""
) -> Response[str]:
    return await _plugins(host_of(request), caller, tenant, said=DONE.get(done, ""))


@post(
    "/app/{tenant_slug:str}/plugins/{slug:str}",
    opt=browser("admin"),
    summary="Turn a plugin on or off, or save its settings, from the page",
    operation_id="changePluginFromPage",
    include_in_schema=False,
)
async def change_plugin_from_page(
    request: Asked, caller: NamedDependency[Caller], tenant: NamedDependency[Tenant], slug: FromPath[str]
) -> Response[Any]:
    host = host_of(request)
    line = await line_of(host, tenant, slug)
    form = dict(await request.form())
    if form.get("do") == "switch":
        wish = Wish(enabled=form.get("enabled") == "true")
    else:
        wish = Wish(settings=entered(line.settings_schema, form, line.settings))
    try:
        await change(host, caller, tenant, slug, wish)
    except NotFound:
        raise
    except Refused as error:
        return await _plugins(host, caller, tenant, refused=error, about=slug, form=form)
    return seen(f"/app/{tenant.slug}/plugins?done={'switch' if wish.enabled is not None else 'settings'}")


async def _plugins(
    host: Host,
    caller: Caller,
    tenant: Tenant,
    *,
    said: str = "",
    refused: Refused | None = None,
    about: str = "",
    form: Mapping[str, Any] | None = None,
) -> Response[str]:
    lines = await lines_of(host, tenant)
    content = rendered(
        "plugins.html",
        tenant=tenant,
        plugins=[(line, _settings_fields(line, form if line.slug == about else None)) for line in lines],
        **form_values(caller, said, refused, about),
    )
    return await shown(host, caller, tenant, "plugins", "Plugins", content, refused)


def _settings_fields(line: PluginLine, form: Mapping[str, Any] | None) -> Any:
    """The form of a plugin that is on, with what was typed when it is shown again."""
    if not line.granted:
        return []
    typed = form if form is not None and form.get("do") == "settings" else {}
    return form_fields(line.settings_schema, {**line.settings, **typed})


ROUTES = [plugins_page, change_plugin_from_page]
