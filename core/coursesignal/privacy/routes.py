"""/api/privacy: retention, exports and erasures, for admins; a finished export is fetched with its signed link."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from coursesignal.auth.access import public
from coursesignal.auth.access import tenant as of_tenant
from coursesignal.auth.callers import Caller
from coursesignal.db.engine import Database
from coursesignal.plugin import Tenant
from coursesignal.privacy import erasures, exports, retention
from coursesignal.privacy.schemas import Accepted, ErasureOut, ExportOut, PrivacyChange, PrivacyOut, Subject
from coursesignal.security.keys import KeyRing
from coursesignal.settings import Settings
from coursesignal.tenancy.keeping import keep_for

ADMIN = of_tenant("admin")
Expires = Annotated[int, QueryParameter(description="As in the link.")]
Signature = Annotated[str, QueryParameter(max_length=200, description="As in the link.")]


@get("/", opt=ADMIN, summary="How long data is kept, and what was removed", operation_id="readPrivacy")
async def read_privacy(db: NamedDependency[Database], tenant: NamedDependency[Tenant]) -> PrivacyOut:
    async with db.tenant(tenant.id) as conn:
        return await retention.overview(conn, tenant.id)


@put("/", opt=ADMIN, summary="Change how long data is kept", operation_id="changePrivacy")
async def change_privacy(
    data: JSONBody[PrivacyChange],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> PrivacyOut:
    async with db.tenant(tenant.id) as conn:
        await keep_for(conn, caller, tenant.id, data.retention_days)
        return await retention.overview(conn, tenant.id)


@post("/exports", opt=ADMIN, status_code=202, summary="Make a copy of a person's data", operation_id="requestExport")
async def request_export(
    data: JSONBody[Subject],
    db: NamedDependency[Database],
    keys: NamedDependency[KeyRing],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> Accepted:
    async with db.tenant(tenant.id) as conn:
        return Accepted(id=await exports.request(conn, keys, caller, tenant.id, data.email))


@get("/exports", opt=ADMIN, summary="Copies that were asked for", operation_id="listExports")
async def list_exports(
    db: NamedDependency[Database],
    keys: NamedDependency[KeyRing],
    settings: NamedDependency[Settings],
    tenant: NamedDependency[Tenant],
) -> Sequence[ExportOut]:
    async with db.tenant(tenant.id) as conn:
        return await exports.listing(conn, keys, settings.base_url, tenant.id)


@get("/exports/{export_id:uuid}", opt=ADMIN, summary="A copy and its link", operation_id="readExport")
async def read_export(
    export_id: FromPath[UUID],
    db: NamedDependency[Database],
    keys: NamedDependency[KeyRing],
    settings: NamedDependency[Settings],
    tenant: NamedDependency[Tenant],
) -> ExportOut:
    async with db.tenant(tenant.id) as conn:
        return await exports.read(conn, keys, settings.base_url, tenant.id, export_id)


@get(
    "/downloads/{tenant_id:uuid}/{export_id:uuid}",
    opt=public(),
    summary="The file of a copy, with its signed link",
    operation_id="downloadExport",
    media_type="application/zip",
)
async def download_export(
    tenant_id: FromPath[UUID],
    export_id: FromPath[UUID],
    db: NamedDependency[Database],
    keys: NamedDependency[KeyRing],
    expires: Expires = 0,
    signature: Signature = "",
) -> Response[bytes]:
    content = await exports.download(db, keys, tenant_id, export_id, expires, signature)
    headers = {
        "content-disposition": f'attachment; filename="person-{export_id}.zip"',
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
    }
    return Response(content, media_type="application/zip", headers=headers)


@post("/erasures", opt=ADMIN, status_code=202, summary="Erase a person's data", operation_id="requestErasure")
async def request_erasure(
    data: JSONBody[Subject],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> Accepted:
    async with db.tenant(tenant.id) as conn:
        return Accepted(id=await erasures.request(conn, caller, tenant.id, data.email))


@get("/erasures", opt=ADMIN, summary="Erasures that were asked for", operation_id="listErasures")
async def list_erasures(db: NamedDependency[Database], tenant: NamedDependency[Tenant]) -> Sequence[ErasureOut]:
    async with db.tenant(tenant.id) as conn:
        return await erasures.listing(conn, tenant.id)


@get("/erasures/{erasure_id:uuid}", opt=ADMIN, summary="One erasure", operation_id="readErasure")
async def read_erasure(
    erasure_id: FromPath[UUID], db: NamedDependency[Database], tenant: NamedDependency[Tenant]
) -> ErasureOut:
    async with db.tenant(tenant.id) as conn:
        return await erasures.read(conn, tenant.id, erasure_id)


@delete(
    "/erasures/{erasure_id:uuid}", opt=ADMIN, summary="Let an erased person be known again, who agreed to it",
    operation_id="liftErasure",
)  # fmt: skip
async def lift_erasure(
    erasure_id: FromPath[UUID],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> None:
    async with db.tenant(tenant.id) as conn:
        await erasures.lift(conn, caller, tenant.id, erasure_id)


ROUTES = [
    Router(
        "/api/privacy",
        route_handlers=[
            read_privacy, change_privacy, request_export, list_exports, read_export, download_export, request_erasure,
            list_erasures, read_erasure, lift_erasure,
        ],
        tags=["privacy"],
    )
]  # fmt: skip
