"""From Kajabi's resources to what CourseSignal books: money from transactions only, facts from everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coursesignal.plugin import Charge, ChargeKind, Contact, Item, Plan, PlatformEvent, PurchaseFacts
from coursesignal_kajabi.resources import (
    CustomerAttributes,
    OfferAttributes,
    OrderItemAttributes,
    PurchaseAttributes,
    Resource,
    TransactionAttributes,
    email_of,
    in_utc,
)

KINDS: Mapping[str, ChargeKind] = {
    "charge": "sale",
    "subscribe": "sale",
    "subscription_charge": "renewal",
    "refund": "refund",
    "dispute": "dispute",
}
"""Actions that move money; ``free_purchase``, ``test`` and ``subscription_update`` do not."""
AGAIN = frozenset({"subscribe", "subscription_charge"})
"""Actions of something that is paid again and again."""
BACK = frozenset({"refund", "dispute"})
ONE_TIME = frozenset({"single", "one_time", "one-time"})
WHOLE = ONE_TIME | {"subscription", "free"}
"""Payment types of what is no payment plan."""
DEFAULT_CURRENCY = "USD"
"""What Kajabi says it falls back to."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the customers and offers that other resources refer to, by id."""

    customers: Mapping[str, Resource] = field(default_factory=dict)
    offers: Mapping[str, Resource] = field(default_factory=dict)

    def contact(self, resource: Resource) -> Contact:
        """The buyer of ``resource``."""
        key = next(iter(resource.related("customer")), None)
        if key is None:
            return Contact()
        customer = self.customers[key].read(CustomerAttributes) if key in self.customers else CustomerAttributes()
        return Contact(email=email_of(customer.email), external_id=f"customer:{key}", name=customer.name or None)

    def items(
        self, resource: Resource, quantity: int | None = None, amount_minor: int | None = None
    ) -> tuple[Item, ...]:
        """The offers of ``resource``."""
        return tuple(
            Item(external_id=key, title=self._title(key), quantity=quantity or 1, amount_minor=amount_minor)
            for key in resource.related("offer", "offers")
        )

    def _title(self, key: str) -> str:
        offer = self.offers[key].read(OfferAttributes) if key in self.offers else OfferAttributes()
        return offer.title or f"Offer {key}"


def currency_of(text: str | None) -> str:
    """An ISO 4217 code; raises ValueError for anything else."""
    code = (text or DEFAULT_CURRENCY).strip().upper()
    if len(code) != 3 or not code.isascii() or not code.isalpha():
        raise ValueError(f"{text!r} is no currency")
    return code


def money_of(row: Resource) -> TransactionAttributes | None:
    """What a transaction that succeeded and moved money says; None for any other."""
    money = row.read(TransactionAttributes)
    moved = money.action in KINDS and money.state in (None, "succeeded") and money.amount_in_cents != 0
    return money if moved else None


def transaction_event(
    row: Resource,
    known: Known,
    *,
    sale: Resource | None = None,
    kind: ChargeKind | None = None,
    extra_keys: Sequence[str] = (),
    items: Sequence[Item] = (),
) -> Sequence[PlatformEvent]:
    """The charge of a transaction; nothing for one that moved no money.

    ``sale`` is the transaction that a refund or dispute takes back, where its row does not name the purchase.
    """
    money = money_of(row)
    if money is None:
        return []
    charge = Charge(
        external_id=row.key,
        kind=kind or KINDS[money.action],
        amount_minor=abs(money.amount_in_cents),  # refunds are told as -4900 and as 4900
        currency=currency_of(money.currency),
        occurred_at=in_utc(money.created_at),
        purchase_keys=(f"transaction:{row.key}", *purchase_keys(row, sale), *extra_keys),
        contact=known.contact(row),
        items=tuple(items) or known.items(row),
    )
    return [charge]


def purchase_keys(row: Resource, sale: Resource | None = None) -> tuple[str, ...]:
    """The purchases a transaction names. Before June 2026 it named none.

    Then buyer and offer tie what is paid again and again, a refund is tied to its ``sale``, and one-time payments stand alone:
    whoever buys an offer twice has bought it twice.
    """
    purchases = row.related("purchases", "purchase")
    if purchases:
        return tuple(f"purchase:{key}" for key in purchases)
    if sale is not None:
        return (f"transaction:{sale.key}", *purchase_keys(sale))
    if row.read(TransactionAttributes).action not in AGAIN | BACK:
        return ()
    return tuple(f"customer:{c}/offer:{o}" for c in row.related("customer") for o in row.related("offer", "offers"))


def purchase_facts(row: Resource, known: Known, *, priced: bool = False) -> PurchaseFacts:
    """What a purchase tells, without its money; ``priced`` says what each offer of a charge for several cost."""
    purchase = row.read(PurchaseAttributes)
    transactions = (f"transaction:{key}" for key in row.related("transactions"))
    hints = {"coupon": purchase.coupon_code, "source": purchase.source, "referrer": purchase.referrer}
    amount = purchase.amount_in_cents if priced and purchase.payment_type in ONE_TIME else None
    return PurchaseFacts(
        purchase_keys=(f"purchase:{row.key}", *transactions),
        occurred_at=in_utc(purchase.created_at),
        contact=known.contact(row),
        items=known.items(row, purchase.quantity, amount),
        hints={name: text for name, text in hints.items() if text},
        cancelled_at=in_utc(purchase.deactivated_at) if purchase.deactivated_at else None,
        plan=_plan(purchase),
    )


def is_plan(row: Resource) -> bool:
    """Whether a purchase is paid in parts: it tells how many, or counts payments though it is of no kind that has no parts.

    Kajabi does not say what ``payment_type`` a plan has, nor whether subscriptions count their payments too.
    """
    purchase = row.read(PurchaseAttributes)
    counts = bool(purchase.multipay_payments_made) and purchase.payment_type not in WHOLE
    return counts or _plan(purchase) is not None


def _plan(purchase: PurchaseAttributes) -> Plan | None:
    """Of a payment plan; what is to be paid in all Kajabi does not tell, only how often, and that in prose alone."""
    told: object = purchase.payment_plan_total_payments
    payments = int(told) if isinstance(told, int | str) and str(told).isdigit() else 0
    return Plan(payments=payments) if 1 < payments <= 1000 else None


def order_items(rows: Sequence[Resource]) -> tuple[Item, ...]:
    """The lines of an order."""
    lines = [(row, row.read(OrderItemAttributes)) for row in rows]
    return tuple(
        Item(
            external_id=str(line.item_id if line.item_id is not None else row.id),
            title=line.title or f"Offer {line.item_id}",
            quantity=line.quantity or 1,
            amount_minor=line.total_price_in_cents,
        )
        for row, line in lines
    )
