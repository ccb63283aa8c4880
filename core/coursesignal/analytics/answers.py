"""Every report's answer says how the question was understood: what money was dated by, the window, the segment, the rates."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response
from litestar.response.base import ASGIResponse

from coursesignal.analytics.conversion import UNUSED, USED, Conversion
from coursesignal.analytics.reading import Reading
from coursesignal.tenancy.tenants import LIFETIME_DAYS

HEARD = "reports_heard"
"""Where a request's state keeps how its question was understood."""


async def told(reading: Reading) -> dict[str, Any]:
    """What an answer says of its reading besides period, currency and model, which are its own fields."""
    wishes = reading.wishes
    heard: dict[str, Any] = {
        "dateBy": wishes.date_by,
        "window": "lifetime" if reading.lookback_days >= LIFETIME_DAYS else reading.lookback_days,
    }
    if wishes.segment:
        heard["segment"] = wishes.segment
    if wishes.filter:
        heard["filter"] = wishes.filter
    if reading.conversion:
        heard |= await _converted(reading, reading.conversion)
    return heard


async def _converted(reading: Reading, conversion: Conversion) -> dict[str, Any]:
    """The rates by which the period's charges were converted, and the currencies that had none."""
    period = (reading.tenant.id, reading.period.start_at, reading.period.end_at)
    used = {(row["currency"], row["from_at"]) for row in await reading.fetch(USED, *period)}
    rest = await reading.fetch(UNUSED, *period, reading.currency)
    return {
        "rates": [
            {"currency": rate.said.currency, "rate": rate.said.rate, "validFrom": rate.said.valid_from.isoformat()}
            for rate in conversion.rates
            if (rate.said.currency, rate.from_at) in used
        ],
        "withoutRate": [row["currency"] for row in rest],
    }


class Answer(Response[Any]):
    """Adds to a report what ``told`` says of its reading."""

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **options: Any) -> ASGIResponse:
        heard = request.scope["state"].get(HEARD)
        if heard and isinstance(self.content, msgspec.Struct):
            self.content = {**msgspec.to_builtins(self.content), **heard}
        return super().to_asgi_response(app, request, **options)
