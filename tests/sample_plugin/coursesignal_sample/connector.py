"""The platform at sample.test: signed webhooks, one stream, and a consent page."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec

from coursesignal.plugin import (
    Account,
    AuthFailed,
    BaseContext,
    Capabilities,
    Charge,
    Connected,
    ConnectionContext,
    ConsentConnector,
    ConsentRequest,
    Contact,
    CredentialsRejected,
    Item,
    Page,
    PlatformEvent,
    Unavailable,
    WebhookRejected,
    WebhookRequest,
)
from coursesignal_sample.settings import SampleSettings

SIGNATURE = "x-sample-signature"


class Sale(msgspec.Struct):
    """A sale as the platform tells it."""

    id: str
    email: str
    cents: int
    currency: str
    course: str
    sold_at: datetime
    refund: bool = False


def sign(body: bytes, api_key: str) -> str:
    """The signature of a webhook."""
    return hmac.new(api_key.encode(), body, "sha256").hexdigest()


class SampleConnector(ConsentConnector[SampleSettings]):
    """Sample."""

    slug = "sample"
    name = "Sample"
    api_url = "https://api.sample.test"
    credentials = SampleSettings
    streams = ("sales",)
    help = "Sample asks you to allow the connection on its own page."
    webhook_help = "In Sample, open Account and paste the address under Webhooks."
    capabilities = Capabilities(
        signed_push=True,
        refund_push=True,
        refunds="rows",
        currency_in_push=True,
        email_in_push=True,
        email_in_pull=True,
    )

    def authorize_url(self, request: ConsentRequest, base_url: str) -> str:
        query = {
            "response_type": "code",
            "state": request.state,
            "redirect_uri": request.redirect_uri,
            "code_challenge": request.challenge,
            "code_challenge_method": "S256",
        }
        return f"{base_url}/authorize?{urlencode(query)}"

    async def exchange_code(
        self, ctx: BaseContext, request: ConsentRequest, code: str, base_url: str
    ) -> SampleSettings:
        form = {"code": code, "code_verifier": request.verifier, "redirect_uri": request.redirect_uri}
        answer = await _answer(ctx.http.post(f"{base_url}/token", data=form))
        return SampleSettings(api_key=answer["api_key"])

    async def connect(self, ctx: ConnectionContext[SampleSettings]) -> Connected:
        if not ctx.credentials.api_key:
            raise CredentialsRejected("apiKey", "Paste the API key from sample.test.")
        try:
            me = await _answer(ctx.http.get("/me", headers=_headers(ctx)))
        except AuthFailed as error:
            raise CredentialsRejected("apiKey", str(error)) from error
        return Connected(account=Account(id=me["id"], name=me["name"]), webhooks="manual", memo={"account": me["id"]})

    def verify_webhook(self, request: WebhookRequest, credentials: SampleSettings) -> None:
        wanted = sign(request.body, credentials.api_key)
        if not hmac.compare_digest(request.headers.get(SIGNATURE, "").encode(), wanted.encode()):
            raise WebhookRejected("The signature does not match.")

    def parse_webhook(self, request: WebhookRequest) -> Sequence[PlatformEvent]:
        return [_charge(msgspec.json.decode(request.body, type=Sale))]

    async def sync_page(
        self, ctx: ConnectionContext[SampleSettings], stream: str, cursor: str | None, since: datetime
    ) -> Page:
        query = {"since": since.isoformat(), "page": cursor or "1"}
        answer = await _answer(ctx.http.get("/sales", params=query, headers=_headers(ctx)))
        sales = msgspec.convert(answer["sales"], list[Sale])
        return Page(events=[_charge(sale) for sale in sales], cursor=answer["next"], total=answer["total"])

    async def disconnect(self, ctx: ConnectionContext[SampleSettings]) -> None:
        await _answer(ctx.http.delete(f"/accounts/{ctx.memo['account']}/hooks", headers=_headers(ctx)))


def _headers(ctx: ConnectionContext[SampleSettings]) -> dict[str, str]:
    return {"authorization": f"Bearer {ctx.credentials.api_key}"}


async def _answer(call: Any) -> Any:
    try:
        response: httpx.Response = await call
    except httpx.HTTPError as error:
        raise Unavailable("Sample does not answer.") from error
    if response.status_code == 401:
        raise AuthFailed(response.json()["error"])
    if response.is_error:
        raise Unavailable(f"Sample answered {response.status_code}.")
    return response.json()


def _charge(sale: Sale) -> Charge:
    return Charge(
        external_id=sale.id,
        kind="refund" if sale.refund else "sale",
        amount_minor=sale.cents,
        currency=sale.currency,
        occurred_at=sale.sold_at,
        purchase_keys=(f"sale:{sale.id.removeprefix('refund-')}",),
        contact=Contact(email=sale.email),
        items=(Item(external_id=sale.course, title=sale.course),),
        refund_of=sale.id.removeprefix("refund-") if sale.refund else None,
    )
