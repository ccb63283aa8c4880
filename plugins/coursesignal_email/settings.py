"""What a tenant chooses."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from coursesignal.plugin import Settings


class EmailSettings(Settings):
    """The form: which mails the owners get."""

    first_sale: Annotated[
        bool,
        Meta(title="First sale", description="Once, when the first sale can be traced to where the buyer came from."),
    ] = True
    connection_lost: Annotated[
        bool, Meta(title="Connection lost", description="When a platform no longer accepts the credentials.")
    ] = True
