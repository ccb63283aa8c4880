"""Stripe: a restricted key, signed webhooks set up by hand, and a sync over charges and what explains them."""

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
    Unavailable,
    WebhookRejected,
    WebhookRequest,
)
from coursesignal_stripe import parse, signature
from coursesignal_stripe.api import KeyRefused, MayNot, StripeApi
from coursesignal_stripe.settings import StripeCredentials
from coursesignal_stripe.streams import STREAMS, Stream

Ctx = ConnectionContext[StripeCredentials]


class StripeConnector(Connector[StripeCredentials]):
    """Stripe. Every payment is booked under its payment intent, whichever of its objects tells of it."""

    slug = "stripe"
    name = "Stripe"
    api_url = "https://api.stripe.com"
    credentials = StripeCredentials
    capabilities = Capabilities(
        signed_push=True,
        refund_push=True,
        refunds="rows",
        currency_in_push=True,
        email_in_push=True,
        email_in_pull=True,
    )
    streams = tuple(STREAMS)
    help = (
        "In Stripe, open Developers > API keys, press Create restricted key, and let it read Charges and Refunds, Checkout "
        "Sessions, Invoices, Disputes and Events; everything else stays None. Paste the key here. Once connected, we show an "
        "address for webhooks: make an endpoint with it, and connect again with the endpoint's signing secret."
    )
    webhook_help = (
        "In Stripe, open Developers > Webhooks, add an endpoint (destination) for events of your account with this address, and "
        f"tick {', '.join(parse.ASKED_FOR)}. Then reveal its signing secret (whsec_…) and connect again with the same key and "
        "that secret: until then Stripe's webhooks are refused, because nobody can tell whether they are Stripe's."
    )

    async def connect(self, ctx: Ctx) -> Connected:
        _check_form(ctx.credentials)
        api = _api(ctx)
        try:
            account = await _account(api, ctx.credentials)
        except KeyRefused as error:
            raise CredentialsRejected("apiKey", f"Stripe says: {error}") from error
        if missing := await _missing(api):
            raise CredentialsRejected("apiKey", _ask_for(missing))
        return Connected(account=account, webhooks="manual")

    def verify_webhook(self, request: WebhookRequest, credentials: StripeCredentials) -> None:
        signature.verify(
            request.body,
            request.headers.get("stripe-signature"),
            credentials.signing_secrets,
            request.received_at.timestamp(),
            credentials.tolerance_s,
        )
        if not credentials.test_payments and is_test(request.body):
            raise WebhookRejected("This is a test-mode event; the connection does not book test payments.")

    def parse_webhook(self, request: WebhookRequest) -> Sequence[PlatformEvent]:
        return parse.parse(request.body, request.received_at)

    def delivery_id(self, request: WebhookRequest) -> str | None:
        return parse.read(request.body).id

    async def sync_page(self, ctx: Ctx, stream: str, cursor: str | None, since: datetime) -> Page:
        found = STREAMS[stream]
        try:
            page = await _api(ctx).page(found.path, found.query(since), cursor, found.shape)
        except KeyRefused as error:
            raise AuthFailed(f"Stripe refuses the key: {error} Connect again with a valid one.") from error
        except MayNot as error:
            raise AuthFailed(f"Stripe says: {error} {_ask_for([found.label])}") from error
        rows = [
            row for row in page.data if ctx.credentials.test_payments or getattr(row, "livemode", None) is not False
        ]
        last = page.data[-1].id if page.data and page.has_more else None
        if last is not None and last == cursor:
            raise Unavailable("Stripe sends the same page again and again.")
        return Page(events=[event for row in rows for event in found.events(row, since)], cursor=last)


def is_test(body: bytes) -> bool:
    """Whether an event is of test mode; a body that cannot be read is not."""
    try:
        return parse.read(body).livemode is False
    except ValueError:
        return False


def _api(ctx: Ctx) -> StripeApi:
    return StripeApi(ctx.http, ctx.base_url, ctx.credentials.api_key)


def _check_form(entered: StripeCredentials) -> None:
    """What can be told from the look of keys and secrets. Raises CredentialsRejected."""
    key = entered.api_key
    if not key.startswith(("rk_", "sk_")):
        kind = "a publishable key" if key.startswith("pk_") else "no API key"
        raise CredentialsRejected("apiKey", f"This is {kind}: enter a restricted key, which begins with rk_live_.")
    if key.startswith(("rk_test_", "sk_test_")) and not entered.test_payments:
        words = "This is a test key. Enter the live one, or tick that test payments are booked."
        raise CredentialsRejected("apiKey", words)
    if any(not secret.startswith("whsec_") for secret in entered.signing_secrets):
        raise CredentialsRejected(
            "signingSecret", "A signing secret begins with whsec_: copy it from the endpoint's page."
        )


async def _account(api: StripeApi, entered: StripeCredentials) -> Account:
    """Whose key it is. Few restricted keys may ask; the refusal then says for which account."""
    try:
        return await api.account()
    except MayNot as error:
        account = error.account or entered.account
    if not account:
        words = "Stripe does not say whose key this is. Enter the account id, from Settings > Account details."
        raise CredentialsRejected("account", words)
    if entered.account not in ("", account):
        raise CredentialsRejected("account", f"This key belongs to another account: {account}.")
    return Account(id=account, name=account)


async def _missing(api: StripeApi) -> Sequence[str]:
    """The permissions the key lacks, by their names in Stripe's dashboard. Raises CredentialsRejected, Unavailable."""
    found = [await _lacking(api, stream) for stream in STREAMS.values()]
    return list(dict.fromkeys(label for label in found if label is not None))


async def _lacking(api: StripeApi, stream: Stream) -> str | None:
    """The permission that ``stream`` needs and the key lacks, with Stripe's own name for it where it tells one."""
    try:
        await api.page(stream.path, {**stream.params, "limit": "1"}, None, stream.shape)
    except MayNot as error:
        return f"{stream.label} ({', '.join(error.permissions)})" if error.permissions else stream.label
    except KeyRefused as error:
        raise CredentialsRejected("apiKey", f"Stripe says: {error}") from error
    return None


def _ask_for(labels: Sequence[str]) -> str:
    where = "Edit it in Stripe (Developers > API keys), set these to Read, and connect again."
    return f"The key may not read: {', '.join(labels)}. {where}"
