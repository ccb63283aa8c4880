"""Which purchases are tied to visitors: the match rate's numerator."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import asyncpg

_MATCH = """
    update purchases p set match = found.match
    from (
        select p.id, case when exists (
            select 1 from visitors v where v.tenant_id = $1 and v.person_id = p.person_id
        ) then 'email' else 'unmatched' end as match
        from purchases p where p.tenant_id = $1 and p.id = any($2)
    ) found
    where p.tenant_id = $1 and p.id = found.id and p.match <> found.match"""


async def match(conn: asyncpg.Connection, tenant_id: UUID, purchase_ids: Collection[UUID]) -> int:
    """Note which of these purchases were made by somebody whose visits we saw; returns how many."""
    ids = list(purchase_ids)
    await conn.execute(_MATCH, tenant_id, ids)
    count: int = await conn.fetchval(
        "select count(*) from purchases where tenant_id = $1 and id = any($2) and match <> 'unmatched'", tenant_id, ids
    )
    return count
