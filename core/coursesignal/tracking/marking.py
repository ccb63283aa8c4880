"""The pipeline's step that says which hours' figures are no longer right."""

from __future__ import annotations

from coursesignal.db import stale
from coursesignal.tracking.batch import Batch, Connection


async def mark_changed(conn: Connection, batch: Batch) -> None:
    """Note when the sessions and touches are, or were, that this batch made, changed or removed."""
    moments = {session.started_at for session in batch.visits.sessions}
    moments |= {touch.event.occurred_at for touch in batch.visits.touches}
    await stale.mark(conn, batch.tenant_id, "visits", moments | batch.changed_at)
