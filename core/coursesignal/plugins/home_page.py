"""Where a tenant's address alone leads: to the first page in its menu."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from coursesignal.auth.access import browser
from coursesignal.auth.callers import Caller
from coursesignal.plugin import Tenant
from coursesignal.plugins.own_pages import Asked, host_of, seen
from coursesignal.plugins.shell import DashboardShell


@get(
    "/app/{tenant_slug:str}",
    opt=browser("viewer"),
    summary="To the first page of the menu",
    operation_id="tenantHome",
    include_in_schema=False,
)
async def tenant_home(
    request: Asked, caller: NamedDependency[Caller], tenant: NamedDependency[Tenant]
) -> Response[Any]:
    """The dashboard where it is on; a tenant without any plugin's page is led to its connections."""
    pages = await DashboardShell(host_of(request), caller, tenant, "").nav()
    return seen(pages[0].href if pages else f"/app/{tenant.slug}/connections")


ROUTES = [tenant_home]
