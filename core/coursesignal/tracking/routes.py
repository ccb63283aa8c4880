"""/api/script and /api/tracking/sites. The public paths never get here: :mod:`coursesignal.tracking.collect` answers them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from coursesignal.auth.access import tenant as tenant_access
from coursesignal.auth.callers import Caller
from coursesignal.db.engine import Database
from coursesignal.plugin import Tenant
from coursesignal.settings import Settings
from coursesignal.tracking import script, sites
from coursesignal.tracking.intake import utc_now
from coursesignal.tracking.schemas import ScriptInfo, ScriptOut, SiteChange, SiteIn, SiteOut, SitesOut
from coursesignal.tracking.status import script_info

READ = tenant_access("viewer", scope="tracking:read")
WRITE = tenant_access("admin", scope="tenant:write")
SiteParam = Annotated[UUID | None, QueryParameter(description="Of several websites, the one to speak of.")]


@get("/info", opt=READ, summary="Whether events arrive, and what was dropped", operation_id="scriptInfo")
async def get_info(
    db: NamedDependency[Database], tenant: NamedDependency[Tenant], settings: NamedDependency[Settings]
) -> ScriptInfo:
    async with db.tenant(tenant.id) as conn:
        site = await sites.default_site(conn, tenant.id)
        return await script_info(conn, tenant, site, script.script_url(settings.base_url), utc_now())


@get("/generate", opt=READ, summary="The snippet and where to paste it", operation_id="scriptGenerate")
async def get_generate(
    db: NamedDependency[Database],
    tenant: NamedDependency[Tenant],
    settings: NamedDependency[Settings],
    site: SiteParam = None,
) -> ScriptOut:
    async with db.tenant(tenant.id) as conn:
        chosen = await (sites.find_site(conn, tenant.id, site) if site else sites.default_site(conn, tenant.id))
    return ScriptOut(chosen.site_key, script.snippet(settings.base_url, chosen), script.INSTRUCTIONS)


@get("/", opt=READ, summary="The tenant's websites", operation_id="listSites")
async def get_sites(db: NamedDependency[Database], tenant: NamedDependency[Tenant]) -> SitesOut:
    async with db.tenant(tenant.id) as conn:
        return SitesOut(await sites.list_sites(conn, tenant.id))


@post("/", opt=WRITE, summary="Add a website", operation_id="addSite")
async def add_site(
    data: JSONBody[SiteIn],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> SiteOut:
    async with db.tenant(tenant.id) as conn:
        return await sites.add_site(conn, tenant.id, caller, data)


@patch(
    "/{site_id:uuid}", opt=WRITE, summary="Change a website's settings, or give it a new key", operation_id="changeSite"
)
async def change_site(
    site_id: FromPath[UUID],
    data: JSONBody[SiteChange],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> SiteOut:
    async with db.tenant(tenant.id) as conn:
        return await sites.change_site(conn, tenant.id, caller, site_id, data)


@delete("/{site_id:uuid}", opt=WRITE, summary="End a website's key", operation_id="revokeSite")
async def revoke_site(
    site_id: FromPath[UUID],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> None:
    async with db.tenant(tenant.id) as conn:
        await sites.revoke_site(conn, tenant.id, caller, site_id)


SITES = [get_sites, add_site, change_site, revoke_site]
ROUTES = [
    Router("/api/script", route_handlers=[get_info, get_generate], tags=["Script"]),
    Router("/api/tracking/sites", route_handlers=SITES, tags=["Sites"]),
    # Where they were in the first release.
    Router("/api/sites", route_handlers=SITES, tags=["Sites"], include_in_schema=False),
]
