"""Writing and reading notes."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from coursesignal.events import Event
from coursesignal.plugin import Context
from coursesignal_sample.settings import SampleSettings

Ctx = Context[SampleSettings]


class Note(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A note as the API gives it."""

    id: UUID
    kind: str
    body: str
    created_at: datetime


async def remember(ctx: Ctx, event: Event, body: str = "") -> None:
    """Note an event once, however often it is delivered."""
    await note(ctx, event.name, body, event_id=event.id)


async def note(ctx: Ctx, kind: str, body: str = "", *, event_id: UUID | None = None) -> None:
    """Write a note; the same kind of note about the same event is written once."""
    async with ctx.db.transaction() as conn:
        await conn.execute(
            "insert into sample_notes (tenant_id, kind, body, event_id) values ($1, $2, $3, $4) on conflict do nothing",
            ctx.tenant.id,
            kind,
            body,
            event_id,
        )


async def latest(ctx: Ctx, limit: int | None = None) -> list[Note]:
    """The tenant's notes, newest first."""
    async with ctx.db.transaction() as conn:
        rows: list[Any] = await conn.fetch(
            "select id, kind, body, created_at from sample_notes where tenant_id = $1 order by id desc limit $2",
            ctx.tenant.id,
            limit or ctx.settings.notes_per_page,
        )
    return [Note(**dict(row)) for row in rows]
