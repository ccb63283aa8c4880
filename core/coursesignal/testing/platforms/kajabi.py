"""A Kajabi that answers as ``Kajabi/public_api_docs`` (v1.1.0) says, with the contradictions of its pages as switches."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from coursesignal.testing.platforms import kajabi_rows as rows_of
from coursesignal.testing.platforms.books import Buyer
from coursesignal.testing.platforms.kajabi_books import KajabiBooks
from coursesignal.testing.platforms.kajabi_pages import page_of
from coursesignal.testing.platforms.kajabi_quirks import KajabiQuirks
from coursesignal.testing.platforms.kajabi_rows import Row, iso
from coursesignal.testing.platforms.server import Call, Reply, Route

__all__ = ["FakeKajabi", "KajabiQuirks"]
EVENTS = ("purchase", "payment_succeeded", "order_created", "form_submission", "tag_added", "tag_removed")
PERMISSIONS = {
    "transactions": "view:transactions",
    "purchases": "view:purchases",
    "offers": "view:purchases",
    "orders": "view:orders",
    "order_items": "view:orders",
    "customers": "view:contacts",
}
FORBIDDEN = "You are not authorized to perform this action."


class FakeKajabi(KajabiBooks):
    """One Kajabi account with its sites, customers, offers, purchases, orders and transactions."""

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
        self.tokens: dict[str, str] = {}
        """Access tokens, with the secret they were given for: another secret ends them."""
        self._customers: dict[str, Buyer] = {}
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
            ("GET", r"/v1/purchases/(\w+)", lambda call, key: self._found(self.purchases.get(key))),
            ("GET", r"/v1/orders", self._list_orders),
            ("GET", r"/v1/orders/(\w+)", lambda call, key: self._one(self.orders, key)),
            ("GET", r"/v1/order_items", lambda call: self._list(call, _sorted(call, [*self.order_items.values()]))),
            ("GET", r"/v1/order_items/(\w+)", lambda call, key: self._found(self.order_items.get(key))),
            ("GET", r"/v1/customers", lambda call: self._list(call, self._customer_rows())),
            ("GET", r"/v1/customers/(\w+)", lambda call, key: self._found(self._customer(key))),
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
        if self.tokens.get(token) != self.client_secret:
            return Reply(401, {"error": "The access token is invalid"})
        permission = PERMISSIONS.get(call.path.split("/")[2])
        return self.error(403, FORBIDDEN) if permission in self.quirks.lacks else None

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
        self.tokens[token] = self.client_secret
        return Reply(
            200, {"access_token": token, "refresh_token": "eyJ.r.x", "token_type": "Bearer", "expires_in": 7200}
        )

    def _revoke(self, call: Call) -> Reply:
        self.tokens.pop(call.form.get("token", ""), None)
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
        data = msgspec.json.decode(call.body)["data"]
        attributes, relationships = data["attributes"], data.get("relationships", {})
        event, site = attributes.get("event"), relationships.get("site", {}).get("data", {}).get("id")
        if self.quirks.refuses_hooks or event in self.quirks.refuses_hooks_for:
            return self.error(403, FORBIDDEN)
        if event not in EVENTS or site not in self.sites:
            return Reply(422, {"errors": [{"status": "422", "source": {"pointer": "/data/attributes/event"},
                                           "title": "Unprocessable", "detail": "event is invalid"}]})  # fmt: skip
        key = str(self._take("hook"))
        self.hooks[key] = {
            "id": key,
            "type": "hooks",
            "attributes": {**attributes, "created_at": iso(datetime.now(UTC))},
            "relationships": relationships,
        }
        return Reply(201, {"data": self.hooks[key]})

    def _delete_hook(self, call: Call, key: str) -> Reply:
        return Reply(204) if self.hooks.pop(key, None) else self.error(404, "Not Found")

    # -- reading -------------------------------------------------------------------------------------------------------

    def _list_transactions(self, call: Call) -> Reply:
        rows = [row for row in reversed(self.transactions) if self._is_told(row) and self._in_dates(call, row)]
        of_anybody = self.quirks.ignores_customers
        return self._list(call, [row for row in rows if of_anybody or _is_of_customer(call, row)])

    def _is_told(self, row: Row) -> bool:
        """Free, test, failed and pending ones are left out, as documented."""
        money = row["attributes"]
        moved = money["state"] == "succeeded" and money["action"] not in ("free_purchase", "test")
        return moved or self.quirks.lists_everything

    def _in_dates(self, call: Call, row: Row) -> bool:
        if self.quirks.ignores_dates:
            return True
        day: str = row["attributes"]["created_at"][:10]
        return call.query.get("filter[start_date]", "") <= day <= call.query.get("filter[end_date]", "9999")

    def _list_purchases(self, call: Call) -> Reply:
        rows = [row for row in self.purchases.values() if self._passes(call, row["attributes"])]
        return self._list(call, _sorted(call, rows))

    def _passes(self, call: Call, purchase: Row) -> bool:
        if self.quirks.ignores_filters:
            return True
        ended = purchase["deactivated_at"] or ""
        if call.query.get("filter[deactivated]") == "true" and not ended:
            return False
        updated_after, ended_after = (call.query.get(f"filter[{name}_gt]") for name in ("updated_at", "deactivated_at"))
        return purchase["updated_at"] > (updated_after or "") and (not ended_after or ended > ended_after)

    def _list_orders(self, call: Call) -> Reply:
        since = "" if self.quirks.ignores_filters else call.query.get("filter[created_at_gteq]", "")
        return self._list(call, _sorted(call, [row for row in self.orders if row["attributes"]["created_at"] >= since]))

    def _list(self, call: Call, rows: Sequence[Row]) -> Reply:
        quirks = self.quirks
        body = page_of(
            call, self.url, rows, quirks.paging, quirks.max_page_size, loops=quirks.loops, clamps=quirks.clamps_pages
        )
        return Reply(200, body)

    def _one(self, rows: Iterable[Row], key: str) -> Reply:
        return self._found(next((row for row in rows if row["id"] == key), None))

    def _found(self, row: Row | None) -> Reply:
        return Reply(200, {"data": row}) if row else self.error(404, "Not Found")

    def _site_rows(self) -> list[Row]:
        return [rows_of.site(key, title) for key, title in self.sites.items()]

    def _customer(self, key: str) -> Row | None:
        if len(self._customers) != len(self._buyers):
            self._customers = {str(buyer.id): buyer for buyer in self._buyers.values()}
        buyer = self._customers.get(key)
        return rows_of.customer(buyer, self._site) if buyer else None

    def _customer_rows(self) -> list[Row]:
        """Newest first, as documented."""
        return [rows_of.customer(buyer, self._site) for buyer in reversed(self._buyers.values())]

    def _offer_rows(self) -> list[Row]:
        return [rows_of.offer(product) for product in self._products.values()]


def _sorted(call: Call, rows: list[Row]) -> list[Row]:
    """The rows by the attribute that ``sort`` names, as they are without one; equal ones stay in order."""
    name = call.query.get("sort", "")
    attribute = name.removeprefix("-")
    return sorted(rows, key=lambda row: row["attributes"][attribute], reverse=name.startswith("-")) if name else rows


def _is_of_customer(call: Call, row: Row) -> bool:
    wanted = call.query.get("filter[customer_id]")
    return wanted is None or row["relationships"]["customer"]["data"]["id"] == wanted
