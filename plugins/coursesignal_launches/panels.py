"""The launches on the overview page: what runs and what comes next."""

from __future__ import annotations

from collections.abc import Mapping

from coursesignal.plugin import Context, NoSettings, Panel
from coursesignal_launches import launches


async def load(ctx: Context[NoSettings]) -> Mapping[str, object]:
    """Running launches with what they brought in so far, then the next ones."""
    active = await launches.listed(ctx, status="active", sort="startsAt", page=1, limit=3)
    upcoming = await launches.listed(ctx, status="upcoming", sort="startsAt", page=1, limit=3)
    running = [(launch, await launches.results(ctx, launch)) for launch in active.items]
    return {"running": running, "upcoming": upcoming.items}


CURRENT = Panel(slug="current", title="Launches", slot="overview", template="launches/panel.html", load=load)
