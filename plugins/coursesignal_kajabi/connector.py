"""Kajabi: client credentials, hooks made through the API, and a sync over transactions and purchases."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec

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
    WebhookRequest,
)
from coursesignal_kajabi.api import KajabiApi, Listing, Refusal
from coursesignal_kajabi.parse import parse
from coursesignal_kajabi.resources import PurchaseAttributes, Resource, TransactionAttributes, in_utc
from coursesignal_kajabi.settings import KajabiCredentials
from coursesignal_kajabi.translate import Known, purchase_facts, transaction_event

HOOK_EVENTS = ("payment_succeeded", "purchase", "order_created")
PAGE_SIZE = 50
DAY = timedelta(days=1)

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
    streams = ("transactions", "purchases")
    help = (
        "In Kajabi, open Settings > Public API and press Create User API Key. Give it the permissions view:transactions, "
        "view:purchases, view:orders and view:contacts, then paste its key and secret here. "
        "Kajabi offers this with the Pro plan or the Public API add-on."
    )
    webhook_help = (
        "In Kajabi, open Settings > Third-Party Integrations & Webhooks, add a webhook for the event Payment Succeeded and "
        "paste this address. Leave Cart Purchase out: its sales arrive with Payment Succeeded."
    )

    async def connect(self, ctx: Ctx) -> Connected:
        api = await KajabiApi.log_in(ctx.http, ctx.base_url, ctx.credentials)
        try:
            await api.request("GET", "/v1/me")
            site = await _choose_site(api, ctx.credentials.site_id)
            hooks = await _register_hooks(api, site.key, ctx.webhook_url)
        except Refusal as refusal:
            raise CredentialsRejected("clientId", f"Kajabi says: {refusal.words}") from refusal
        title = str(site.attributes.get("title") or f"Site {site.key}")
        return Connected(
            account=Account(id=site.key, name=title),
            webhooks="registered" if hooks else "manual",
            memo={"site_id": site.key, "hooks": hooks},
        )

    def verify_webhook(self, request: WebhookRequest, credentials: KajabiCredentials) -> None:
        """Nothing to verify: no signature, secret or header is documented for either of Kajabi's webhook systems."""

    def parse_webhook(self, request: WebhookRequest) -> Sequence[PlatformEvent]:
        return parse(request.body, request.received_at)

    async def sync_page(self, ctx: Ctx, stream: str, cursor: str | None, since: datetime) -> Page:
        api = await _logged_in(ctx)
        read = {"transactions": _transactions_page, "purchases": _purchases_page}[stream]
        listing, rows = await read(api, str(ctx.memo.get("site_id", "")), cursor, since)
        known = await _look_up(api, rows)
        return Page(events=_events(stream, rows, known), cursor=listing.cursor, total=listing.total)

    async def disconnect(self, ctx: Ctx) -> None:
        api = await _logged_in(ctx)
        for hook in await _hooks_to(api, ctx.webhook_url, ctx.memo):
            with contextlib.suppress(Refusal, AuthFailed):
                await api.request("DELETE", f"/v1/hooks/{hook}")


async def _logged_in(ctx: Ctx) -> KajabiApi:
    try:
        return await KajabiApi.log_in(ctx.http, ctx.base_url, ctx.credentials)
    except CredentialsRejected as error:
        raise AuthFailed(f"{error} Connect again with a valid key.") from error


async def _choose_site(api: KajabiApi, wanted: str) -> Resource:
    """The site to work with. Raises CredentialsRejected when it is not clear which."""
    sites = (await api.page("/v1/sites", {}, None, PAGE_SIZE)).rows
    names = ", ".join(f"{site.key} ({site.attributes.get('title')})" for site in sites)
    if not sites:
        raise CredentialsRejected("clientId", "This key sees no site. Create it as the account's owner.")
    found = [site for site in sites if site.key == wanted] if wanted else list(sites)
    if not found:
        raise CredentialsRejected("siteId", f"This is none of the account's sites: {names}.")
    if len(found) > 1:
        raise CredentialsRejected("siteId", f"The account has several sites; enter the id of one: {names}.")
    return found[0]


async def _register_hooks(api: KajabiApi, site: str, url: str) -> list[str]:
    """Ids of the hooks that send every sales event to ``url``, made where they are missing; none when the key may not."""
    hooks: list[str] = []
    for event in HOOK_EVENTS:
        try:
            existing = await api.page("/v1/hooks", {"filter[event_eq]": event}, None, PAGE_SIZE)
            ours = [hook.key for hook in existing.rows if hook.attributes.get("target_url") == url]
            hooks.append(ours[0] if ours else await _create_hook(api, site, url, event))
        except (Refusal, AuthFailed):
            return []
    return hooks


class _Created(msgspec.Struct, frozen=True):
    data: Resource


async def _create_hook(api: KajabiApi, site: str, url: str, event: str) -> str:
    relationships = {"site": {"data": {"id": site, "type": "sites"}}}
    hook = {"type": "hooks", "attributes": {"target_url": url, "event": event}, "relationships": relationships}
    body = await api.request("POST", "/v1/hooks", content=msgspec.json.encode({"data": hook}))
    try:
        return msgspec.json.decode(body, type=_Created).data.key
    except msgspec.DecodeError as error:
        raise Unavailable("Kajabi sent an answer that is not readable.") from error


async def _hooks_to(api: KajabiApi, url: str, memo: Mapping[str, Any]) -> Sequence[str]:
    """Ids of the hooks to remove: those remembered and those that point at us."""
    remembered = [str(hook) for hook in cast("Sequence[Any]", memo.get("hooks", ()))]
    with contextlib.suppress(AuthFailed, Unavailable):
        listed = await api.page("/v1/hooks", {}, None, PAGE_SIZE)
        remembered += [hook.key for hook in listed.rows if hook.attributes.get("target_url") == url]
    return list(dict.fromkeys(remembered))


async def _transactions_page(
    api: KajabiApi, site: str, cursor: str | None, since: datetime
) -> tuple[Listing, Sequence[Resource]]:
    """A page of money. The filter's time zone is unknown and it may not work at all: ask for a day more and sift here."""
    params = {
        "filter[site_id]": site,
        "filter[start_date]": (since - DAY).date().isoformat(),
        "filter[end_date]": (datetime.now(UTC) + DAY).date().isoformat(),
    }
    listing = await api.page("/v1/transactions", params, cursor, PAGE_SIZE)
    return listing, [row for row in listing.rows if in_utc(row.read(TransactionAttributes).created_at) >= since]


async def _purchases_page(
    api: KajabiApi, site: str, cursor: str | None, since: datetime
) -> tuple[Listing, Sequence[Resource]]:
    """A page of purchases that changed: new ones, cancellations."""
    params = {"filter[site_id]": site, "filter[updated_at_gt]": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    listing = await api.page("/v1/purchases", params, cursor, PAGE_SIZE)
    return listing, [row for row in listing.rows if _changed_at(row) >= since]


def _changed_at(row: Resource) -> datetime:
    purchase = row.read(PurchaseAttributes)
    return in_utc(purchase.updated_at or purchase.created_at)


async def _look_up(api: KajabiApi, rows: Sequence[Resource]) -> Known:
    """The buyers and offers of one page, each asked for once: list rows carry only ids."""
    customers = await api.look_up("/v1/customers", (key for row in rows for key in row.related("customer")))
    offers = await api.look_up("/v1/offers", (key for row in rows for key in row.related("offer", "offers")))
    return Known(customers, offers)


def _events(stream: str, rows: Sequence[Resource], known: Known) -> Sequence[PlatformEvent]:
    if stream == "purchases":
        return [purchase_facts(row, known) for row in rows]
    return [event for row in rows for event in transaction_event(row, known)]
