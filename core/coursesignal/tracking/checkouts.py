"""The pipeline's step that asks again whose a sale may be, when a visit comes that could say so."""

from __future__ import annotations

from coursesignal.identity.checkouts import AFTER, BEFORE, KIN, MATCH, page_of, place_of
from coursesignal.jobs.outbox import enqueue
from coursesignal.tracking.batch import Batch, Connection

# Sales nobody gave an address for that these checkouts or first visits may be of, and those that have these visitors already.
_CONCERNED = """
    select p.id
    from unnest($2::timestamptz[], $3::timestamptz[]) as sales (first_at, last_at) join purchases p on p.tenant_id = $1
        and p.purchased_at between sales.first_at and sales.last_at and p.match <> 'email' and p.charged_minor > 0
    union
    select purchase_id from probable_visitors where tenant_id = $1 and visitor_id = any($4)"""


async def look_for_buyers(conn: Connection, batch: Batch) -> None:
    """Have purchases looked at again that somebody of this batch may have made."""
    if not batch.fallback_match:
        return
    is_checkout = page_of(batch.checkout_pages).fullmatch
    paid = [e.occurred_at for e in batch.events if e.type == "pageview" and is_checkout(place_of(e.url))]
    came = [touch.event.occurred_at for touch in batch.visits.touches]
    if not (paid or came):
        return
    sales = [(min(paid) - AFTER, max(paid) + BEFORE)] if paid else []
    sales += [(min(came), max(came) + KIN)] if came else []
    rows = await conn.fetch(_CONCERNED, batch.tenant_id, *zip(*sales, strict=True), list(batch.touched_visitors))
    if rows:
        await enqueue(conn, batch.tenant_id, MATCH, {"purchaseIds": sorted(str(row["id"]) for row in rows)})
