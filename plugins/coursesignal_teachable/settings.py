"""What a creator enters to connect Teachable."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from coursesignal.plugin import Secret, Settings
from coursesignal_teachable.money import RefundsIn


class TeachableCredentials(Settings):
    """An API key of the school: Settings > API Keys."""

    api_key: Annotated[Secret, Meta(title="API key", pattern="^[!-~]+$", max_length=500)]
    school: Annotated[
        str,
        Meta(
            title="School",
            max_length=100,
            description="A name of your choice; only needed to connect more than one school.",
        ),
    ] = ""
    refunds_in: Annotated[
        RefundsIn,
        Meta(
            title="Currency of partial refunds",
            description="Teachable does not say in which currency it tells refunded amounts. "
            "Only matters for sales in other currencies than USD.",
        ),
    ] = "usd"
