"""Kajabi: client credentials, hooks made through the API, and a sync over transactions and what explains them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from coursesignal.plugin import (
    Account,
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
from coursesignal_kajabi import hooks
from coursesignal_kajabi.api import KajabiApi, MayNot
from coursesignal_kajabi.directory import Directories
from coursesignal_kajabi.parse import is_of_ui, parse
from coursesignal_kajabi.permissions import NEEDED, lacking
from coursesignal_kajabi.reader import Reader
from coursesignal_kajabi.resources import Resource
from coursesignal_kajabi.settings import KajabiCredentials
from coursesignal_kajabi.streams import STREAMS
from coursesignal_kajabi.transport import Refusal

Ctx = ConnectionContext[KajabiCredentials]


class KajabiConnector(Connector[KajabiCredentials]):
    """Kajabi. Its webhooks are unsigned: the address's key is what tells them from forgeries."""

    slug = "kajabi"
    name = "Kajabi"
    api_url = "https://api.kajabi.com"
    credentials = KajabiCredentials
    capabilities = Capabilities(
        signed_push=False,
        refund_push=False,
        refunds="rows",
        currency_in_push=True,
        email_in_push=True,
        email_in_pull=False,
    )
    streams = tuple(STREAMS)
    help = (
        "In Kajabi, open Settings > Public API and press Create User API Key. Give it the permissions view:transactions, "
        "view:purchases, view:orders and view:contacts, then paste its key and secret here. "
        "Kajabi offers this with the Pro plan or the Public API add-on."
    )
    webhook_help = (
        "In Kajabi, open Settings > Third-Party Integrations & Webhooks, add a webhook for the event Payment Succeeded and "
        "paste this address. Leave Cart Purchase out: its sales arrive with Payment Succeeded."
    )

    requests_per_minute = 600
    """Kajabi tells no limit; a tenant may set another."""

    def __init__(self) -> None:
        self._directories = Directories()

    async def connect(self, ctx: Ctx) -> Connected:
        try:
            return await _connect(ctx)
        except Unavailable as error:
            words = f"{error} Your key is not the problem: try again in a few minutes."
            raise Unavailable(words, retry_after=error.retry_after) from error

    def verify_webhook(self, request: WebhookRequest, credentials: KajabiCredentials) -> None:
        """There is nothing to verify: no signature, secret or header is documented for either of Kajabi's webhook systems."""
        if credentials.refuse_ui_webhooks and is_of_ui(request.body):
            raise WebhookRejected("This connection refuses webhooks made in Kajabi's settings.")

    def parse_webhook(self, request: WebhookRequest) -> Sequence[PlatformEvent]:
        return parse(request.body, request.received_at)

    async def sync_page(self, ctx: Ctx, stream: str, cursor: str | None, since: datetime) -> Page:
        api = await KajabiApi.resume(ctx.http, ctx.base_url, ctx.credentials)
        site = str(ctx.memo.get("site_id", ""))
        return await STREAMS[stream](Reader(api, site, ctx.credentials.page_size, self._directories), cursor, since)

    async def disconnect(self, ctx: Ctx) -> None:
        api = await KajabiApi.resume(ctx.http, ctx.base_url, ctx.credentials)
        try:
            await hooks.remove_all(api, ctx.webhook_url, _remembered(ctx.memo))
        finally:
            with contextlib.suppress(Refusal, Unavailable):
                await api.revoke()


async def _connect(ctx: Ctx) -> Connected:
    api = await KajabiApi.log_in(ctx.http, ctx.base_url, ctx.credentials)
    await api.read("/v1/me")
    site = await _choose_site(api, ctx.credentials.site_id.strip())
    await _require_permissions(api, site.key)
    made = await hooks.register(api, site.key, ctx.webhook_url, _remembered(ctx.memo))
    return Connected(
        account=Account(id=site.key, name=_title(site)),
        webhooks="registered" if made.hooks else "manual",
        memo={"site_id": site.key, "hooks": [*made.hooks, *made.left]},
    )


def _title(site: Resource) -> str:
    return str(site.attributes.get("title") or f"Site {site.key}")


def _remembered(memo: Mapping[str, Any]) -> Sequence[str]:
    """Ids of the hooks made when it was connected, and of older ones that could not be removed then."""
    return [str(hook) for hook in cast("Sequence[Any]", memo.get("hooks", ()))]


async def _choose_site(api: KajabiApi, wanted: str) -> Resource:
    """The site to work with. Raises CredentialsRejected when it is not clear which."""
    sites = [site async for site in api.rows("/v1/sites", {}, api.credentials.page_size)]
    names = ", ".join(f"{site.key} ({_title(site)})" for site in sites)
    if not sites:
        raise CredentialsRejected("clientId", "This key sees no site. Make it as the account's owner.")
    found = [site for site in sites if site.key == wanted] if wanted else sites
    if not found:
        raise CredentialsRejected("siteId", f"This is none of the account's sites. Enter the id of one: {names}.")
    if len(found) > 1:
        raise CredentialsRejected("siteId", f"The account has several sites; enter the id of one: {names}.")
    return found[0]


async def _require_permissions(api: KajabiApi, site: str) -> None:
    """Raise CredentialsRejected with the names of all permissions that the key lacks."""
    params = {"filter[site_id]": site, "page[number]": "1", "page[size]": "1"}
    refused: dict[str, str] = {}
    for path in NEEDED:
        try:
            await api.read(path, params=params)
        except MayNot as error:
            refused[path] = error.words
    if refused:
        raise CredentialsRejected("clientId", lacking(refused, next(iter(refused.values()))))
