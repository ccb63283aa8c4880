"""/api/purchases: whose a purchase is, put right by hand."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from coursesignal.auth.access import tenant as of_tenant
from coursesignal.auth.callers import Caller
from coursesignal.commerce import corrections
from coursesignal.commerce.corrections import Buyer
from coursesignal.db.engine import Database
from coursesignal.plugin import Tenant


class CorrectionIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The buyer's address; null for the one that the platform knows."""

    email: Annotated[str, msgspec.Meta(max_length=254)] | None


@put(
    "/{purchase_id:uuid}/email",
    opt=of_tenant("member", scope="people:write"),
    summary="Put the buyer's address right",
    operation_id="correctPurchaseEmail",
)
async def correct_email(
    purchase_id: FromPath[UUID],
    data: JSONBody[CorrectionIn],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> Buyer:
    """The purchase is that of whoever has this address, however often the platform says otherwise; both are credited again."""
    async with db.tenant(tenant.id) as conn:
        return await corrections.correct(conn, tenant.id, caller, purchase_id, data.email)


ROUTES = [Router("/api/purchases", route_handlers=[correct_email], tags=["people"])]
