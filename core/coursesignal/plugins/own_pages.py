"""What core's own pages in a tenant's frame share."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Request, Response
from litestar.enums import MediaType

from coursesignal.auth.callers import ROLES, Caller, parts_of
from coursesignal.errors import Refused
from coursesignal.plugin import Tenant
from coursesignal.plugins.host import Host
from coursesignal.plugins.shell import DashboardShell

Asked = Request[Any, Any, Any]
DONE = {
    "connect": "Connected. Its purchases are coming in now; reload this page to see how far it is.",
    "sync": "Started. Reload this page to see how far it is.",
    "check": "Webhooks come: the address is entered where it should be.",
    "limits": "Saved.",
    "disconnect": "Disconnected. What came in so far stays.",
    "switch": "Saved.",
    "settings": "Saved.",
}
"""What a page says after a form was carried out, by the form's ``do``."""


def host_of(request: Asked) -> Host:
    host: Any = parts_of(request)
    found: Host = host
    return found


def seen(path: str) -> Response[Any]:
    return Response(b"", status_code=303, headers={"Location": path})


def form_values(caller: Caller, said: str, refused: Refused | None, about: str) -> dict[str, Any]:
    """What the forms of a page need: may this person send them, and what was wrong with the one that was sent."""
    wrong = {error.path.removeprefix("settings."): error.message for error in refused.errors} if refused else {}
    return {
        "may_change": ROLES[caller.role] >= ROLES["admin"],
        "csrf_token": caller.csrf_token,
        "said": said,
        "about": about,
        "refused": refused,
        "wrong": wrong,
    }


async def shown(
    host: Host, caller: Caller, tenant: Tenant, here: str, title: str, content: str, refused: Refused | None
) -> Response[str]:
    html = await DashboardShell(host, caller, tenant, here).page(title, content)
    return Response(html, status_code=refused.status if refused else 200, media_type=MediaType.HTML)


def moment_of(tenant: Tenant) -> Any:
    zone = ZoneInfo(tenant.time_zone)

    def written(at: datetime) -> str:
        local = at.astimezone(zone)
        return f"{local.day} {local:%b %Y, %H:%M}"

    return written
