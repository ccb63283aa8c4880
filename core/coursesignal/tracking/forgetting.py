"""The pipeline's step that keeps erased people erased: a browser may still send the address it was once given."""

from __future__ import annotations

from coursesignal.identity import tombstones
from coursesignal.identity.tombstones import Tombstones
from coursesignal.tracking.batch import Batch, Connection

# All that a page may have put an address into. Most events hold none at all.
_WITH_ADDRESS = """
select event_id, occurred_at, concat_ws(' ', email, url, referrer, title, name, props::text) as said from events
where tenant_id = $1 and event_id = any($2) and occurred_at between $3 and $4
    and concat_ws(' ', email, url, referrer, title, name, props::text) ~* '@|%40|u0040'
"""
_FORGET = """
update events e set email = null, props = null, title = null, ip_hash = null, user_agent = null,
    url = split_part(split_part(e.url, '?', 1), '#', 1), referrer = split_part(split_part(e.referrer, '?', 1), '#', 1)
from unnest($2::uuid[], $3::timestamptz[]) as f (event_id, occurred_at)
where e.tenant_id = $1 and e.event_id = f.event_id and e.occurred_at = f.occurred_at
"""


async def forget_erased(conn: Connection, batch: Batch) -> None:
    """Take out of the batch's events what names somebody whose data was erased; where they came from was read before."""
    erased = await tombstones.of_tenant(conn, batch.tenant_id)
    if not erased.hashes:
        return
    rows = await conn.fetch(_WITH_ADDRESS, batch.tenant_id, batch.event_ids, batch.first_at, batch.last_at)
    naming = {row["event_id"]: row["occurred_at"] for row in rows if erased.named_in(row["said"])}
    if not naming:
        return
    _forget_in_memory(batch, erased, set(naming))
    await conn.execute(_FORGET, batch.tenant_id, list(naming), list(naming.values()))


def _forget_in_memory(batch: Batch, erased: Tombstones, naming: set[object]) -> None:
    for event in batch.events:
        if event.event_id in naming:
            batch.read_origin(event)
            event.email = None if erased.address(event.email) else event.email
            event.url, event.referrer = _without_query(event.url), _without_query(event.referrer)


def _without_query(url: str) -> str:
    return url.partition("?")[0].partition("#")[0]
