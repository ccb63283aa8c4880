"""Teachable: an API key, webhooks set up by hand, and a sync over transactions joined with users and pricing plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from coursesignal.plugin import (
    Account,
    AuthFailed,
    Capabilities,
    Connected,
    ConnectionContext,
    Connector,
    Contact,
    CredentialsRejected,
    Item,
    Page,
    PlatformEvent,
    WebhookRequest,
)
from coursesignal_teachable.api import PricingPlan, TeachableApi, User
from coursesignal_teachable.money import Transaction, email_of, events_of, in_utc
from coursesignal_teachable.parse import delivery_id, parse
from coursesignal_teachable.settings import TeachableCredentials

PER_PAGE = 25
"""With every row's user and plan a page costs at most 51 calls: always within the 100 a minute."""
DAY = timedelta(days=1)
DISPUTABLE = timedelta(days=120)
"""How long after a sale banks take its money back, about."""

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
    streams = ("transactions", "refunds", "chargebacks")
    help = (
        "In Teachable, open Settings > API Keys (Growth plan and above), create a key and paste it here. "
        "Only the school's owner can."
    )
    webhook_help = (
        "In Teachable, open Settings > Webhooks, add a webhook with this address and tick the events Transaction.created, "
        "Transaction.refunded and Sale.created."
    )

    async def connect(self, ctx: Ctx) -> Connected:
        try:
            await _api(ctx).transactions({}, page=1, per=1)
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
        api, number, now = _api(ctx), int(cursor or "1"), datetime.now(UTC)
        page = await api.transactions(_filters(stream, since), number, PER_PAGE)
        rows = [row for row in page.transactions if _touched(row, stream, since)]
        users = await api.users(row.user_id for row in rows if row.user_id is not None)
        plans = await api.pricing_plans(row.pricing_plan_id for row in rows if row.pricing_plan_id is not None)
        events = [
            event
            for row in rows
            for event in events_of(row, _contact(row, users), _items(row, plans), now, ctx.credentials.refunds_in)
        ]
        is_last = not page.transactions or number >= (page.meta.number_of_pages or number + 1)
        return Page(events=events, cursor=None if is_last else str(number + 1), total=page.meta.total)


def _api(ctx: Ctx) -> TeachableApi:
    return TeachableApi(ctx.http, ctx.base_url, ctx.credentials.api_key)


def _filters(stream: str, since: datetime) -> Mapping[str, str]:
    """Which date ``start`` compares is not documented: sales are asked for with a day more; refunds and chargebacks change rows
    of any age, so they are asked for without a date."""
    if stream == "refunds":
        return {"is_fully_refunded": "true"}
    if stream == "chargebacks":
        return {"is_chargeback": "true"}
    return {"start": (since.astimezone(UTC) - DAY).strftime("%Y-%m-%dT%H:%M:%SZ")}


def _touched(row: Transaction, stream: str, since: datetime) -> bool:
    """Whether a row may have changed since; a chargeback tells no date, so the sale's decides."""
    reach = DISPUTABLE if stream == "chargebacks" else timedelta()
    moments = [at for at in (row.purchased_at or row.created_at, row.refunded_at) if at is not None]
    return not moments or max(map(in_utc, moments)) >= since - reach


def _contact(row: Transaction, users: Mapping[str, User]) -> Contact:
    if row.user_id is None:
        return Contact()
    user = users.get(str(row.user_id)) or User(row.user_id)
    return Contact(email=email_of(user.email), external_id=f"user:{row.user_id}", name=user.name or None)


def _items(row: Transaction, plans: Mapping[str, PricingPlan]) -> Sequence[Item]:
    if row.pricing_plan_id is None:
        return []
    plan = plans.get(str(row.pricing_plan_id)) or PricingPlan(row.pricing_plan_id)
    return [Item(external_id=str(row.pricing_plan_id), title=plan.name or f"Product {row.pricing_plan_id}")]
