"""What happened in the demo's invented world: plain values that the story writes, and everything else only reads.

Nothing here knows how CourseSignal works. ``source`` of an arrival is what a person would call the place it came from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Arrival:
    """A way to reach the shop's site: the link's query and referrer, and what it is called."""

    source: str
    query: str = ""
    referrer: str = ""

    @property
    def is_direct(self) -> bool:
        return self.source == "direct"


@dataclass(frozen=True, slots=True)
class PageView:
    """A page opened ``after`` the visit began; ``arrival`` when an outside link led to it."""

    after: timedelta
    path: str
    title: str
    referrer: str = ""
    arrival: Arrival | None = None


class SiteEvent(NamedTuple):
    """What the tracker sends."""

    event_id: UUID
    type: Literal["pageview", "identify"]
    at: datetime
    url: str
    referrer: str
    title: str
    email: str | None


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit; ``email`` is given at its end, exactly as it was typed."""

    key: int
    at: datetime
    pages: tuple[PageView, ...]
    email: str | None = None

    @property
    def arrivals(self) -> Iterator[tuple[datetime, Arrival]]:
        """When outside links led here, in order."""
        return ((self.at + page.after, page.arrival) for page in self.pages if page.arrival is not None)

    @property
    def end_at(self) -> datetime:
        return self.at + self.pages[-1].after + timedelta(seconds=20)

    def events(self, site: str) -> Iterator[SiteEvent]:
        """What the tracker on ``site`` sends; the same ids on every call."""
        for number, page in enumerate(self.pages):
            query = f"?{page.arrival.query}" if page.arrival is not None and page.arrival.query else ""
            referrer = page.arrival.referrer if page.arrival is not None else page.referrer
            url = f"{site}{page.path}{query}"
            yield SiteEvent(self._id(number), "pageview", self.at + page.after, url, referrer, page.title, None)
        if self.email is not None:
            url = f"{site}{self.pages[-1].path}"
            yield SiteEvent(self._id(len(self.pages)), "identify", self.end_at, url, "", "", self.email)

    def _id(self, number: int) -> UUID:
        return uuid4_of(self.key << 32 | number)


@dataclass(frozen=True, slots=True)
class Visitor:
    """A browser on one device, its visits oldest first and hours apart; a crawler is no visitor at all."""

    id: UUID
    user_agent: str
    visits: tuple[Visit, ...]
    is_crawler: bool = False

    @property
    def email(self) -> str | None:
        """Whose browser it is, once it told."""
        return next((visit.email.strip().lower() for visit in self.visits if visit.email is not None), None)


@dataclass(frozen=True, slots=True)
class Product:
    """Something for sale, in minor units of the shop's currency; ``renews`` every month."""

    title: str
    price_minor: int
    renews: bool = False


@dataclass(frozen=True, slots=True)
class Refund:
    """Money given back; ``amount_minor`` > 0."""

    at: datetime
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Payment:
    """Money received, and what of it was given back."""

    at: datetime
    amount_minor: int
    refunds: tuple[Refund, ...] = ()


@dataclass(frozen=True, slots=True)
class Sale:
    """One purchase: the first payment and its renewals. Without ``email`` the platform does not say who bought."""

    number: int
    product: Product
    currency: str
    payments: tuple[Payment, ...]
    email: str | None
    name: str = ""
    gift_for: str | None = None

    @property
    def at(self) -> datetime:
        return self.payments[0].at

    @property
    def movements(self) -> Iterator[tuple[datetime, int]]:
        """Every signed amount of money, with its time."""
        for payment in self.payments:
            yield payment.at, payment.amount_minor
            for refund in payment.refunds:
                yield refund.at, -refund.amount_minor


@dataclass(frozen=True, slots=True)
class Plan:
    """All that happened to one shop between two moments."""

    visitors: tuple[Visitor, ...]
    sales: tuple[Sale, ...]
    since: datetime
    until: datetime

    @property
    def event_count(self) -> int:
        """Page views and identifies."""
        visits = [visit for visitor in self.visitors for visit in visitor.visits]
        return sum(len(visit.pages) + (visit.email is not None) for visit in visits)


def uuid4_of(number: int) -> UUID:
    """A version 4 UUID made of ``number``'s lowest 122 bits."""
    low = number & (1 << 62) - 1
    middle = number >> 62 & 0xFFF
    high = number >> 74 & (1 << 48) - 1
    return UUID(int=high << 80 | 0x4 << 76 | middle << 64 | 0x2 << 62 | low)
