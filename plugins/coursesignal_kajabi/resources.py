"""Kajabi's JSON:API resources, read tolerantly: ids as text or number, relations singular or plural, attributes by type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

Key = str | int
Cents = Annotated[int, Meta(ge=-(2**52), le=2**52)]
Quantity = Annotated[int, Meta(ge=0, le=1_000_000)]
T = TypeVar("T")


class Ref(msgspec.Struct, frozen=True):
    """A reference to another resource."""

    id: Key


class Relation(msgspec.Struct, frozen=True):
    """A to-one or to-many relationship; some responses give links only."""

    data: Ref | list[Ref] | None = None


class Resource(msgspec.Struct, frozen=True):
    """One resource object."""

    id: Key
    kind: str = msgspec.field(name="type")
    attributes: Mapping[str, Any] = {}
    relationships: Mapping[str, Relation] = {}

    @property
    def key(self) -> str:
        return str(self.id)

    def read(self, shape: type[T]) -> T:
        """The attributes as ``shape``; raises msgspec.ValidationError."""
        return msgspec.convert(self.attributes, shape)

    def related(self, *names: str) -> tuple[str, ...]:
        """Ids under any of the relations ``names``, such as "offer" and its plural."""
        found: list[str] = []
        for name in names:
            data = self.relationships.get(name, Relation()).data
            refs = data if isinstance(data, list) else [data] if data is not None else []
            found += [str(ref.id) for ref in refs if str(ref.id) not in found]
        return tuple(found)


class TransactionAttributes(msgspec.Struct, frozen=True):
    """Money that moved, or tried to."""

    action: str
    amount_in_cents: Cents
    created_at: datetime
    state: str | None = None
    currency: str | None = None


class PurchaseAttributes(msgspec.Struct, frozen=True):
    """A person owning an offer."""

    created_at: datetime
    updated_at: datetime | None = None
    deactivated_at: datetime | None = None
    quantity: Quantity | None = None
    amount_in_cents: Cents | None = None
    payment_type: str | None = None
    coupon_code: str | None = None
    source: str | None = None
    referrer: str | None = None
    multipay_payments_made: int | None = None
    """Of a payment plan alone."""
    payment_plan_total_payments: Any = None
    """Told in prose, absent from the schema."""


class CustomerAttributes(msgspec.Struct, frozen=True):
    """A buyer."""

    email: str | None = None
    name: str | None = None


class OfferAttributes(msgspec.Struct, frozen=True):
    """Something for sale."""

    title: str | None = None


class OrderAttributes(msgspec.Struct, frozen=True):
    """A cart that was paid."""

    created_at: datetime
    total_price_in_cents: Cents | None = None


class OrderItemAttributes(msgspec.Struct, frozen=True):
    """A line of a cart's order."""

    title: str | None = None
    item_id: Key | None = None
    quantity: Quantity | None = None
    total_price_in_cents: Cents | None = None


def of_type(resources: Iterable[Resource], kind: str) -> Sequence[Resource]:
    """The resources of one type, in order: a payload mixes several."""
    return [resource for resource in resources if resource.kind == kind]


def email_of(text: str | None) -> str | None:
    """An e-mail address, None for what is none."""
    address = (text or "").strip()
    return address if "@" in address else None


def in_utc(at: datetime) -> datetime:
    """``at`` in UTC; without an offset it already is."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
