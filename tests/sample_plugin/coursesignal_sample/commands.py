"""Commands of ``coursesignal sample``."""

from __future__ import annotations

from coursesignal.plugin import Context
from coursesignal_sample.notes import latest, note
from coursesignal_sample.settings import SampleSettings


async def notes(ctx: Context[SampleSettings], *, limit: int = 10) -> None:
    """Print the latest notes."""
    for line in await latest(ctx, limit):
        print(f"{line.created_at:%Y-%m-%d %H:%M} {line.kind} {line.body}")


async def add(ctx: Context[SampleSettings], *, body: str, loud: bool = False) -> None:
    """Write a note."""
    await note(ctx, "command", body.upper() if loud else body)
