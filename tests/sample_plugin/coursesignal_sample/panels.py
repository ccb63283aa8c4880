"""A piece of the overview page."""

from __future__ import annotations

from collections.abc import Mapping

from coursesignal.plugin import Context, Panel
from coursesignal_sample.notes import latest
from coursesignal_sample.settings import SampleSettings


async def load(ctx: Context[SampleSettings]) -> Mapping[str, object]:
    if ctx.settings.mood == "raises":
        raise ValueError("the sample plugin is in a bad mood")
    return {"notes": await latest(ctx, 5)}


LATEST_NOTES = Panel(
    slug="latest_notes", title="Latest notes", slot="overview", template="sample/latest_notes.html", load=load
)
