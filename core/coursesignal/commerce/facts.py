"""What platforms say about a purchase besides money, and the purchase that makes. Pure.

Each thing said is kept once, under a digest of its content. A purchase's columns are a fold over them by the time they tell of,
so the order of arrival, repeats and merges change nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from coursesignal.commerce.money import AGAINST, Money
from coursesignal.plugin import Charge, Contact, Item, Plan, PlatformEvent, PurchaseFacts


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was said."""

    occurred_at: datetime
    key: str
    """The least key it was said of: the same words about another purchase are another thing."""
    contact: Contact = Contact()
    items: tuple[Item, ...] = ()
    hints: dict[str, str] = {}
    cancelled_at: datetime | None = None
    gift_recipient: str | None = None
    plan: Plan | None = None

    @property
    def digest(self) -> bytes:
        """Equal for equal facts."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).digest()


def facts_in(event: PlatformEvent) -> Facts:
    """What an event says besides money."""
    key = min(event.purchase_keys)
    if isinstance(event, PurchaseFacts):
        return Facts(
            occurred_at=event.occurred_at, key=key, contact=event.contact, items=event.items, hints=dict(event.hints),
            cancelled_at=event.cancelled_at, gift_recipient=event.gift_recipient, plan=event.plan,
        )  # fmt: skip
    if isinstance(event, Charge):
        return Facts(
            occurred_at=event.occurred_at, key=key, contact=event.contact, items=event.items, hints=dict(event.hints)
        )
    return Facts(occurred_at=event.occurred_at, key=key)


@dataclass(frozen=True, slots=True)
class Folded:
    """A purchase as all that is known of it shows it; ``refunded_minor`` is refunds and disputes less disputes won."""

    purchased_at: datetime
    currency: str
    charged_minor: int
    refunded_minor: int
    paid_charges: int
    contact: Contact
    items: Sequence[Item]
    hints: dict[str, str]
    cancelled_at: datetime | None
    gift_recipient: str | None
    plan: Plan

    @property
    def product(self) -> str:
        """The titles of what was bought."""
        return ", ".join(item.title for item in self.items)

    @property
    def visitor_id(self) -> UUID | None:
        """The visitor that the platform took along to checkout."""
        try:
            return UUID(self.hints["visitor_id"])
        except (KeyError, ValueError):
            return None


def in_order(facts: Iterable[Facts]) -> Sequence[Facts]:
    """By the time they tell of, equal times in a fixed order."""
    return sorted(facts, key=lambda one: (one.occurred_at, one.digest))


def fold(facts: Iterable[Facts], charges: Iterable[Money]) -> Folded:
    """The purchase behind ``facts`` (at least one) and ``charges``.

    Its currency is that of its first payment; money in another one is in the reports of that currency. It was made at its first
    payment, or when it was first spoken of while none is known. Who bought it is what was said first.
    """
    said = in_order(facts)
    money = sorted(charges, key=lambda one: (one.occurred_at, one.external_id))
    paid = [one for one in money if one.kind not in AGAINST and one.kind != "dispute_reversal"]
    currency = next((one.currency for one in [*paid, *money]), "")
    paid_here = [one for one in paid if one.currency == currency]
    return Folded(
        purchased_at=paid[0].occurred_at if paid else said[0].occurred_at,
        currency=currency,
        charged_minor=sum(one.amount_minor for one in paid_here),
        refunded_minor=-sum(one.amount_minor for one in money if one not in paid and one.currency == currency),
        paid_charges=len(paid_here),
        contact=_contact(said),
        items=_items(said),
        hints={name: value for one in reversed(said) for name, value in one.hints.items()},
        cancelled_at=min((one.cancelled_at for one in said if one.cancelled_at), default=None),
        gift_recipient=next((one.gift_recipient for one in said if one.gift_recipient), None),
        plan=_plan(said),
    )


def _contact(said: Sequence[Facts]) -> Contact:
    return Contact(
        email=next((one.contact.email for one in said if one.contact.email), None),
        external_id=next((one.contact.external_id for one in said if one.contact.external_id), None),
        name=next((one.contact.name for one in said if one.contact.name), None),
    )


def _plan(said: Sequence[Facts]) -> Plan:
    """What was said last of each of its parts; a payment that failed is the last one that did."""
    told = [one.plan for one in reversed(said) if one.plan is not None]
    return Plan(
        payments=next((one.payments for one in told if one.payments is not None), None),
        total_minor=next((one.total_minor for one in told if one.total_minor is not None), None),
        next_due_at=next((one.next_due_at for one in told if one.next_due_at is not None), None),
        failed_at=max((one.failed_at for one in told if one.failed_at is not None), default=None),
    )


def _items(said: Sequence[Facts]) -> Sequence[Item]:
    """Each item once, as first described, with the first amount that anyone gave."""
    found: dict[str, Item] = {}
    for one in said:
        for item in one.items:
            known = found.setdefault(item.external_id, item)
            if known.amount_minor is None and item.amount_minor is not None:
                found[item.external_id] = msgspec.structs.replace(known, amount_minor=item.amount_minor)
    return tuple(found.values())
