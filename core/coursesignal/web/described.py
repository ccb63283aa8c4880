"""What the API's own description says of refusals: which problems each route answers with, and what to send to be let in."""

from __future__ import annotations

from collections.abc import Iterator

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.routes import HTTPRoute

from coursesignal.web.access import Access
from coursesignal.web.problems import MEDIA_TYPE, Problem

MEANINGS = {
    400: "The request cannot be read.",
    401: "Nobody, or an expired somebody, is asking.",
    403: "The caller is known and may not do this.",
    404: "Absent, or someone else's.",
    410: "It was here, and is over.",
    422: "Some fields are not valid; `errors` names them.",
    429: "Too many requests; `Retry-After` says when to try again.",
}


def describe_refusals(app: Litestar) -> None:
    """Give every documented handler its problem responses, by its access class and by what it takes."""
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            access = handler.opt.get("access")
            if isinstance(access, Access):
                refusals = {
                    status: _problem(status) for status in _refusals(handler, access, bool(route.path_parameters))
                }
                handler.responses = {**refusals, **(handler.responses or {})}
                handler.security = [] if access.kind == "public" else [{"bearer": []}]


def _refusals(handler: HTTPRouteHandler, access: Access, has_path: bool) -> Iterator[int]:
    takes = set(handler.parsed_fn_signature.parameters)
    asked = takes - set(handler.resolve_dependencies()) - {"request"}
    if access.kind != "public":
        yield from (401, 403)
    if access.kind in {"tenant", "agency", "browser"} or has_path:
        yield 404
    if access.kind == "tenant" or has_path or asked:
        yield 400
    if asked:
        yield 422
    if "desk" in takes or access.kind == "public":
        yield 429


def _problem(status: int) -> ResponseSpec:
    return ResponseSpec(Problem, generate_examples=False, description=MEANINGS[status], media_type=MEDIA_TYPE)
