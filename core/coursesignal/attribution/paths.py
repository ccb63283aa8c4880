"""Journeys: the touches of all of a buyer's visitors before the purchase, within the tenant's lookback window.

A purchase that nobody gave an address for has the visitors that are probably its buyer's (:mod:`coursesignal.commerce.fallback`).

Platforms tell a purchase's time in whole seconds, browsers a visit's in milliseconds: a purchase at a whole second happened some
time in it, so a visit in the same second was before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import asyncpg

from coursesignal.plugin import Touch

CLOSES_AT = """{purchased_at} + case when {purchased_at} = date_trunc('second', {purchased_at})
    then interval '999999 microseconds' else interval '0' end"""
"""SQL: the last moment a touch can have and still be on the way to a purchase at ``purchased_at``."""

PATHS = f"""
    with wanted as (
        select p.id, p.person_id, p.purchased_at,
               p.purchased_at - make_interval(days => coalesce($3::int, t.lookback_days)) as opens_at,
               {CLOSES_AT.format(purchased_at="p.purchased_at")} as closes_at
        from purchases p join tenants t on t.id = p.tenant_id
        where p.tenant_id = $1 and p.id = any($2)
    )
    select w.id as purchase_id, w.purchased_at, x.id, x.channel, x.occurred_at, x.source, x.medium, x.campaign,
           x.is_direct, x.is_paid, x.is_opt_in
    from wanted w
    left join lateral (
        select x.* from (
            select v.id from visitors v where v.tenant_id = $1 and v.person_id = w.person_id
            union all
            select b.visitor_id from probable_visitors b where b.tenant_id = $1 and b.purchase_id = w.id
        ) v join touches x on x.tenant_id = $1 and x.visitor_id = v.id
        where x.occurred_at between w.opens_at and w.closes_at
        offset 0
    ) x on true
    order by w.id, x.occurred_at, x.id
"""  # noqa: S608 – of constants


@dataclass(slots=True)
class Journey:
    """One purchase's path, oldest touch first; ``touch_ids`` matches ``path``."""

    purchased_at: datetime
    touch_ids: list[UUID] = field(default_factory=list)
    path: list[Touch] = field(default_factory=list)


async def load_journeys(
    conn: asyncpg.Connection, tenant_id: UUID, purchase_ids: Sequence[UUID], lookback_days: int | None = None
) -> dict[UUID, Journey]:
    """The journey of each purchase within the tenant's window, or within ``lookback_days``; empty for buyers nobody saw."""
    journeys: dict[UUID, Journey] = {}
    for row in await conn.fetch(PATHS, tenant_id, list(purchase_ids), lookback_days):
        journey = journeys.setdefault(row["purchase_id"], Journey(row["purchased_at"]))
        if row["id"] is not None:
            journey.touch_ids.append(row["id"])
            journey.path.append(
                Touch(
                    row["channel"],
                    row["occurred_at"],
                    row["source"],
                    row["medium"],
                    row["campaign"],
                    row["is_direct"],
                    row["is_paid"],
                    row["is_opt_in"],
                )
            )
    return journeys
