"""A Kajabi that answers as ``Kajabi/public_api_docs`` (v1.1.0) says, with the contradictions of its pages as switches."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlencode

import msgspec

from coursesignal.testing.platforms import kajabi_rows as rows_of
from coursesignal.testing.platforms.books import FakeSale
from coursesignal.testing.platforms.kajabi_rows import Row, iso
from coursesignal.testing.platforms.server import Call, FakePlatform, Quirks, Reply, Route, moment, number

EVENTS = ("purchase", "payment_succeeded", "order_created", "form_submission", "tag_added", "tag_removed")


@dataclass(slots=True)
class KajabiQuirks(Quirks):
    """How this Kajabi behaves where the documentation contradicts itself or is silent."""

    paging: Literal["links", "self_only"] = "links"
    """``links``: next and meta; ``self_only``: as the response schemas say, only self and current."""
    integer_ids: bool = False
    """Ids of pushed resources as integers."""
    positive_refunds: bool = False
    """Refund amounts without a minus sign."""
    ignores_dates: bool = False
    """The date filter of transactions does nothing (reported by a client)."""
    links_purchases: bool = True
    """Transactions name their purchases (since 10 June 2026); before only offer and customer."""
    names_offers: bool = True
    """Transactions name their offer (deprecated, null for several)."""
    pushes: tuple[str, ...] = ("payment_succeeded", "purchase", "order_created")
    """API events one sale raises."""
    ui_webhooks: bool = False
    """Push the UI's webhooks (``purchase.created``, ``payment.succeeded``) instead of the API's hooks."""
    refuses_hooks: bool = False
    """The key lacks the permissions for hooks: 403."""
    max_page_size: int = 100


class FakeKajabi(FakePlatform):
    """One Kajabi account with its sites, customers, offers, purchases and transactions."""

    slug = "kajabi"
    media_type = "application/vnd.api+json"
    user_agent = "Kajabi"

    def __init__(
        self,
        *,
        client_id: str = "kajabi-client",
        client_secret: str = "kajabi-secret",
        sites: Mapping[str, str] | None = None,
        quirks: KajabiQuirks | None = None,
        port: int = 0,
    ) -> None:
        self.client_id, self.client_secret = client_id, client_secret
        self.sites = dict(sites or {"2": "Example Academy"})
        self.quirks = quirks or KajabiQuirks()
        self.hooks: dict[str, Row] = {}
        self.tokens: set[str] = set()
        self.transactions: list[Row] = []
        self.purchases: dict[str, Row] = {}
        self._refunded: dict[int, int] = {}
        self._next = {"transaction": 9000, "purchase": 500, "hook": 0, "order": 800}
        super().__init__(port=port)

    def routes(self) -> Iterable[tuple[str, str, Route]]:
        return [
            ("POST", r"/v1/oauth/token", self._token),
            ("POST", r"/v1/oauth/revoke", self._revoke),
            ("GET", r"/v1/version", lambda call: Reply(200, {"version": "1.1.0"})),
            ("GET", r"/v1/me", self._me),
            ("GET", r"/v1/sites", lambda call: self._list(call, self._site_rows())),
            ("GET", r"/v1/hooks", self._list_hooks),
            ("POST", r"/v1/hooks", self._create_hook),
            ("DELETE", r"/v1/hooks/(\w+)", self._delete_hook),
            ("GET", r"/v1/transactions", self._list_transactions),
            ("GET", r"/v1/transactions/(\w+)", lambda call, key: self._one(self.transactions, key)),
            ("GET", r"/v1/purchases", self._list_purchases),
            ("GET", r"/v1/purchases/(\w+)", lambda call, key: self._one(self.purchases.values(), key)),
            ("GET", r"/v1/customers", lambda call: self._list(call, self._customer_rows())),
            ("GET", r"/v1/customers/(\w+)", lambda call, key: self._one(self._customer_rows(), key)),
            ("GET", r"/v1/offers", lambda call: self._list(call, self._offer_rows())),
            ("GET", r"/v1/offers/(\w+)", lambda call, key: self._one(self._offer_rows(), key)),
        ]

    def error(self, status: int, message: str) -> Reply:
        return Reply(status, {"errors": [{"status": str(status), "source": None, "title": message, "detail": message}]})

    # -- who may -------------------------------------------------------------------------------------------------------

    def refuse(self, call: Call) -> Reply | None:
        if call.path in ("/v1/oauth/token", "/v1/version"):
            return None
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        return None if token in self.tokens else Reply(401, {"error": "The access token is invalid"})

    def expire_tokens(self) -> None:
        """Make every access token invalid, as rotating the key does."""
        self.tokens.clear()

    def expire(self) -> None:
        self.expire_tokens()

    def _token(self, call: Call) -> Reply:
        form = call.form
        right = (form.get("client_id"), form.get("client_secret")) == (self.client_id, self.client_secret)
        if form.get("grant_type") != "client_credentials" or not right:
            return Reply(
                401, {"error": "invalid_client", "error_description": "Client authentication failed: unknown client."}
            )
        token = f"eyJ.{secrets.token_hex(12)}.x"
        self.tokens.add(token)
        return Reply(
            200, {"access_token": token, "refresh_token": "eyJ.r.x", "token_type": "Bearer", "expires_in": 7200}
        )

    def _revoke(self, call: Call) -> Reply:
        self.tokens.discard(call.form.get("token", ""))
        return Reply(200)

    def _me(self, call: Call) -> Reply:
        attributes = {"initials": "PE", "name": "Pat Example", "email": "owner@example.com", "role_level": "OWNER"}
        return Reply(200, {"data": {"id": "1", "type": "users", "attributes": attributes}})

    # -- hooks ---------------------------------------------------------------------------------------------------------

    def targets(self, event: str) -> list[str]:
        urls = [h["attributes"]["target_url"] for h in self.hooks.values() if h["attributes"]["event"] == event]
        return [*urls, *self.webhook_urls]

    def _list_hooks(self, call: Call) -> Reply:
        wanted = call.query.get("filter[event_eq]")
        rows = [h for h in self.hooks.values() if wanted in (None, h["attributes"]["event"])]
        return self._list(call, rows)

    def _create_hook(self, call: Call) -> Reply:
        if self.quirks.refuses_hooks:
            return self.error(403, "You are not authorized to perform this action.")
        data = msgspec.json.decode(call.body)["data"]
        attributes = data["attributes"]
        site = data.get("relationships", {}).get("site", {}).get("data", {}).get("id")
        if attributes.get("event") not in EVENTS or site not in self.sites:
            return Reply(422, {"errors": [{"status": "422", "source": {"pointer": "/data/attributes/event"},
                                           "title": "Unprocessable", "detail": "event is invalid"}]})  # fmt: skip
        key = str(self._take("hook"))
        self.hooks[key] = {
            "id": key,
            "type": "hooks",
            "attributes": {**attributes, "created_at": iso(datetime.now(UTC))},
        }
        return Reply(201, {"data": self.hooks[key]})

    def _delete_hook(self, call: Call, key: str) -> Reply:
        return Reply(204) if self.hooks.pop(key, None) else self.error(404, "Not Found")

    # -- reading -------------------------------------------------------------------------------------------------------

    def _list_transactions(self, call: Call) -> Reply:
        rows = [row for row in reversed(self.transactions) if self._in_dates(call, row)]
        return self._list(call, rows)

    def _in_dates(self, call: Call, row: Row) -> bool:
        if self.quirks.ignores_dates:
            return True
        day: str = row["attributes"]["created_at"][:10]
        return call.query.get("filter[start_date]", "") <= day <= call.query.get("filter[end_date]", "9999")

    def _list_purchases(self, call: Call) -> Reply:
        after = call.query.get("filter[updated_at_gt]", "")
        rows = [row for row in self.purchases.values() if row["attributes"]["updated_at"] > after]
        return self._list(call, rows)

    def _list(self, call: Call, rows: Sequence[Row]) -> Reply:
        size = min(number(call.query.get("page[size]"), 25), self.quirks.max_page_size)
        page = 1 if self.quirks.loops else number(call.query.get("page[number]"), 1)
        last = max(1, -(-len(rows) // size))
        shown = rows[(page - 1) * size : page * size]
        body: Row = {"data": shown, "links": {"self": self._link(call, page), "current": self._link(call, page)}}
        if self.quirks.paging == "links":
            body["links"] |= {"first": self._link(call, 1), "last": self._link(call, last)}
            if page < last or self.quirks.loops:
                body["links"]["next"] = self._link(call, page + 1)
            body["meta"] = {"total_pages": last, "total_count": len(rows), "current_page": page}
        return Reply(200, body)

    def _link(self, call: Call, page: int) -> str:
        query = {**call.query, "page[number]": str(page)}
        return f"{self.url}{call.path}?{urlencode(query)}"

    def _one(self, rows: Iterable[Row], key: str) -> Reply:
        found = [row for row in rows if row["id"] == key]
        return Reply(200, {"data": found[0]}) if found else self.error(404, "Not Found")

    def _site_rows(self) -> list[Row]:
        return [rows_of.site(key, title) for key, title in self.sites.items()]

    def _customer_rows(self) -> list[Row]:
        return [rows_of.customer(buyer, self._site) for buyer in self._buyers.values()]

    def _offer_rows(self) -> list[Row]:
        return [rows_of.offer(product) for product in self._products.values()]

    @property
    def _site(self) -> str:
        return next(iter(self.sites))

    # -- selling -------------------------------------------------------------------------------------------------------

    def sell(
        self,
        email: str,
        amount_minor: int = 9_900,
        currency: str = "USD",
        *,
        product: str = "Example Course",
        name: str = "",
        at: datetime | None = None,
        recurring: bool = False,
        coupon: str | None = None,
    ) -> FakeSale:
        offer = self._product(product, recurring)
        when, key, purchase = moment(at), self._take("transaction"), self._take("purchase")
        sale = FakeSale(key, purchase, self._buyer(email, name), offer, amount_minor, currency, when, coupon=coupon)
        self.purchases[str(purchase)] = rows_of.purchase(sale)
        self._charge(sale, "subscribe" if recurring else "charge")
        return sale

    def renew(self, sale: FakeSale, *, at: datetime | None = None) -> FakeSale:
        renewal = replace(sale, id=self._take("transaction"), at=moment(at), renewal=True)
        self._charge(renewal, "subscription_charge")
        return renewal

    def refund(self, sale: FakeSale, amount_minor: int | None = None, *, at: datetime | None = None) -> None:
        before = self._refunded.get(sale.id, 0)
        amount = sale.amount_minor - before if amount_minor is None else amount_minor
        self._refunded[sale.id] = before + amount
        row = self._transaction(self._take("transaction"), sale, "refund", amount, moment(at))
        row["attributes"]["amount_in_cents"] = amount if self.quirks.positive_refunds else -amount
        self.transactions.append(row)
        self._book(-amount, sale.currency, moment(at))

    def cancel(self, sale: FakeSale, *, at: datetime | None = None) -> None:
        """Deactivate the purchase: seen by polling only."""
        attributes = self.purchases[str(sale.purchase_id)]["attributes"]
        attributes["deactivated_at"] = attributes["updated_at"] = iso(moment(at))

    def test_event(self) -> None:
        """Push what "send test" of the UI pushes: a purchase that is none."""
        self.push("purchase.created", rows_of.test_event())

    def _charge(self, sale: FakeSale, action: str) -> None:
        """Book a charge and push what it raises; a free one appears in no transaction and raises ``purchase`` alone."""
        self._book(sale.amount_minor, sale.currency, sale.at)
        if sale.amount_minor == 0:
            self.push("purchase", self._hook("purchase", self._purchase_payload(sale)))
            return
        row = self._transaction(sale.id, sale, action, sale.amount_minor, sale.at)
        self.transactions.append(row)
        links = self.purchases[str(sale.purchase_id)]["relationships"]["transactions"]["data"]
        links.append({"id": str(sale.id), "type": "transactions"})
        if self.quirks.ui_webhooks:
            self._push_ui(sale)
        else:
            self._push_api(sale, row)

    def _transaction(self, key: int, sale: FakeSale, action: str, amount: int, at: datetime) -> Row:
        row = rows_of.transaction(key, sale, action, amount, at)
        if not self.quirks.names_offers:
            row["relationships"]["offer"] = {"data": None}
        if not self.quirks.links_purchases:
            del row["relationships"]["purchases"]
        return row

    # -- pushing -------------------------------------------------------------------------------------------------------

    def _push_api(self, sale: FakeSale, row: Row) -> None:
        bare = {**row, "relationships": {"customer": row["relationships"]["customer"], "offer": {"data": None}}}
        customer = rows_of.customer(sale.buyer, self._site)
        payloads = {"payment_succeeded": [bare, customer]}
        if not sale.renewal:
            order = rows_of.order(sale, self._take("order"), self._take("order"))
            payloads |= {"purchase": self._purchase_payload(sale), "order_created": [bare, customer, *order]}
        for event in self.quirks.pushes:
            if event in payloads:
                self.push(event, self._hook(event, payloads[event]))

    def _push_ui(self, sale: FakeSale) -> None:
        if not sale.renewal:
            self.push("purchase.created", rows_of.purchase_created(sale))
        self.push("payment.succeeded", rows_of.payment_succeeded(sale))

    def _hook(self, event: str, payload: list[Row]) -> Row:
        shown = rows_of.with_integer_ids(payload) if self.quirks.integer_ids else payload
        return {"id": "hash_id", "event": event, "payload": shown}

    def _purchase_payload(self, sale: FakeSale) -> list[Row]:
        row = self.purchases[str(sale.purchase_id)]
        links = {key: value for key, value in row["relationships"].items() if key != "transactions"}
        return [{**row, "relationships": links}, rows_of.offer(sale.product), rows_of.customer(sale.buyer, self._site)]

    def _take(self, kind: str) -> int:
        self._next[kind] += 1
        return self._next[kind]
