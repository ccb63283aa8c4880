"""A fake sample.test, for tests and for playing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from coursesignal.testing.platforms import Call, Delivery, FakePlatform, FakeSale, Reply
from coursesignal.testing.platforms.server import Route, moment
from coursesignal_sample.connector import SIGNATURE, sign

API_KEY = "sample-key-1"


class FakeSample(FakePlatform):
    """Knows one account, one key, and what it sold."""

    slug = "sample"

    def __init__(self, *, port: int = 0) -> None:
        self.sales: list[dict[str, Any]] = []
        self.purged: list[str] = []
        super().__init__(port=port)

    def routes(self) -> Iterable[tuple[str, str, Route]]:
        return [
            ("GET", r"/me", lambda call: Reply(body={"id": "acct-1", "name": "Sample Academy"})),
            ("GET", r"/sales", self._sales),
            ("POST", r"/token", self._token),
            ("DELETE", r"/accounts/([^/]+)/hooks", lambda call, account: Reply(body={})),
            ("DELETE", r"/tenants/([^/]+)", self._purge),
        ]

    def error(self, status: int, message: str) -> Reply:
        return Reply(status, {"error": message})

    def refuse(self, call: Call) -> Reply | None:
        free = call.path == "/token" or call.path.startswith("/tenants/")
        if free or call.headers.get("authorization") == f"Bearer {API_KEY}":
            return None
        return self.error(401, "Sample does not know this API key.")

    def _sales(self, call: Call) -> Reply:
        page = int(call.query["page"])
        shown = self.sales[(page - 1) * 2 : page * 2]
        more = str(page + 1) if page * 2 < len(self.sales) else None
        return Reply(body={"sales": shown, "next": more, "total": len(self.sales)})

    def _token(self, call: Call) -> Reply:
        known = call.form.get("code") == "good-code" and call.form.get("code_verifier")
        return Reply(body={"api_key": API_KEY}) if known else self.error(401, "Sample does not know this code.")

    def _purge(self, call: Call, tenant: str) -> Reply:
        self.purged.append(tenant)
        return Reply(body={})

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
        number = len(self.sales) + 1
        sold_at = moment(at)
        self._record(f"s{number}", email, amount_minor, currency, product, sold_at)
        self._book(amount_minor, currency, sold_at)
        return FakeSale(
            id=number,
            purchase_id=number,
            buyer=self._buyer(email, name),
            product=self._product(product, recurring),
            amount_minor=amount_minor,
            currency=currency,
            at=sold_at,
        )

    def renew(self, sale: FakeSale, *, at: datetime | None = None) -> FakeSale:
        return self.sell(sale.buyer.email, sale.amount_minor, sale.currency, product=sale.product.title, at=at)

    def refund(self, sale: FakeSale, amount_minor: int | None = None, *, at: datetime | None = None) -> None:
        cents = sale.amount_minor if amount_minor is None else amount_minor
        when = moment(at or datetime.now(UTC))
        self._record(
            f"refund-s{sale.id}", sale.buyer.email, cents, sale.currency, sale.product.title, when, refund=True
        )
        self._book(-cents, sale.currency, when)

    def _record(
        self, key: str, email: str, cents: int, currency: str, course: str, at: datetime, *, refund: bool = False
    ) -> None:
        row = {
            "id": key,
            "email": email,
            "cents": cents,
            "currency": currency,
            "course": course,
            "sold_at": at.isoformat(),
            "refund": refund,
        }
        self.sales.append(row)
        body = msgspec.json.encode(row)
        headers = {"content-type": "application/json", SIGNATURE: sign(body, API_KEY)}
        self.pending.append(Delivery("refund" if refund else "sale", body, headers))
