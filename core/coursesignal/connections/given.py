"""What the platform routes share: the parts they are given, and how they are called in OpenAPI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Request

from coursesignal.connections.house import House, house


def provide_house(request: Request[Any, Any, Any]) -> House:
    """The parts of the process that connections work with."""
    return house(request.app.state.runtime)


def operation(verb: str) -> Callable[..., str]:
    """``connectKajabi`` for the verb "connect" under /api/kajabi."""

    def name(handler: object, method: object, path: list[Any]) -> str:
        return verb + "".join(part.title() for part in str(path[1]).split("_"))

    return name
