"""Generated from the route table: every route, called by everyone who must not pass."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from coursesignal.app import create_litestar
from coursesignal.runtime import Runtime

Caller = Callable[["RouteCase", dict[str, str]], Awaitable[httpx.Response]]


@dataclass(frozen=True)
class RouteCase:
    """One method of one route with its declared access."""

    method: str
    path: str
    access: Any
    plugin: str | None

    def url(self, tenant: str) -> str:
        """The path with every parameter filled with something well-formed and absent."""
        parts = []
        for part in self.path.split("/"):
            if not part.startswith("{"):
                parts.append(part)
            elif part.startswith(("{tenant", "{tenant_slug")):
                parts.append(tenant)
            elif ":uuid" in part:
                parts.append(str(uuid4()))
            else:
                parts.append(secrets.token_hex(8))
        return "/".join(parts) or "/"


def cases_of(app: Litestar) -> list[RouteCase]:
    """Every handler the application serves, OPTIONS and the schema's own pages left out."""
    found = []
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            for method in sorted(str(m) for m in handler.http_methods):
                if method not in {"OPTIONS", "HEAD"}:
                    opt = handler.resolve_opt() if callable(getattr(handler, "resolve_opt", None)) else None
                    options = opt or handler.opt
                    found.append(RouteCase(method, route.path_format, options.get("access"), options.get("plugin")))
    return found


@pytest.fixture(scope="module")
def cases(installation: Runtime) -> list[RouteCase]:
    return [
        case
        for case in cases_of(create_litestar(installation, manage_runtime=False))
        if not case.path.startswith("/api/schema")
    ]


def test_every_route_declares_who_may_call_it(cases: list[RouteCase]) -> None:
    assert len(cases) > 60
    assert not [case for case in cases if case.access is None]
