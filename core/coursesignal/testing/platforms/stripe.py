"""A Stripe that answers and signs as Stripe's own libraries and documentation say, in the API version it is asked for."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from coursesignal.testing.platforms import stripe_rows as rows_of
from coursesignal.testing.platforms.books import FakeSale
from coursesignal.testing.platforms.server import Call, Delivery, FakePlatform, Quirks, Reply, Route, moment, number
from coursesignal.testing.platforms.stripe_rows import Row, seconds, units

LATEST = "2026-06-24.dahlia"
PERMISSIONS = {
    "/v1/charges": "rak_charge_read",
    "/v1/refunds": "rak_charge_read",
    "/v1/checkout/sessions": "rak_checkout_session_read",
    "/v1/invoices": "rak_invoice_read",
    "/v1/disputes": "rak_dispute_read",
    "/v1/events": "rak_event_read",
}
EXPANDABLE = {"/v1/checkout/sessions": ("data.line_items",), "/v1/invoices": ("data.payments",)}


@dataclass(slots=True)
class StripeQuirks(Quirks):
    """How this account behaves where accounts differ."""

    webhook_version: str = LATEST
    """The API version of the webhook endpoint: before ``2025-03-31`` invoices name their payment, before ``2022-11-15`` charges
    list their refunds."""
    livemode: bool = True
    lacks: tuple[str, ...] = ()
    """Permissions the key was not given, such as ``rak_dispute_read``."""
    may_read_account: bool = True
    """Restricted keys often may not."""
    names_account: bool = True
    """A refusal for lack of permission says whose key it is."""
    pushes: tuple[str, ...] | None = None
    """Event types the endpoint is subscribed to; None for all."""
    max_limit: int = 100


class FakeStripe(FakePlatform):
    """One account with its checkouts, subscriptions, charges, refunds and disputes."""

    slug = "stripe"
    user_agent = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"

    def __init__(
        self,
        *,
        api_key: str = "rk_live_stripe",
        signing_secrets: Sequence[str] = ("whsec_stripe",),
        account: str = "acct_1Example",
        name: str = "Example Academy",
        quirks: StripeQuirks | None = None,
        port: int = 0,
    ) -> None:
        self.api_key = api_key
        self.signing_secrets = list(signing_secrets)
        """Webhooks are signed with each, as while a secret is being rolled."""
        self.account, self.name = account, name
        self.quirks = quirks or StripeQuirks()
        self.lists: dict[str, dict[str, Row]] = {path: {} for path in PERMISSIONS}
        """Every object by the path of its list and its id, oldest first."""
        self.subscriptions: dict[int, Row] = {}
        self._sales: dict[str, FakeSale] = {}
        self._next = {"sale": 9000, "purchase": 500, "refund": 0, "dispute": 0, "event": 0}
        super().__init__(port=port)

    def routes(self) -> Iterable[tuple[str, str, Route]]:
        return [
            ("GET", r"/v1/account", self._account),
            *(("GET", path, self._list) for path in PERMISSIONS),
        ]

    def error(self, status: int, message: str) -> Reply:
        kind = "api_error" if status >= 500 else "invalid_request_error"
        return Reply(status, {"error": {"type": kind, "message": message}})

    # -- who may -------------------------------------------------------------------------------------------------------

    def refuse(self, call: Call) -> Reply | None:
        key = call.headers.get("authorization", "").removeprefix("Bearer ")
        if key != self.api_key:
            return self.error(401, f"Invalid API Key provided: {key[:8]}****{key[-4:]}")
        if self.expired:
            return Reply(401, {"error": {"type": "invalid_request_error", "code": "api_key_expired",
                                         "message": f"Expired API Key provided: {key[:8]}****{key[-4:]}"}})  # fmt: skip
        lacked = "rak_accounts_kyc_basic_read" if call.path == "/v1/account" else PERMISSIONS.get(call.path, "")
        refused = not self.quirks.may_read_account if call.path == "/v1/account" else lacked in self.quirks.lacks
        return self._forbidden(key, lacked) if refused else None

    def _forbidden(self, key: str, permission: str) -> Reply:
        whose = f" on account '{self.account}'" if self.quirks.names_account else ""
        return self.error(
            403,
            f"The provided key '{key[:8]}****{key[-4:]}' does not have the required permissions for this endpoint{whose}. "
            f"Having the '{permission}' permission would allow this request to continue.",
        )

    def _account(self, call: Call) -> Reply:
        shown = {"id": self.account, "object": "account", "business_profile": {"name": self.name}, "email": None,
                 "settings": {"dashboard": {"display_name": self.name, "timezone": "Etc/UTC"}}}  # fmt: skip
        return Reply(200, shown)

    # -- reading -------------------------------------------------------------------------------------------------------

    def _list(self, call: Call) -> Reply:
        """Newest first; ``has_more`` and ``starting_after``."""
        expand = call.query.get("expand[]")
        if expand is not None and expand not in EXPANDABLE.get(call.path, ()):
            return self.error(400, f"This property cannot be expanded ({expand}).")
        rows = [row for row in self.lists[call.path].values() if _is_wanted(call, row)]
        rows.sort(key=lambda row: row["created"])  # stable: the later of one second comes later
        rows.reverse()
        after = call.query.get("starting_after")
        start = 0
        if after is not None and not self.quirks.loops:
            found = [place for place, row in enumerate(rows) if row["id"] == after]
            if not found:
                return self.error(400, f"No such object: '{after}'")
            start = found[0] + 1
        limit = min(number(call.query.get("limit"), 10), self.quirks.max_limit)
        version = call.headers.get("stripe-version", LATEST)
        shown = [self._shown(row, version, expand) for row in rows[start : start + limit]]
        more = self.quirks.loops or start + limit < len(rows)
        return Reply(200, {"object": "list", "url": call.path, "has_more": more, "data": shown})

    def _shown(self, row: Row, version: str, expand: str | None = None) -> Row:
        refunds = [one for one in self.lists["/v1/refunds"].values() if one["charge"] == row["id"]]
        shown = rows_of.as_of(version, row, refunds) if row["object"] in ("charge", "invoice") else dict(row)
        if expand == "data.line_items":
            shown["line_items"] = rows_of.session_lines(self._sales[row["id"]])
        if expand == "data.payments" and version >= rows_of.BASIL:
            payment = rows_of.invoice_payment(self._sales[row["id"]], self.quirks.livemode)
            shown["payments"] = {"object": "list", "data": [payment], "has_more": False, "url": "/v1/invoice_payments"}
        return shown

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
        visitor: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> FakeSale:
        """A checkout; ``visitor`` is its ``client_reference_id``, ``metadata`` that of the session and of the subscription."""
        key, purchase = self._take("sale"), self._take("purchase")
        buyer, thing = self._buyer(email, name), self._product(product, recurring)
        sale = FakeSale(key, purchase, buyer, thing, amount_minor, currency, moment(at), coupon=coupon)
        if recurring:
            self.subscriptions[purchase] = rows_of.subscription(sale, self.quirks.livemode, dict(metadata or {}))
        session = rows_of.session(sale, self._links(sale), visitor, dict(metadata or {}), self.quirks.livemode)
        self._keep("/v1/checkout/sessions", session, sale)
        self._charge(sale)
        self._emit("checkout.session.completed", session, sale.at)
        return sale

    def renew(self, sale: FakeSale, *, at: datetime | None = None) -> FakeSale:
        renewal = replace(sale, id=self._take("sale"), at=moment(at), renewal=True)
        self._charge(renewal)
        return renewal

    def refund(self, sale: FakeSale, amount_minor: int | None = None, *, at: datetime | None = None) -> str:
        """Give money back; returns the refund's id."""
        charge, when = self.lists["/v1/charges"][f"ch_{sale.id}"], moment(at)
        before = charge["amount_refunded"]
        if amount_minor is None:
            amount_minor = sale.amount_minor * (charge["amount"] - before) // charge["amount"]
        row = rows_of.refund(self._take("refund"), sale, amount_minor, when)
        self._keep("/v1/refunds", row, sale)
        charge["amount_refunded"] = before + row["amount"]
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self._book(-amount_minor, sale.currency, when)
        self._emit("refund.created", row, when)
        self._emit("charge.refunded", charge, when, {"amount_refunded": before})
        return str(row["id"])

    def fail_refund(self, refund: str, *, at: datetime | None = None) -> None:
        """The buyer's bank sends a refund back: the money is the seller's again."""
        row, sale, when = self.lists["/v1/refunds"][refund], self._sales[refund], moment(at)
        row |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
        charge = self.lists["/v1/charges"][row["charge"]]
        charge["amount_refunded"] -= row["amount"]
        charge["refunded"] = False
        self._book_back(_minor(row["amount"], sale.currency), sale.currency, when)
        for event in ("refund.failed", "refund.updated", "charge.refund.updated"):
            self._emit(event, row, when)

    def dispute(
        self, sale: FakeSale, amount_minor: int | None = None, *, at: datetime | None = None, inquiry: bool = False
    ) -> str:
        """The buyer's bank takes the money, or only asks; returns the dispute's id."""
        when, amount = moment(at), sale.amount_minor if amount_minor is None else amount_minor
        row = rows_of.dispute(self._take("dispute"), sale, amount, when, self.quirks.livemode, inquiry=inquiry)
        self._keep("/v1/disputes", row, sale)
        self.lists["/v1/charges"][f"ch_{sale.id}"]["disputed"] = True
        self._emit("charge.dispute.created", row, when)
        if not inquiry:
            self._book(-amount, sale.currency, when)
            self._emit("charge.dispute.funds_withdrawn", row, when)
        return str(row["id"])

    def decide(self, dispute: str, *, won: bool, at: datetime | None = None) -> None:
        """Close a dispute; a won one gives the money back."""
        row, sale, when = self.lists["/v1/disputes"][dispute], self._sales[dispute], moment(at)
        taken = bool(row["balance_transactions"])
        row["status"] = ("won" if won else "lost") if taken else "warning_closed"
        if won and taken:
            given = rows_of.movement(int(dispute.removeprefix("du_")), row["amount"], when)
            row["balance_transactions"] = [*row["balance_transactions"], given]
            self._book_back(_minor(row["amount"], sale.currency), sale.currency, when)
            self._emit("charge.dispute.funds_reinstated", row, when)
        self._emit("charge.dispute.closed", row, when)

    def cancel(self, sale: FakeSale, *, at: datetime | None = None) -> None:
        """End the subscription of ``sale``."""
        row, when = self.subscriptions[sale.purchase_id], moment(at)
        row |= {"status": "canceled", "ended_at": seconds(when), "canceled_at": seconds(when)}
        self._emit("customer.subscription.deleted", row, when)

    def _charge(self, sale: FakeSale) -> None:
        """Take the money of ``sale``; a free one has no charge, and an invoice of nothing."""
        live, subscription = self.quirks.livemode, self.subscriptions.get(sale.purchase_id)
        if sale.amount_minor:
            self._book(sale.amount_minor, sale.currency, sale.at)
            charge = rows_of.charge(sale, live, {})
            charge["_invoice"] = f"in_{sale.id}" if subscription else None
            self._keep("/v1/charges", charge, sale)
            self._emit("charge.succeeded", charge, sale.at)
        if subscription and sale.amount_minor:
            invoice = rows_of.invoice(sale, live, subscription["metadata"])
            self._keep("/v1/invoices", invoice, sale)
            self._emit("invoice_payment.paid", rows_of.invoice_payment(sale, live), sale.at)
            self._emit("invoice.paid", invoice, sale.at)
            self._emit("invoice.payment_succeeded", invoice, sale.at)

    def _links(self, sale: FakeSale) -> Mapping[str, str | None]:
        recurring, free = sale.product.recurring, sale.amount_minor == 0
        return {
            "customer": f"cus_{sale.buyer.id}",
            "payment_intent": None if recurring or free else f"pi_{sale.id}",
            "invoice": f"in_{sale.id}" if recurring else None,
            "subscription": f"sub_{sale.purchase_id}" if recurring else None,
        }

    def _keep(self, path: str, row: Row, sale: FakeSale) -> None:
        self.lists[path][row["id"]] = row
        self._sales[row["id"]] = sale

    # -- pushing -------------------------------------------------------------------------------------------------------

    def _emit(self, event: str, row: Row, at: datetime, previous: Row | None = None) -> None:
        """An event with the object as it is now; the endpoint gets it if it asked for it and its API version has it."""
        version = self.quirks.webhook_version
        envelope: Row = {
            "id": f"evt_{self._take('event')}", "object": "event", "api_version": version, "created": seconds(at), "type": event,
            "livemode": self.quirks.livemode, "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None},
        }  # fmt: skip
        data: Row = {"object": self._shown(row, version)} | ({"previous_attributes": previous} if previous else {})
        self.lists["/v1/events"][envelope["id"]] = {**envelope, "data": data}
        is_new = event == "invoice_payment.paid" and version < rows_of.BASIL
        if not is_new and (self.quirks.pushes is None or event in self.quirks.pushes):
            self.push(event, {**envelope, "data": data})

    def signed(self, delivery: Delivery) -> Mapping[str, str]:
        return {**delivery.headers, "stripe-signature": self.signature(delivery.body)}

    def signature(self, body: bytes, at: int | None = None) -> str:
        """The ``Stripe-Signature`` header of a body sent now, or ``at`` a Unix time."""
        when = int(time.time()) if at is None else at
        made = [
            hmac.new(key.encode(), b"%d." % when + body, hashlib.sha256).hexdigest() for key in self.signing_secrets
        ]
        return ",".join([f"t={when}", *(f"v1={one}" for one in made), f"v0={'0' * 64}"])

    def _take(self, kind: str) -> int:
        self._next[kind] += 1
        return self._next[kind]


def _is_wanted(call: Call, row: Row) -> bool:
    query = call.query
    return (
        row["created"] >= number(query.get("created[gte]"), 0)
        and query.get("status") in (None, row.get("status"))
        and query.get("type") in (None, row.get("type"))
    )


def _minor(amount: int, currency: str) -> int:
    """Stripe's units in ISO minor units."""
    one = units(100, currency)
    return amount * 100 // one
