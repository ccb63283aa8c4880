"""Claims: what people say of how they heard of a tenant. Kept as said, apart from what was tracked, and never mixed with it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from coursesignal.identity.emails import email_key
from coursesignal.identity.tombstones import erased_among
from coursesignal.tracking.batch import Batch, Connection

EVENT_NAMES = ("self_reported", "self-reported", "how_did_you_hear")
"""Custom events that carry an answer."""
ANSWER_PROPS = ("source", "answer", "value")
"""Where in such an event it is, the first that is there."""
MAX_ANSWER = 1000
MAX_SOURCE = 200

_ANSWERS = """
    select event_id, visitor_id, occurred_at, props from events
    where tenant_id = $1 and event_id = any($2) and occurred_at between $3 and $4 and name = any($5) and props is not null"""
_KEEP = """
    insert into claims (tenant_id, claim_key, email_key, visitor_id, source, answer, evidence, occurred_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing"""


def source_of(answer: str) -> str:
    """An answer as the source it names: one spelling of case and spaces, at most MAX_SOURCE characters; empty for none."""
    return " ".join(answer.split()).casefold()[:MAX_SOURCE].strip()


async def note_claims(conn: Connection, batch: Batch) -> None:
    """Keep the answers among the batch's custom events, as their visitor's."""
    custom = [event for event in batch.events if event.type == "custom"]
    if not custom:
        return
    times = [event.occurred_at for event in custom]
    rows = await conn.fetch(
        _ANSWERS, batch.tenant_id, [event.event_id for event in custom], min(times), max(times), list(EVENT_NAMES)
    )
    told = [(row, answer) for row in rows if source_of(answer := answer_in(row["props"]))]
    await conn.executemany(
        _KEEP,
        [
            (
                batch.tenant_id, f"event:{row['event_id']}", None, row["visitor_id"], source_of(answer), answer[:MAX_ANSWER],
                "event", row["occurred_at"],
            )
            for row, answer in told
        ],
    )  # fmt: skip


def answer_in(props: Any) -> str:
    """The answer in an event's properties; empty without one."""
    if not isinstance(props, dict):
        return ""
    return next((value for name in ANSWER_PROPS if isinstance(value := props.get(name), str) and value.strip()), "")


async def record_claim(conn: Connection, tenant_id: UUID, email: str, answer: str, at: datetime) -> bool:
    """Keep what the person with that address says; the same said twice is kept once. False when their data was erased."""
    key = email_key(email)
    assert key is not None, "checked before"
    if await erased_among(conn, tenant_id, {("email", key)}):
        return False
    source = source_of(answer)
    said = hashlib.sha256(f"{key}|{source}|{at.isoformat()}".encode()).hexdigest()
    await conn.execute(_KEEP, tenant_id, f"api:{said}", key, None, source, answer, "api", at)
    return True
