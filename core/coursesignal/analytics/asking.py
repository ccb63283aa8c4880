"""What the query string of every report asks for, gathered once: period, model and the views of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from litestar import Router
from litestar.di import NamedDependency, Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from coursesignal.analytics.period import Wanted, asked
from coursesignal.analytics.reading import Reading, reading
from coursesignal.auth.access import tenant as tenant_access
from coursesignal.db.engine import Database
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

    def reading(self) -> AbstractAsyncContextManager[Reading]:
        """A snapshot of the tenant for this question; raises Invalid for what cannot be asked, Busy when it takes too long."""
        return reading(self.db, self.tenant, self.models, self.wanted, self.model)


async def provide_wanted(
    tenant: NamedDependency[Tenant],
    range_: Annotated[str | None, QueryParameter(name="range", description="7d, 30d, 90d or all; 30d without.")] = None,
    from_: Annotated[str | None, QueryParameter(name="from", description="First day, YYYY-MM-DD.")] = None,
    to: Annotated[str | None, QueryParameter(description="Last day, included; today without.")] = None,
) -> Wanted:
    """The period the query asks for, in days of the tenant's zone."""
    return asked(range_, from_, to, ZoneInfo(tenant.time_zone), datetime.now(UTC))


async def provide_ask(
    db: NamedDependency[Database],
    tenant: NamedDependency[Tenant],
    models: NamedDependency[Models],
    wanted: NamedDependency[Wanted],
    model: ModelParam = "",
) -> Ask:
    """The question the query asks."""
    return Ask(db, tenant, models, wanted, model)


def report_router(handlers: Sequence[HTTPRouteHandler], *, path: str = "/api/analytics") -> Router:
    """A router of reports: their handlers take ``wanted`` or ``ask``, and viewers and reading API keys may call them."""
    return Router(
        path,
        route_handlers=list(handlers),
        dependencies={"wanted": Provide(provide_wanted), "ask": Provide(provide_ask)},
        tags=["analytics"],
        opt=ACCESS,
    )
