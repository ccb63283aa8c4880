"""What buyers say of where they came from: taken in, mapped from coupons, and reported beside what is tracked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from litestar import Router, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from coursesignal.analytics import coupon_sources
from coursesignal.analytics.asking import Ask, report_router
from coursesignal.analytics.self_reported import self_reported
from coursesignal.analytics.self_reported_schemas import ClaimIn, ClaimTaken, CouponSources, CouponSourcesIn
from coursesignal.auth.access import tenant as of_tenant
from coursesignal.auth.callers import Caller
from coursesignal.db.engine import Database
from coursesignal.errors import FieldError, Invalid
from coursesignal.identity.emails import email_key
from coursesignal.plugin import Tenant
from coursesignal.reports import SelfReportedReport
from coursesignal.tracking.claims import record_claim, source_of

ERASED = "The data of this person was erased; nothing about them is kept."
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)


@post(
    "/self-reported",
    opt=of_tenant("member", scope="people:write"),
    status_code=202,
    summary="Take in how somebody heard of the tenant",
    operation_id="recordSelfReported",
)
async def record_self_reported(
    data: JSONBody[ClaimIn], db: NamedDependency[Database], tenant: NamedDependency[Tenant]
) -> ClaimTaken:
    """Kept apart from what is tracked; the same answer with the same time is kept once."""
    at = _checked(data)
    async with db.tenant(tenant.id) as conn:
        kept = await record_claim(conn, tenant.id, data.email, data.source.strip(), at)
    return ClaimTaken(accepted=True) if kept else ClaimTaken(accepted=False, reason=ERASED)


def _checked(data: ClaimIn) -> datetime:
    """When it was said; raises Invalid naming every field that is wrong."""
    now = datetime.now(UTC)
    errors: list[FieldError] = []
    if email_key(data.email) is None:
        errors.append(FieldError("email", "Write an address such as pat@example.com."))
    if not source_of(data.source) or "\x00" in data.source:
        errors.append(FieldError("source", "Write what was answered."))
    at = data.at or now
    if at.tzinfo is None or not EARLIEST <= at <= now + AHEAD:
        errors.append(FieldError("at", "Write a time with its offset, not in the future."))
    if errors:
        raise Invalid(errors=errors)
    return at


@get(
    "/coupon-sources",
    opt=of_tenant("viewer", scope="analytics:read"),
    summary="Coupon codes and the sources they stand for",
    operation_id="readCouponSources",
)
async def read_coupon_sources(db: NamedDependency[Database], tenant: NamedDependency[Tenant]) -> CouponSources:
    async with db.tenant(tenant.id) as conn:
        return await coupon_sources.read(conn, tenant.id)


@put(
    "/coupon-sources",
    opt=of_tenant("member", scope="tenant:write"),
    summary="Say which coupon code stands for which source",
    operation_id="changeCouponSources",
)
async def change_coupon_sources(
    data: JSONBody[CouponSourcesIn],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> CouponSources:
    async with db.tenant(tenant.id) as conn:
        await coupon_sources.replace(conn, caller, tenant.id, data.codes)
        return await coupon_sources.read(conn, tenant.id)


@get("/self-reported", summary="Claimed sources beside tracked ones", operation_id="analyticsSelfReported")
async def get_self_reported(ask: NamedDependency[Ask]) -> SelfReportedReport:
    async with ask.reading() as about:
        return await self_reported(about)


ROUTES = [
    Router("/api/people", route_handlers=[record_self_reported], tags=["people"]),
    Router("/api/analytics", route_handlers=[read_coupon_sources, change_coupon_sources], tags=["analytics"]),
    report_router([get_self_reported]),
]
