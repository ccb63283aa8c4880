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

    def items(self, resource: Resource, quantity: int | None = None) -> tuple[Item, ...]:
        """The offers of ``resource``."""
        return tuple(
            Item(external_id=key, title=self._title(key), quantity=quantity or 1)
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


def transaction_event(
    row: Resource, known: Known, *, extra_keys: Sequence[str] = (), items: Sequence[Item] = ()
) -> Sequence[PlatformEvent]:
    """The charge of a transaction that succeeded and moved money; nothing for any other."""
    money = row.read(TransactionAttributes)
    kind = KINDS.get(money.action)
    if kind is None or money.state not in (None, "succeeded") or money.amount_in_cents == 0:
        return []
    charge = Charge(
        external_id=row.key,
        kind=kind,
        amount_minor=abs(money.amount_in_cents),  # refunds are told as -4900 and as 4900
        currency=currency_of(money.currency),
        occurred_at=in_utc(money.created_at),
        purchase_keys=(f"transaction:{row.key}", *_purchase_keys(row), *extra_keys),
        contact=known.contact(row),
        items=tuple(items) or known.items(row),
    )
    return [charge]


def _purchase_keys(row: Resource) -> tuple[str, ...]:
    """The purchases a transaction names; before June 2026 it named none, then buyer and offer tie a refund to its sale."""
    purchases = row.related("purchases", "purchase")
    if purchases:
        return tuple(f"purchase:{key}" for key in purchases)
    return tuple(f"customer:{c}/offer:{o}" for c in row.related("customer") for o in row.related("offer", "offers"))


def purchase_facts(row: Resource, known: Known) -> PurchaseFacts:
    """What a purchase tells, without its money."""
    purchase = row.read(PurchaseAttributes)
    transactions = (f"transaction:{key}" for key in row.related("transactions"))
    hints = {"coupon": purchase.coupon_code, "source": purchase.source, "referrer": purchase.referrer}
    return PurchaseFacts(
        purchase_keys=(f"purchase:{row.key}", *transactions),
        occurred_at=in_utc(purchase.created_at),
        contact=known.contact(row),
        items=known.items(row, purchase.quantity),
        hints={name: text for name, text in hints.items() if text},
        cancelled_at=in_utc(purchase.deactivated_at) if purchase.deactivated_at else None,
        plan=_plan(purchase.payment_plan_total_payments),
    )


def _plan(payments: int | None) -> Plan | None:
    """Of a payment plan; what is to be paid in all Kajabi does not tell, only how often."""
    return Plan(payments=payments) if payments is not None and payments > 1 else None


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
