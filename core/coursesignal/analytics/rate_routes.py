"""/api/analytics/rates: the tenant's own exchange rates, which ``convert=true`` uses."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec
from litestar import delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from coursesignal.analytics.period import EARLIEST, LATEST
from coursesignal.auth.access import tenant as of_tenant
from coursesignal.auth.callers import Caller
from coursesignal.commerce import rates
from coursesignal.commerce.rates import Rate
from coursesignal.db.engine import Database
from coursesignal.errors import FieldError, Invalid, NotFound
from coursesignal.plugin import Tenant
from coursesignal.tenancy.names import currency_problem

CHANGES = of_tenant("admin", scope="analytics:write")
BaseParam = Annotated[str, QueryParameter(description="What it is told in; the tenant's currency without.")]


class RateIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One unit of the path's currency is ``rate`` units of ``base``, the tenant's currency without."""

    rate: float
    base: str | None = None


@get("/rates", summary="The exchange rates", operation_id="listRates")
async def list_rates(db: NamedDependency[Database], tenant: NamedDependency[Tenant]) -> list[Rate]:
    async with db.tenant(tenant.id) as conn:
        return await rates.list_all(conn, tenant.id)


@put(
    "/rates/{currency:str}/{valid_from:str}", opt=CHANGES, summary="Set the rate from a day on", operation_id="putRate"
)
async def put_rate(
    currency: FromPath[str],
    valid_from: FromPath[str],
    data: JSONBody[RateIn],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> Rate:
    wanted = Rate(
        base=tenant.currency if data.base is None else data.base,
        currency=currency, valid_from=_day(valid_from), rate=data.rate,
    )  # fmt: skip
    async with db.tenant(tenant.id) as conn:
        return await rates.put(conn, tenant.id, caller, wanted)


@delete("/rates/{currency:str}/{valid_from:str}", opt=CHANGES, summary="Delete a rate", operation_id="deleteRate")
async def delete_rate(
    currency: FromPath[str],
    valid_from: FromPath[str],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
    base: BaseParam = "",
) -> None:
    told_in = base or tenant.currency
    if currency_problem(currency) or currency_problem(told_in):
        raise NotFound("There is no such rate.")
    async with db.tenant(tenant.id) as conn:
        await rates.remove(conn, tenant.id, caller, told_in, currency, _day(valid_from))


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if not EARLIEST <= day <= LATEST or len(text) != 10:
        message = f"Must be a day from {EARLIEST} to {LATEST}, as YYYY-MM-DD."
        raise Invalid("This is not a day.", errors=[FieldError("validFrom", message)])
    return day


HANDLERS = [list_rates, put_rate, delete_rate]
