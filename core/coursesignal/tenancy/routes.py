"""Every call of this area, collected."""

from __future__ import annotations

from litestar import Router
from litestar.di import Provide

from coursesignal.auth.desk import provide_desk
from coursesignal.tenancy import agency_routes, key_routes, member_routes, pages, signup_routes, tenant_routes

_DESK = {"desk": Provide(provide_desk, sync_to_thread=False)}

ROUTES = [
    Router("/api/auth", route_handlers=signup_routes.HANDLERS, dependencies=_DESK, tags=["Auth"]),
    Router("/api/tenants", route_handlers=tenant_routes.HANDLERS, dependencies=_DESK, tags=["Tenants"]),
    Router(
        "/api/tenants/{tenant_slug:str}/members",
        route_handlers=member_routes.OF_TENANT,
        dependencies=_DESK,
        tags=["Members"],
    ),
    Router("/api/api-keys", route_handlers=key_routes.HANDLERS, tags=["API keys"]),
    Router("/api/audit", route_handlers=[tenant_routes.read_audit], tags=["Audit"]),
    Router("/api/agencies", route_handlers=agency_routes.HANDLERS, dependencies=_DESK, tags=["Agencies"]),
    Router(
        "/api/agencies/{agency:str}/members",
        route_handlers=member_routes.OF_AGENCY,
        dependencies=_DESK,
        tags=["Agencies"],
    ),
    Router("/", route_handlers=pages.HANDLERS, dependencies=_DESK, tags=["Pages"], include_in_schema=False),
]
