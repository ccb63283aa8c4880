"""A Teachable that answers as its Admin API is documented, with what is unknown as switches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from coursesignal.testing.platforms.books import Buyer, FakeSale, Product
from coursesignal.testing.platforms.server import Call, FakePlatform, Quirks, Reply, Route, moment, number

SCHOOL_ID = 42
USD_PER_UNIT = {"EUR": 2, "GBP": 3, "JPY": 1}
"""Invented rates of smallest units: ``charge`` (always USD) is this many times ``final_price``.

Whole, so that any part of a price converts there and back exactly; far from 1, so that mixing the two shows.
"""
Row = dict[str, Any]


@dataclass(slots=True)
class TeachableQuirks(Quirks):
    """How this Teachable behaves where nothing certain is known."""

    array_bodies: bool = False
    """The toggle that wraps a webhook's body in a JSON array."""
    refunds_tell_amount: bool = False
    """``Transaction.refunded`` carries ``amount_refunded`` and ``refunded_at``; no genuine body was ever seen."""
    refunds_in: Literal["usd", "buyer"] = "usd"
    """The currency of ``amount_refunded``, which nothing documents."""
    tells_sale: bool = True
    """``Transaction.created`` names its sale's id."""
    hook_event_ids: bool = True
    pushes: tuple[str, ...] = (
        "Sale.created",
        "Sale.subscription_canceled",
        "Transaction.created",
        "Transaction.refunded",
    )
    string_ids: bool = False
    """Ids as strings; the documentation has integers."""
    max_per: int = 100
    most_listed: int | None = None
    """Pages past this many rows are empty, as is said of 10,000."""
    calls_left: int | None = None
    """Answer 429 once this many calls were made."""


class FakeTeachable(FakePlatform):
    """One school."""

    slug = "teachable"

    def __init__(self, *, api_key: str = "teachable-key", quirks: TeachableQuirks | None = None, port: int = 0) -> None:
        self.api_key = api_key
        self.quirks = quirks or TeachableQuirks()
        self.transactions: dict[int, Row] = {}
        self.lost: list[Row] = []
        """Deliveries that were answered with an error, as ``/webhooks/{id}/events`` lists them."""
        self._refunded: dict[int, int] = {}
        self._next = {"transaction": 71000, "sale": 60000, "event": 345_677}
        super().__init__(port=port)

    def routes(self) -> Iterable[tuple[str, str, Route]]:
        return [
            ("GET", r"/v1/courses", lambda call: self._list(call, "courses", self._courses())),
            ("GET", r"/v1/transactions", self._list_transactions),
            ("GET", r"/v1/users", lambda call: self._list(call, "users", self._users())),
            ("GET", r"/v1/users/(\d+)", self._find_user),
            ("GET", r"/v1/pricing_plans", lambda call: self._list(call, "pricing_plans", self._plans())),
            ("GET", r"/v1/pricing_plans/(\d+)", lambda call, key: self._one(self._plans(), key, "pricing_plan")),
            ("GET", r"/v1/webhooks", lambda call: self._list(call, "webhooks", self._webhooks())),
            ("GET", r"/v1/webhooks/(\d+)/events", self._list_deliveries),
        ]

    def error(self, status: int, message: str) -> Reply:
        return Reply(status, {"message": message})

    def refuse(self, call: Call) -> Reply | None:
        if call.headers.get("apikey") != self.api_key:
            return self.error(401, "Invalid API key")
        if self.quirks.calls_left is not None:
            if self.quirks.calls_left <= 0:
                return Reply(
                    429, {"message": "API rate limit exceeded"}, {"RateLimit-Limit": "100", "RateLimit-Reset": "1"}
                )
            self.quirks.calls_left -= 1
        return None

    # -- reading -------------------------------------------------------------------------------------------------------

    def _list(self, call: Call, name: str, rows: Sequence[Row]) -> Reply:
        per = min(number(call.query.get("per"), 20), self.quirks.max_per)
        page = 1 if self.quirks.loops else number(call.query.get("page"), 1)
        shown = rows[: self.quirks.most_listed][(page - 1) * per : page * per]
        first = (page - 1) * per + 1
        pages = 1_000 if self.quirks.loops else max(1, -(-len(rows) // per))
        meta = {"total": len(rows), "page": page, "from": first, "to": first + len(shown) - 1, "per_page": per,
                "number_of_pages": pages}  # fmt: skip
        return Reply(200, {name: self._shown(shown), "meta": meta})

    def _find_user(self, call: Call, key: str) -> Reply:
        """A school has thousands: one is looked up, not searched."""
        buyer = self._buyers_by_id.get(int(key))
        return self._one([] if buyer is None else [_user_row(buyer)], key)

    def _one(self, rows: Iterable[Row], key: str, name: str | None = None) -> Reply:
        found = [row for row in rows if row["id"] == int(key)]
        if not found:
            return self.error(404, "Resource not found")
        shown = self._shown(found[0])
        return Reply(200, {name: shown} if name else shown)

    def _shown(self, value: Any) -> Any:
        """``value`` with its ids as this school tells them."""
        return _with_string_ids(value) if self.quirks.string_ids else value

    def _list_deliveries(self, call: Call, key: str) -> Reply:
        (webhook,) = [one for one in self._webhooks() if one["id"] == int(key)] or [{}]
        least, after = number(call.query.get("response_http_status_gte"), 0), call.query.get("created_after", "")
        rows = [
            {name: value for name, value in row.items() if name != "event"} | {"webhook_id": int(key)}
            for row in self.lost
            if row["event"] == webhook.get("event_trigger")
            and row["response_http_status"] >= least
            and row["created_at"] > after
        ]
        return self._list(call, "events", rows)

    def _list_transactions(self, call: Call) -> Reply:
        query = call.query
        start, end = query.get("start", ""), query.get("end", "9999")
        rows = [row for row in self.transactions.values() if start < row["purchased_at"] <= end]
        if query.get("is_fully_refunded") == "true":
            rows = [row for row in rows if row["amount_refunded"] >= row["charge"]]
        if query.get("is_chargeback") == "true":
            rows = [row for row in rows if row["has_chargeback"]]
        if "user_id" in query:
            rows = [row for row in rows if str(row["user_id"]) == query["user_id"]]
        return self._list(call, "transactions", rows)

    def _users(self) -> list[Row]:
        return [_user_row(buyer) for buyer in self._buyers.values()]

    def _plans(self) -> list[Row]:
        return [
            {"id": p.id, "name": p.title, "course_id": 700 + p.id, "price": 0, "currency": "USD",
             "frequency": {"type": "subscription" if p.recurring else "one_time_payment"}}
            for p in self._products.values()
        ]  # fmt: skip

    def _courses(self) -> list[Row]:
        return [{"id": 700 + p.id, "name": p.title, "is_published": True} for p in self._products.values()]

    def _webhooks(self) -> list[Row]:
        return [
            {"id": number, "workflow_state": "verified", "url": url, "event_trigger": event, "webhook_events_count": 0}
            for number, (url, event) in enumerate(((u, e) for u in self.webhook_urls for e in self.quirks.pushes), 1)
        ]

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
        plan, key = self._product(product, recurring), self._take("transaction")
        buyer = self._buyer(email, name)
        sale = FakeSale(key, self._take("sale"), buyer, plan, amount_minor, currency, moment(at), coupon=coupon)
        self._emit("Sale.created", sale.purchase_id, self._sale_object(sale), sale.at)
        self._charge(sale)
        return sale

    def renew(self, sale: FakeSale, *, at: datetime | None = None) -> FakeSale:
        renewal = replace(sale, id=self._take("transaction"), at=moment(at), renewal=True)
        self._charge(renewal)
        return renewal

    def refund(self, sale: FakeSale, amount_minor: int | None = None, *, at: datetime | None = None) -> None:
        row, when = self.transactions[sale.id], moment(at)
        before = self._refunded.get(sale.id, 0)
        amount = sale.amount_minor - before if amount_minor is None else amount_minor
        self._refunded[sale.id] = before + amount
        total = before + amount
        row["amount_refunded"] = _usd(total, sale.currency) if self.quirks.refunds_in == "usd" else total
        row["refunded_at"] = _iso(when)
        self._book(-amount, sale.currency, when)
        told: Row = {"id": sale.id, "user_id": sale.buyer.id}
        if self.quirks.refunds_tell_amount:
            told |= row
        self._emit("Transaction.refunded", sale.id, told, when)

    def charge_back(self, sale: FakeSale, *, at: datetime | None = None) -> None:
        """The bank takes the money of ``sale`` back: seen by polling only."""
        self.transactions[sale.id]["has_chargeback"] = True
        self._book(self._refunded.get(sale.id, 0) - sale.amount_minor, sale.currency, moment(at))

    def _charge(self, sale: FakeSale) -> None:
        """Book a charge and push it; a free enrolment makes neither a transaction nor its webhook."""
        if sale.amount_minor == 0:
            return
        self._book(sale.amount_minor, sale.currency, sale.at)
        charge = _usd(sale.amount_minor, sale.currency)
        self.transactions[sale.id] = {
            "id": sale.id, "user_id": sale.buyer.id, "pricing_plan_id": sale.product.id, "sale_id": sale.purchase_id,
            "created_at": _iso(sale.at), "purchased_at": _iso(sale.at), "charge": charge, "final_price": sale.amount_minor,
            "currency": sale.currency, "tax_charge": 0, "revenue": charge * 95 // 100, "status": "paid",
            "has_chargeback": False, "chargeback_fee": None, "affiliate_id": None, "affiliate_fees": 0, "author_id": None,
            "author_fees": 0, "coupon_id": None, "refunded_at": None, "amount_refunded": 0,
        }  # fmt: skip
        self._emit("Transaction.created", sale.id, self._transaction_object(sale), sale.at)

    def cancel(self, sale: FakeSale, *, at: datetime | None = None) -> None:
        """A subscription ends; what was paid stays paid."""
        self._emit("Sale.subscription_canceled", sale.purchase_id, self._sale_object(sale), moment(at))

    def lose_webhooks(self, status: int = 500) -> None:
        """What is pending was answered so every time, and is not sent again."""
        waiting, self.pending = self.pending, []
        for delivery in waiting:
            told = msgspec.json.decode(delivery.body)
            for one in told if isinstance(told, list) else [told]:
                self.lost.append({
                    "id": len(self.lost) + 1, "event": one["type"], "workflow_state": "failed", "attempt_count": 5,
                    "created_at": _iso(datetime.fromisoformat(one["created"])), "object_type": one["type"].partition(".")[0],
                    "object_id": one["id"], "response_http_status": status,
                })  # fmt: skip

    # -- pushing -------------------------------------------------------------------------------------------------------

    def _emit(self, event: str, object_id: int, body: Row, at: datetime) -> None:
        if event not in self.quirks.pushes:
            return
        envelope: Row = {"type": event, "id": object_id, "livemode": True, "created": at.isoformat(), "object": body}
        if self.quirks.hook_event_ids:
            envelope["hook_event_id"] = self._take("event")
        shown = self._shown(envelope)
        self.push(event, [shown] if self.quirks.array_bodies else shown)

    def _transaction_object(self, sale: FakeSale) -> Row:
        told: Row = {"id": sale.id, "user_id": sale.buyer.id, "user": self._user(sale)}
        told["sale"] = {"product": self._product_object(sale.product)}
        if self.quirks.tells_sale:
            told["sale"]["id"] = sale.purchase_id
        told |= {"final_price": sale.amount_minor, "currency": sale.currency, "status": "paid",
                 "stripe_charge_token": None, "paypal_payment_id": None, "purchased_at": _iso(sale.at)}  # fmt: skip
        return told

    def _sale_object(self, sale: FakeSale) -> Row:
        return {
            "id": sale.purchase_id, "price": sale.amount_minor, "currency": sale.currency, "is_active": True,
            "is_recurring": sale.product.recurring, "user_id": sale.buyer.id, "school_id": SCHOOL_ID,
            "final_price": sale.amount_minor, "course": {"id": 700 + sale.product.id, "name": sale.product.title},
            "product": self._product_object(sale.product), "user": self._user(sale), "coupon": None, "affiliate": None,
            "transactions": [],
        }  # fmt: skip

    def _product_object(self, product: Product) -> Row:
        return {"id": product.id, "is_recurring": product.recurring, "name": product.title}

    def _user(self, sale: FakeSale) -> Row:
        return {"id": sale.buyer.id, "role": "student", "email": sale.buyer.email, "name": sale.buyer.name,
                "school_id": SCHOOL_ID, "src": None, "first_touch": None, "last_touch": None}  # fmt: skip

    def _take(self, kind: str) -> int:
        self._next[kind] += 1
        return self._next[kind]


def _user_row(buyer: Buyer) -> Row:
    return {"id": buyer.id, "name": buyer.name, "email": buyer.email, "role": "student"}


def _with_string_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_string_ids(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: str(one) if isinstance(one, int) and (name == "id" or name.endswith("_id")) else _with_string_ids(one)
        for name, one in value.items()
    }


def _usd(amount: int, currency: str) -> int:
    return amount * USD_PER_UNIT.get(currency, 1)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
