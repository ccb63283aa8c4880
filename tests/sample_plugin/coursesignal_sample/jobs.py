"""Work for the queue, and the ways in which a plugin can go wrong."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from coursesignal.plugin import Context, Job
from coursesignal_sample.notes import latest, note
from coursesignal_sample.settings import SampleSettings
from coursesignal_sample.tables import SampleNotes

Ctx = Context[SampleSettings]
TOO_LONG_S = 600


async def count(ctx: Ctx) -> None:
    """Note how many notes there are."""
    async with ctx.db.transaction():
        how_many = await SampleNotes.count().where(SampleNotes.tenant_id == ctx.tenant.id)
    await note(ctx, "count", str(how_many))


async def greet(ctx: Ctx, to: str, name: str) -> None:
    """Send a greeting, once per address."""
    await ctx.send_email("greeting", to, key=to, name=name, notes=await latest(ctx, 3))


JOBS = [
    Job(name="count", function=count, timeout=timedelta(minutes=1)),
    Job(name="greet", function=greet, retries=2),
]


async def mood(ctx: Ctx) -> object:
    """Do what ``settings.mood`` says."""
    match ctx.settings.mood:
        case "raises":
            raise ValueError("the sample plugin is in a bad mood")
        case "hangs":
            await asyncio.sleep(TOO_LONG_S)
        case "answers":
            return "nobody asked"
        case "blocks":
            time.sleep(3)
    return None


def blocking_mood(ctx: Ctx) -> None:
    """The same where there is no event loop."""
    if ctx.settings.mood == "hangs":
        time.sleep(TOO_LONG_S)
