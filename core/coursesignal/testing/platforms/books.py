"""What a fake platform sold, in its own words: the independent side of every reconciliation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Buyer:
    """A person as the platform knows them."""

    id: int
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Product:
    """Something for sale: a Kajabi offer, a Teachable pricing plan."""

    id: int
    title: str
    recurring: bool = False


@dataclass(frozen=True, slots=True)
class FakeSale:
    """One charge; renewals share ``purchase_id`` with the first."""

    id: int
    purchase_id: int
    buyer: Buyer
    product: Product
    amount_minor: int
    currency: str
    at: datetime
    renewal: bool = False
    coupon: str | None = None


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that moved, signed."""

    amount_minor: int
    currency: str
    at: datetime
    reverses: bool = False
    """It takes back what went out: not money earned."""


@dataclass(slots=True)
class Book:
    """Totals in one currency; ``refunded_minor`` is what went back less what came again."""

    charged_minor: int = 0
    refunded_minor: int = 0
    charges: int = 0
    refunds: int = 0

    @property
    def net_minor(self) -> int:
        return self.charged_minor - self.refunded_minor


def totals(movements: Iterable[Movement], since: datetime | None = None) -> Mapping[str, Book]:
    """One book per currency of what moved at or after ``since``."""
    books: dict[str, Book] = {}
    for movement in movements:
        if since is not None and movement.at < since:
            continue
        book = books.setdefault(movement.currency, Book())
        if movement.reverses:
            book.refunded_minor -= movement.amount_minor
        elif movement.amount_minor >= 0:
            book.charged_minor += movement.amount_minor
            book.charges += 1
        else:
            book.refunded_minor -= movement.amount_minor
            book.refunds += 1
    return books
