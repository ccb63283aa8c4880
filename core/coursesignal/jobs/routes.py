"""/api/jobs: what background work failed for good, and another try."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from coursesignal.db.engine import Database
from coursesignal.jobs import failed
from coursesignal.jobs.failed import FailedPage
from coursesignal.plugin import Tenant
from coursesignal.web.access import tenant as tenant_access

Limit = Annotated[int, QueryParameter(ge=1, le=200, description="1 to 200.")]
Cursor = Annotated[str, QueryParameter(description="nextCursor of the page before.")]


@get(
    "/failed",
    summary="Tasks that failed at every attempt, newest first",
    operation_id="listFailedJobs",
    opt=tenant_access("member", scope="plugins:read"),
)
async def list_failed(
    db: NamedDependency[Database], tenant: NamedDependency[Tenant], limit: Limit = 50, cursor: Cursor = ""
) -> FailedPage:
    async with db.tenant(tenant.id) as conn:
        return await failed.page(conn, tenant.id, cursor, limit)


@post(
    "/{task_id:uuid}/retry",
    status_code=202,
    summary="Try a failed task again",
    operation_id="retryJob",
    opt=tenant_access("admin", scope="plugins:write"),
)
async def retry_job(task_id: FromPath[UUID], db: NamedDependency[Database], tenant: NamedDependency[Tenant]) -> None:
    async with db.tenant(tenant.id) as conn:
        await failed.retry(conn, tenant.id, task_id)


ROUTES = [Router(path="/api/jobs", route_handlers=[list_failed, retry_job], tags=["jobs"])]
