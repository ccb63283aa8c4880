"""The most urgent advice on the overview page."""

from __future__ import annotations

from collections.abc import Mapping

from coursesignal.plugin import Context, NoSettings, Panel
from coursesignal_recommendations import advice

SHOWN = 3


async def load(ctx: Context[NoSettings]) -> Mapping[str, object]:
    found = await advice.current(ctx)
    return {"items": found.items[:SHOWN], "message": found.message}


TOP = Panel(slug="top", title="Recommendations", slot="overview", template="recommendations/panel.html", load=load)
