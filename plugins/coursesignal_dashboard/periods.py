"""The periods that pages can be asked for."""

from __future__ import annotations

from typing import Annotated, Any

from litestar.params import QueryParameter

from coursesignal.plugin import Invalid

RANGES = (("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days"), ("all", "All time"))
RangeParam = Annotated[str, QueryParameter(name="range", description="7d, 30d, 90d or all.")]


def known(range_: str) -> Any:
    """The period of that name; raises Invalid for another."""
    if range_ not in dict(RANGES):
        raise Invalid("Choose 7d, 30d, 90d or all as the range.")
    return range_
