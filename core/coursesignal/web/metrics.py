"""Prometheus metrics of one process: how often each route answered what, and how long it took.

A route is counted under its template (``/api/tenants/{tenant}``), so that no address, id or tenant becomes a label.
"""

from __future__ import annotations

import time
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

from coursesignal.errors import NotFound
from coursesignal.settings import Settings
from coursesignal.web.access import public
from coursesignal.web.clients import client_address, is_local

REQUESTS = Counter("coursesignal_http_requests", "Answers by route and status", ["method", "route", "status"])
SECONDS = Histogram(
    "coursesignal_http_request_seconds",
    "Time to the start of the answer",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


class Measured(ASGIMiddleware):
    """Counts and times every request."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        started = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = str(scope.get("path_template") or "unknown")
                REQUESTS.labels(str(scope.get("method", "")), route, str(message["status"])).inc()
                SECONDS.labels(route).observe(time.perf_counter() - started)
            await send(message)

        await next_app(scope, receive, counted)


@get(
    "/metrics", opt=public(), summary="Prometheus metrics, for this machine and private networks only",
    operation_id="metrics", tags=["Operation"], include_in_schema=False,
)  # fmt: skip
async def metrics(request: Request[Any, Any, Any], settings: NamedDependency[Settings]) -> Response[bytes]:
    if not is_local(client_address(request, settings.trusted_proxies)):
        raise NotFound
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


ROUTES = [metrics]
