"""What the fake Kajabi sold, as the rows it lists and the webhooks it pushes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from coursesignal.testing.platforms import kajabi_rows as rows_of
from coursesignal.testing.platforms.books import FakeSale
from coursesignal.testing.platforms.kajabi_quirks import KajabiQuirks
from coursesignal.testing.platforms.kajabi_rows import Row, iso
from coursesignal.testing.platforms.server import FakePlatform, moment

UI_IDS = 5_000_000
"""Where the UI's own numbers of transactions begin, for those who count so."""


class KajabiBooks(FakePlatform):
    """The sales of one Kajabi account."""

    quirks: KajabiQuirks
    sites: dict[str, str]

    def __init__(self, *, port: int = 0) -> None:
        self.transactions: list[Row] = []
        self.purchases: dict[str, Row] = {}
        self.orders: list[Row] = []
        self.order_items: dict[str, Row] = {}
        self._refunded: dict[int, int] = {}
        self._parts: dict[int, list[FakeSale]] = {}
        self._plans: set[int] = set()
        self._next = {"transaction": 9000, "purchase": 500, "hook": 0, "order": 800}
        super().__init__(port=port)

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
        source: str | None = None,
        referrer: str | None = None,
        affiliate: str | None = None,
        bumps: Sequence[tuple[str, int]] = (),
        payments: int = 1,
    ) -> FakeSale:
        """Sell ``product``; with ``bumps`` it and these, each at its price, are charged as one, with ``payments`` in so many
        parts of ``amount_minor`` (the next ones come with :meth:`renew`)."""
        offer, when = self._product(product, recurring), moment(at)
        total = amount_minor + sum(price for _, price in bumps)
        key, purchase = self._take("transaction"), self._take("purchase")
        sale = FakeSale(key, purchase, self._buyer(email, name), offer, total, currency, when, coupon=coupon)
        self._parts[purchase] = [replace(sale, amount_minor=amount_minor)] + [
            replace(sale, purchase_id=self._take("purchase"), product=self._product(title, False), amount_minor=price)
            for title, price in bumps
        ]
        for part in self._parts[purchase]:
            row = rows_of.purchase(part, source=source, referrer=referrer, is_plan=payments > 1)
            if payments > 1 and self.quirks.tells_plans:
                row["attributes"]["payment_plan_total_payments"] = payments
            self.purchases[str(part.purchase_id)] = row
        self._plans |= {purchase} if payments > 1 else set()
        self._charge(sale, "subscribe" if recurring else "charge", affiliate)
        return sale

    def renew(self, sale: FakeSale, *, at: datetime | None = None) -> FakeSale:
        """Charge the same again: a subscription's next period, or a plan's next payment."""
        renewal = replace(sale, id=self._take("transaction"), at=moment(at), renewal=True)
        self._charge(renewal, self.quirks.instalments_as if sale.purchase_id in self._plans else "subscription_charge")
        return renewal

    def refund(self, sale: FakeSale, amount_minor: int | None = None, *, at: datetime | None = None) -> None:
        self._take_back("refund", sale, amount_minor, at)

    def dispute(self, sale: FakeSale, amount_minor: int | None = None, *, at: datetime | None = None) -> None:
        """The buyer's bank takes the money back."""
        self._take_back("dispute", sale, amount_minor, at)

    def cancel(self, sale: FakeSale, *, at: datetime | None = None) -> None:
        """Deactivate the purchase: seen by polling only."""
        attributes = self.purchases[str(sale.purchase_id)]["attributes"]
        attributes["deactivated_at"] = iso(moment(at))
        if self.quirks.cancelling_is_a_change:
            attributes["updated_at"] = iso(moment(at))

    def fail_payment(self, email: str, amount_minor: int = 9_900, *, at: datetime | None = None) -> None:
        """A payment that was tried and not made."""
        self._list_unpaid(email, "charge", "failed", amount_minor, at)

    def begin_payment(self, email: str, amount_minor: int = 9_900, *, at: datetime | None = None) -> None:
        """A payment that is not made yet."""
        self._list_unpaid(email, "charge", "initialized", amount_minor, at)

    def test_payment(self, email: str, amount_minor: int = 9_900, *, at: datetime | None = None) -> None:
        """The creator tried the checkout."""
        self._list_unpaid(email, "test", "succeeded", amount_minor, at)

    def test_event(self) -> None:
        """Push what "send test" of the UI pushes: a purchase that is none."""
        self.push("purchase.created", rows_of.test_event())

    def _list_unpaid(self, email: str, action: str, state: str, amount_minor: int, at: datetime | None) -> None:
        """A row that is no money; listed where everything is."""
        when, offer = moment(at), self._product("Example Course", False)
        sale = FakeSale(
            self._take("transaction"), self._take("purchase"), self._buyer(email, ""), offer, amount_minor, "USD", when
        )
        self._list_money(sale, action, amount_minor, when)["attributes"]["state"] = state

    def _take_back(self, action: str, sale: FakeSale, amount_minor: int | None, at: datetime | None) -> None:
        before = self._refunded.get(sale.id, 0)
        amount = sale.amount_minor - before if amount_minor is None else amount_minor
        self._refunded[sale.id] = before + amount
        back = replace(sale, id=self._take("transaction"))
        self._list_money(back, action, amount if self.quirks.positive_refunds else -amount, moment(at))
        self._book(-amount, sale.currency, moment(at))

    def _charge(self, sale: FakeSale, action: str, affiliate: str | None = None) -> None:
        """Book a charge and push what it raises; a free one raises ``purchase`` alone."""
        self._book(sale.amount_minor, sale.currency, sale.at)
        if sale.amount_minor == 0:
            self._list_money(sale, "free_purchase", 0, sale.at)
            self.push("purchase", self._hook("purchase", self._purchase_payload(sale)))
            return
        row = self._list_money(sale, action, sale.amount_minor, sale.at)
        for part in self._parts_of(sale):
            self._note_payment(part, sale)
        order = [] if sale.renewal else self._order(sale)
        if self.quirks.ui_webhooks:
            self._push_ui(sale, affiliate)
        else:
            self._push_api(sale, row, order)

    def _note_payment(self, part: FakeSale, sale: FakeSale) -> None:
        row = self.purchases[str(part.purchase_id)]
        if self.quirks.names_transactions:
            row["relationships"]["transactions"]["data"].append({"id": str(sale.id), "type": "transactions"})
        if sale.purchase_id in self._plans or self.quirks.counts_all_payments:
            row["attributes"]["multipay_payments_made"] = (row["attributes"]["multipay_payments_made"] or 0) + 1
            row["attributes"]["updated_at"] = iso(sale.at)

    def _parts_of(self, sale: FakeSale) -> Sequence[FakeSale]:
        return self._parts.get(sale.purchase_id, [sale])

    def _list_money(self, sale: FakeSale, action: str, amount: int, at: datetime) -> Row:
        row = rows_of.transaction(sale.id, sale, action, amount, at)
        parts = self._parts_of(sale)
        row["relationships"]["purchases"]["data"] = [
            {"id": str(part.purchase_id), "type": "purchases"} for part in parts
        ]
        if not self.quirks.names_offers or len(parts) > 1:
            row["relationships"]["offer"] = {"data": None}
        if not self.quirks.links_purchases:
            del row["relationships"]["purchases"]
        self.transactions.append(row)
        return row

    # -- pushing -------------------------------------------------------------------------------------------------------

    def _push_api(self, sale: FakeSale, row: Row, order: Sequence[Row]) -> None:
        bare = {**row, "relationships": {"customer": row["relationships"]["customer"], "offer": {"data": None}}}
        customer = rows_of.customer(sale.buyer, self._site)
        payloads = {"payment_succeeded": [bare, customer]}
        if not sale.renewal:
            payloads |= {"purchase": self._purchase_payload(sale), "order_created": [bare, customer, *order]}
        for event in self.quirks.pushes:
            if event in payloads:
                self.push(event, self._hook(event, payloads[event]))

    def _order(self, sale: FakeSale) -> list[Row]:
        parts = self._parts_of(sale)
        payments = [sale.id] if self.quirks.orders_name_payments else []
        order, *items = rows_of.order(parts, self._take("order"), [self._take("order") for _ in parts], payments)
        self.orders.append(order)
        self.order_items |= {item["id"]: item for item in items}
        return [order, *items]

    def _push_ui(self, sale: FakeSale, affiliate: str | None) -> None:
        told = replace(sale, id=sale.id + UI_IDS) if self.quirks.own_ui_ids else sale
        if not sale.renewal:
            nested = self.quirks.nests_purchase_created
            shape = rows_of.nested_purchase_created(told) if nested else rows_of.purchase_created(told, affiliate)
            self.push("purchase.created", shape)
        self.push("payment.succeeded", rows_of.payment_succeeded(told))

    def _hook(self, event: str, payload: list[Row]) -> Row:
        shown = rows_of.with_integer_ids(payload) if self.quirks.integer_ids else payload
        return {"id": "hash_id", "event": event, "payload": shown}

    def _purchase_payload(self, sale: FakeSale) -> list[Row]:
        payload: list[Row] = []
        for part in self._parts_of(sale):
            row = self.purchases[str(part.purchase_id)]
            links = {key: value for key, value in row["relationships"].items() if key != "transactions"}
            payload += [{**row, "relationships": links}, rows_of.offer(part.product)]
        return [*payload, rows_of.customer(sale.buyer, self._site)]

    @property
    def _site(self) -> str:
        return next(iter(self.sites))

    def _take(self, kind: str) -> int:
        self._next[kind] += 1
        return self._next[kind]
