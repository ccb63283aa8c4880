"""A problem as a page, for people who followed a link and not for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Request, Response

from coursesignal.web.pages import page

NOT_PAGES = ("/api/", "/health/", "/metrics")


def wants_page(request: Request[Any, Any, Any]) -> bool:
    """Whether a browser asked for something to look at."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(NOT_PAGES)


def error_page(status: int, title: str, detail: str, headers: Mapping[str, str]) -> Response[Any]:
    """The refusal in words, and a way on."""
    values = {"title": title, "detail": detail if detail != title else ""}
    return page("web/problem.html", values, status=status, headers=headers)
