"""What the query string of every report asks for, gathered once: period, model and the views of them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from litestar import Request, Router
from litestar.di import NamedDependency, Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from coursesignal.analytics.answers import HEARD, Answer, told
from coursesignal.analytics.period import Wanted, asked
from coursesignal.analytics.reading import Reading, reading
from coursesignal.analytics.wishes import NOTHING, Wishes
from coursesignal.auth.access import tenant as tenant_access
from coursesignal.db.engine import Database
from coursesignal.errors import FieldError, Invalid
from coursesignal.plugin import AttributionModel, Tenant

Models = Mapping[str, AttributionModel]
ModelParam = Annotated[str, QueryParameter(description="Slug of an attribution model; the tenant's default without.")]
ACCESS = tenant_access("viewer", scope="analytics:read")


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to the reports; ``reading()`` opens the snapshot that answers it."""

    db: Database
    tenant: Tenant
    models: Models
    wanted: Wanted
    model: str
    wishes: Wishes = NOTHING
    heard: dict[str, Any] = field(default_factory=dict)
    """How the last reading understood it; part of every answer."""

    @contextlib.asynccontextmanager
    async def reading(self, *, every_model: bool = False) -> AsyncIterator[Reading]:
        """A snapshot of the tenant for this question; ``every_model`` when the report reads more credits than its model's.

        Raises Invalid for what cannot be asked, Busy when it takes too long.
        """
        async with reading(
            self.db, self.tenant, self.models, self.wanted, self.model, self.wishes, every_model=every_model
        ) as about:
            self.heard.update(await told(about))
            yield about

    def of_day(self, day: str) -> Ask:
        """The same about one day; raises Invalid when it is none."""
        try:
            wanted = asked(None, day, day, ZoneInfo(self.tenant.time_zone), datetime.now(UTC))
        except Invalid as error:
            raise Invalid(
                str(error.title), errors=[FieldError("day", one.message) for one in error.errors[:1]]
            ) from error
        return replace(self, wanted=wanted)


async def provide_wanted(
    tenant: NamedDependency[Tenant],
    range_: Annotated[str | None, QueryParameter(name="range", description="7d, 30d, 90d or all; 30d without.")] = None,
    from_: Annotated[str | None, QueryParameter(name="from", description="First day, YYYY-MM-DD.")] = None,
    to: Annotated[str | None, QueryParameter(description="Last day, included; today without.")] = None,
) -> Wanted:
    """The period the query asks for, in days of the tenant's zone."""
    return asked(range_, from_, to, ZoneInfo(tenant.time_zone), datetime.now(UTC))


async def provide_wishes(
    date_by: Annotated[str, QueryParameter(name="dateBy", description="charge or order; charge without.")] = "charge",
    window: Annotated[
        str, QueryParameter(description="1, 7, 14, 30, 60, 90, 365 or lifetime; the tenant's own without.")
    ] = "",
    currency: Annotated[str, QueryParameter(description="The currency to add up; the tenant's without.")] = "",
    convert: Annotated[bool, QueryParameter(description="Convert all other currencies at the tenant's rates.")] = False,
    segment: Annotated[str, QueryParameter(description="Slug of a saved segment; after ! everybody else.")] = "",
    filter_: Annotated[
        str, QueryParameter(name="filter", description="Conditions: source:youtube|newsletter;country!:US, or JSON.")
    ] = "",
) -> Wishes:
    """How the query wants to see the tables."""
    return Wishes(date_by, window, currency, convert, segment, filter_)


async def provide_ask(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    tenant: NamedDependency[Tenant],
    models: NamedDependency[Models],
    wanted: NamedDependency[Wanted],
    wishes: NamedDependency[Wishes],
    model: ModelParam = "",
) -> Ask:
    """The question the query asks; its answer (``answers.Answer``) says how it was understood."""
    ask = Ask(db, tenant, models, wanted, model, wishes)
    request.scope["state"][HEARD] = ask.heard
    return ask


def report_router(handlers: Sequence[HTTPRouteHandler], *, path: str = "/api/analytics") -> Router:
    """A router of reports: their handlers take ``wanted`` or ``ask``, and viewers and reading API keys may call them."""
    return Router(
        path,
        route_handlers=list(handlers),
        dependencies={
            "wanted": Provide(provide_wanted),
            "wishes": Provide(provide_wishes),
            "ask": Provide(provide_ask),
        },
        response_class=Answer,
        tags=["analytics"],
        opt=ACCESS,
    )
