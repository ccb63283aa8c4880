"""The launches on the overview page: what runs and what comes next."""

from __future__ import annotations

from collections.abc import Mapping

from coursesignal.plugin import Panel
from coursesignal_launches import launches, live
from coursesignal_launches.settings import Ctx
from coursesignal_launches.words import moment, money


async def load(ctx: Ctx) -> Mapping[str, object]:
    """Running launches with what they brought in so far, then the next ones."""
    active = await launches.listed(ctx, status="active", sort="startsAt", page=1, limit=3)
    upcoming = await launches.listed(ctx, status="upcoming", sort="startsAt", page=1, limit=3)
    running = [(launch, (await live.stats(ctx, launch))) for launch in active.items]
    written = moment(ctx.tenant.time_zone)
    return {"running": running, "upcoming": upcoming.items, "moment": written, "money": money}


CURRENT = Panel(slug="current", title="Launches", slot="overview", template="launches/panel.html", load=load)
