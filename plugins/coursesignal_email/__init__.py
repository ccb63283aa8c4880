"""E-mail to a tenant's owners: a table of contents; each hook says what the plugin adds, other modules do it."""

from __future__ import annotations

from collections.abc import Sequence

from coursesignal.events import ConnectionLost, PurchaseRecorded
from coursesignal.plugin import Context, EmailTemplate, hookimpl
from coursesignal_email import mails, news
from coursesignal_email.settings import EmailSettings


@hookimpl
def register_settings() -> type[EmailSettings]:
    """Which mails the owners want."""
    return EmailSettings


@hookimpl
def register_email_templates() -> Sequence[EmailTemplate]:
    """The first sale, the lost connection."""
    return mails.TEMPLATES


@hookimpl
async def purchase_recorded(ctx: Context[EmailSettings], event: PurchaseRecorded) -> None:
    """The first sale with a known source is news."""
    await news.first_sale(ctx, event)


@hookimpl
async def connection_lost(ctx: Context[EmailSettings], event: ConnectionLost) -> None:
    """A platform that refuses us needs a person."""
    await news.lost_connection(ctx, event)
