"""What a creator enters to connect Kajabi."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from coursesignal.plugin import Secret, Settings

Short = Meta(min_length=1, max_length=500)
PAGE_SIZE = 100


class KajabiCredentials(Settings):
    """An API key of the account: Settings > Public API > Create User API Key."""

    client_id: Annotated[str, Short, Meta(title="API key (client id)")]
    client_secret: Annotated[Secret, Short, Meta(title="API secret (client secret)")]
    site_id: Annotated[
        str, Meta(title="Site id", max_length=40, description="Only needed when the account has several sites.")
    ] = ""
    refuse_ui_webhooks: Annotated[
        bool,
        Meta(
            title="Refuse webhooks made in Kajabi's settings",
            description="Tick it if sales they tell of appear twice: the API's hooks and syncing bring every sale without them.",
        ),
    ] = False
    page_size: Annotated[
        int,
        Meta(
            title="Rows per request",
            ge=1,
            le=100,
            description="Kajabi does not say how many it allows; lower this if it refuses.",
        ),
    ] = PAGE_SIZE
