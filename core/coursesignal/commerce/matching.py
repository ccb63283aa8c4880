"""Which purchases are tied to visitors: the match rate's numerator."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import asyncpg

from coursesignal.commerce import fallback

_BY_ADDRESS = """
    update purchases p set match = case when found.seen then 'email' else 'unmatched' end
    from (
        select p.id, exists (select from visitors v where v.tenant_id = $1 and v.person_id = p.person_id) as seen
        from purchases p where p.tenant_id = $1 and p.id = any($2)
    ) found
    where p.tenant_id = $1 and p.id = found.id and (p.match = 'email') <> found.seen"""


async def match(conn: asyncpg.Connection, tenant_id: UUID, purchase_ids: Collection[UUID]) -> int:
    """Note which of these purchases were made by somebody whose visits we saw, surely or probably; returns how many."""
    ids = list(purchase_ids)
    await conn.execute(_BY_ADDRESS, tenant_id, ids)
    await fallback.match(conn, tenant_id, ids)
    count: int = await conn.fetchval(
        "select count(*) from purchases where tenant_id = $1 and id = any($2) and match <> 'unmatched'", tenant_id, ids
    )
    return count
