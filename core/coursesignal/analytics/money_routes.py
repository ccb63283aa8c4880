"""/api/analytics: payment plans, products, and how far a recompute has come."""

from __future__ import annotations

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency

from coursesignal.analytics.asking import Ask, report_router
from coursesignal.analytics.insight_routes import LimitParam, since_ever
from coursesignal.analytics.plans import plans
from coursesignal.analytics.products import products
from coursesignal.analytics.purchases import check_limit
from coursesignal.attribution.progress import RecomputeProgress, progress
from coursesignal.db.engine import Database
from coursesignal.plugin import Tenant
from coursesignal.reports import PlansReport, ProductsReport


@get("/plans", summary="Payment plans: collected, contracted, at risk", operation_id="analyticsPlans")
async def get_plans(request: Request[Any, Any, Any], ask: NamedDependency[Ask], limit: LimitParam = 50) -> PlansReport:
    """Of purchases made in the period; of all without one."""
    check_limit(limit)
    async with since_ever(ask, request).reading() as about:
        return await plans(about, limit)


@get("/products", summary="Revenue by product", operation_id="analyticsProducts")
async def get_products(ask: NamedDependency[Ask]) -> ProductsReport:
    async with ask.reading() as about:
        return await products(about)


@get("/recompute", summary="How far crediting the history again has come", operation_id="analyticsRecompute")
async def get_recompute(db: NamedDependency[Database], tenant: NamedDependency[Tenant]) -> RecomputeProgress:
    """Queued by every change of a model or of a setting that models credit by."""
    async with db.tenant(tenant.id) as conn:
        return await progress(conn, tenant.id)


ROUTES = [report_router([get_plans, get_products, get_recompute])]
