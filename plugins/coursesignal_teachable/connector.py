"""Teachable: an API key, webhooks set up by hand, and a sync over transactions joined with users and pricing plans."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from coursesignal.plugin import (
    Account,
    AuthFailed,
    Capabilities,
    Connected,
    ConnectionContext,
    Connector,
    CredentialsRejected,
    Page,
    PlatformEvent,
    WebhookRequest,
)
from coursesignal_teachable.api import TeachableApi, TransactionPage
from coursesignal_teachable.directory import Directories
from coursesignal_teachable.parse import delivery_id, parse
from coursesignal_teachable.settings import TeachableCredentials
from coursesignal_teachable.streams import STREAMS, Reader, ours

EVENTS = ("Transaction.created", "Transaction.refunded", "Sale.created", "Sale.subscription_canceled")
"""What a school's webhooks should tell."""

Ctx = ConnectionContext[TeachableCredentials]


class TeachableConnector(Connector[TeachableCredentials]):
    """Teachable. Its webhooks carry no signature anyone documented: the address's key is what tells them from forgeries."""

    slug = "teachable"
    name = "Teachable"
    api_url = "https://developers.teachable.com"
    credentials = TeachableCredentials
    capabilities = Capabilities(
        signed_push=False,
        refund_push=True,
        refunds="mutations",
        currency_in_push=True,
        email_in_push=True,
        email_in_pull=False,
    )
    streams = tuple(STREAMS)
    requests_per_minute = 100
    monthly_requests = 10_000
    """Of the Growth plan; Advanced has 25,000, which a tenant can enter."""
    rescan_days = 90
    """A partial refund changes the row of its sale, and only a look at the row tells of it."""
    help = (
        "In Teachable, open Settings > API Keys (Growth plan and above), create a key and paste it here. "
        "Only the school's owner can."
    )
    webhook_help = (
        "In Teachable, open Settings > Webhooks, add a webhook with this address and tick the events Transaction.created, "
        "Transaction.refunded, Sale.created and Sale.subscription_canceled. Then press Check."
    )

    def __init__(self) -> None:
        self._directories = Directories()

    async def connect(self, ctx: Ctx) -> Connected:
        try:
            await _api(ctx).page("/v1/transactions", TransactionPage, 1, 1)
        except AuthFailed as error:
            raise CredentialsRejected("apiKey", str(error)) from error
        school = ctx.credentials.school.strip()
        return Connected(account=Account(id=school or "school", name=school or "Teachable school"), webhooks="manual")

    def verify_webhook(self, request: WebhookRequest, credentials: TeachableCredentials) -> None:
        """Nothing to verify: no official page documents a signature, secret or header."""

    def parse_webhook(self, request: WebhookRequest) -> Sequence[PlatformEvent]:
        return parse(request.body, request.received_at)

    def delivery_id(self, request: WebhookRequest) -> str | None:
        return delivery_id(request.body)

    async def sync_page(self, ctx: Ctx, stream: str, cursor: str | None, since: datetime) -> Page:
        return await STREAMS[stream](self._reader(ctx), cursor, since)

    async def check_webhooks(self, ctx: Ctx) -> str:
        """Whether the school's webhooks have our address for every event that tells of money."""
        ticked = {one.event_trigger for one in await ours(_api(ctx), ctx.webhook_url)}
        missing = [event for event in EVENTS if event not in ticked]
        if not missing:
            return ""
        if not ticked:
            return "Teachable knows no webhook with this address. Add one in Settings > Webhooks, and tick the events."
        return f"Teachable has this address, but not for {' and '.join(missing)}. Tick what is missing in Settings > Webhooks."

    def _reader(self, ctx: Ctx) -> Reader:
        api = _api(ctx)
        return Reader(api, self._directories.of(api), ctx.credentials.refunds_in, ctx.webhook_url)


def _api(ctx: Ctx) -> TeachableApi:
    return TeachableApi(ctx.http, ctx.base_url, ctx.credentials.api_key)
