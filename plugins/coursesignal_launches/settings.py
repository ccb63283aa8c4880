"""What a tenant lets the launches plugin say in public: nothing, until it chooses."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from coursesignal.plugin import Context, Settings

Listing = Literal["off", "anonymous", "named"]


class LaunchSettings(Settings):
    """The form."""

    recent_launches: Annotated[
        Listing,
        Meta(
            title="Show shared launches among recent launches",
            description="Only launches you share are shown. Anonymous ones without your name and theirs, in round numbers.",
        ),
    ] = "off"
    public_stats: Annotated[
        bool,
        Meta(
            title="Count in public statistics",
            description="Your totals are added to those of at least nine others before anybody sees them.",
        ),
    ] = False


Ctx = Context[LaunchSettings]
