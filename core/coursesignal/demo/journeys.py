"""One person's way: visits with their pages, and what they buy at the end."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from coursesignal.demo.people import CRAWLER, USER_AGENTS, as_typed, person
from coursesignal.demo.plan import (
    Arrival,
    PageView,
    Payment,
    Product,
    Refund,
    Sale,
    Visit,
    Visitor,
    uuid4_of,
)
from coursesignal.demo.shops import Channel, Shop

PAGES = (
    ("/", "Welcome"),
    ("/about", "About me"),
    ("/courses", "All courses"),
    ("/blog/how-to-begin", "How to begin"),
    ("/free-lesson", "A free lesson"),
    ("/students", "What students say"),
)
CHECKOUT = ("/courses/join", "Join"), ("/checkout", "Checkout")
THANKS = ("/thank-you", "Welcome aboard")
PAYMENT_PAGE = "https://checkout.stripe.com/"
"""Where buyers come back from: it brought nobody."""
SHORTEST_GAP_H = 5.0
MEAN_GAP_H = 64.0


@dataclass(frozen=True, slots=True)
class Traits:
    """What is special about a buyer."""

    product: Product | None = None
    two_devices: bool = False
    unseen_email: bool = False
    """Pays with an address that the site never saw."""
    no_email: bool = False
    late_email: bool = False
    """Gives the address only on a visit after the purchase."""
    returns: bool = False
    """Comes back and buys something else."""
    refund: Literal["full", "partial"] | None = None
    refund_of_renewal: bool = False
    abroad: bool = False
    discount: bool = False
    renews: bool = False


@dataclass(frozen=True, slots=True)
class Buyer:
    """A person's browsers and what they bought, if anything."""

    visitors: tuple[Visitor, ...]
    sales: tuple[Sale, ...]


class Teller:
    """Makes up one shop's people; nothing happens after ``until``.

    ``pace`` shortens all waiting, ``hurry`` that between two visits.
    """

    def __init__(
        self,
        shop: Shop,
        rng: random.Random,
        until: datetime,
        *,
        pace: float = 1.0,
        hurry: float = 1.0,
        first_person: int = 1,
    ) -> None:
        self._shop = shop
        self._rng = rng
        self._until = until - timedelta(minutes=30)
        self._pace = pace
        self._mean_gap_h = MEAN_GAP_H * pace * hurry
        self._people = itertools.count(first_person)
        self._first = _cumulated(shop.channels, [channel.first for channel in shop.channels])
        self._again = _cumulated(shop.channels, [0 if c.for_leads else c.again for c in shop.channels])
        self._lead = _cumulated(shop.channels, [channel.again for channel in shop.channels])

    def first_channel(self) -> Channel:
        """Where somebody new comes from."""
        return self._channel(self._first)

    def visitor(self, first_at: datetime, count: int, *, lead: bool, first: Channel | None = None) -> Visitor:
        """Somebody who does not buy; a ``lead`` leaves an e-mail address. ``first`` brings the first visit."""
        gives = self._rng.randrange(-(-count // 2)) if lead else None
        email, _ = person(next(self._people)) if lead else ("", "")
        visits = self._visits(first_at, count, lead_after=gives, first=first)
        if gives is not None:
            at = min(gives, len(visits) - 1)
            visits[at] = replace(visits[at], email=self._typed(email))
        return self._browser(visits)

    def visitor_until(self, now: datetime, count: int, *, lead: bool) -> Visitor:
        """The same, with the last visit ending ``now``."""
        visitor = self.visitor(self._long_ago(now), count, lead=lead)
        return _shifted(visitor, now - visitor.visits[-1].end_at)

    def crawler(self, at: datetime) -> Visitor:
        """A search engine that looks at two pages."""
        visit = Visit(self._key(), at.replace(microsecond=0), self._pages(Arrival("direct"), 2))
        return Visitor(self._uuid(), CRAWLER, (visit,), is_crawler=True)

    def buyer(
        self,
        first_at: datetime,
        count: int,
        traits: Traits,
        *,
        first: Channel | None = None,
        must_finish: bool = False,
    ) -> Buyer:
        """Somebody who buys on the last of ``count`` visits; with ``must_finish`` not at all when time runs out before."""
        email, name = person(next(self._people))
        visits = self._visits(first_at, count, lead_after=count // 2 if count > 2 else None, first=first)
        if must_finish and len(visits) < count:
            return Buyer((self._browser(visits),), ())
        visits[-1], sold_at = self._checkout(visits[-1])
        product = traits.product or self._product(traits)
        sale = self._sale(product, sold_at, email, name, traits)
        more_visits, more_sales = self._return(visits[-1], email, name, product) if traits.returns else ([], [])
        visits += more_visits
        visits = self._tell(visits, len(visits) - len(more_visits) - 1, email, traits)
        return Buyer(self._browsers(visits, email, traits), (sale, *more_sales))

    def buyer_until(self, now: datetime, count: int) -> Buyer:
        """A buyer without special traits, whose purchase is ``now``; what it may renew to is not told yet."""
        told = self.buyer(self._long_ago(now), count, Traits())
        by = now - told.visitors[0].visits[-1].end_at
        sales = tuple(_moved(replace(sale, payments=sale.payments[:1]), by) for sale in told.sales)
        return Buyer(tuple(_shifted(visitor, by) for visitor in told.visitors), sales)

    # -- visits --------------------------------------------------------------------------------------------------------

    def _visits(
        self, first_at: datetime, count: int, *, lead_after: int | None, first: Channel | None = None
    ) -> list[Visit]:
        """Up to ``count`` visits, as many as begin before the end; at least one."""
        visits: list[Visit] = []
        at = min(first_at, self._until).replace(microsecond=0)
        for number in range(count):
            known = lead_after is not None and number > lead_after
            channel = self._channel(self._lead if known else self._again)
            if number == 0:
                channel = first or self.first_channel()
            visits.append(Visit(self._key(), at, self._pages(self._click(channel), self._page_count())))
            gap_h = SHORTEST_GAP_H + self._rng.expovariate(1 / self._mean_gap_h)
            at += timedelta(seconds=round(gap_h * 3600))
            if at > self._until:
                break
        return visits

    def _pages(self, arrival: Arrival, count: int) -> tuple[PageView, ...]:
        """Pages of one visit; now and then somebody leaves and comes back through another link."""
        path, title = self._rng.choice(PAGES)
        pages = [PageView(timedelta(0), path, title, arrival=arrival)]
        after, before = 0, path
        for _ in range(count - 1):
            after += self._rng.randint(8, 240)
            path, title = self._rng.choice(PAGES)
            detour = self._detour(arrival) if self._rng.random() < 0.015 and len(pages) == 1 else None
            pages.append(PageView(timedelta(seconds=after), path, title, f"{self._shop.site}{before}", detour))
            before = path
        return tuple(pages)

    def _detour(self, arrival: Arrival) -> Arrival | None:
        other = self._click(self._channel(self._again))
        return None if other.is_direct or other.source == arrival.source else other

    def _checkout(self, visit: Visit) -> tuple[Visit, datetime]:
        """The visit with a purchase at its end, and when that was."""
        after = visit.pages[-1].after
        pages = list(visit.pages)
        for path, title in CHECKOUT:
            after += timedelta(seconds=self._rng.randint(15, 200))
            pages.append(PageView(after, path, title, f"{self._shop.site}{pages[-1].path}"))
        after += timedelta(seconds=self._rng.randint(40, 180))
        pages.append(PageView(after, *THANKS, PAYMENT_PAGE))
        return replace(visit, pages=tuple(pages)), visit.at + after - timedelta(seconds=8)

    def _tell(self, visits: list[Visit], purchase: int, email: str, traits: Traits) -> list[Visit]:
        """Put the e-mail address into the visit in which it is given, if it is."""
        if traits.unseen_email or traits.no_email:
            return visits
        at = purchase
        if traits.late_email:
            later_at = visits[-1].end_at + timedelta(hours=30 * self._pace)
            if later_at < self._until:
                visits = [
                    *visits,
                    Visit(self._key(), later_at.replace(microsecond=0), self._pages(Arrival("direct"), 1)),
                ]
                at = len(visits) - 1
        elif purchase > 1 and self._rng.random() < 0.5:
            at = self._rng.randrange(purchase)
        visits[at] = replace(visits[at], email=self._typed(email))
        return visits

    def _browsers(self, visits: list[Visit], email: str, traits: Traits) -> tuple[Visitor, ...]:
        """One browser, or two that both know the address."""
        half = len(visits) // 2
        if not traits.two_devices or half == 0 or traits.unseen_email or traits.no_email:
            return (self._browser(visits),)
        early, late = visits[:half], visits[half:]
        for part in (early, late):
            if all(visit.email is None for visit in part):
                part[-1] = replace(part[-1], email=self._typed(email))
        return self._browser(early), self._browser(late)

    def _browser(self, visits: Sequence[Visit]) -> Visitor:
        return Visitor(self._uuid(), self._rng.choice(USER_AGENTS), tuple(visits))

    # -- sales ---------------------------------------------------------------------------------------------------------

    def _sale(self, product: Product, at: datetime, email: str, name: str, traits: Traits) -> Sale:
        price = product.price_minor * 4 // 5 if traits.discount else product.price_minor
        told = None if traits.no_email else f"private.{email}" if traits.unseen_email else email
        payments = [Payment(at, price, self._refunds(at, price, traits.refund))]
        if product.renews and not payments[0].refunds:
            payments += self._renewals(at, price, traits)
        currency = self._shop.abroad if traits.abroad else self._shop.currency
        return Sale(0, product, currency, tuple(payments), told, "" if told is None else name)

    def _renewals(self, at: datetime, price: int, traits: Traits) -> list[Payment]:
        """Every month until the end, or until somebody cancels."""
        renewals: list[Payment] = []
        due = at + timedelta(days=30) * self._pace
        while due < self._until and self._rng.random() < 0.9:
            due = due.replace(microsecond=0)
            refund = "full" if traits.refund_of_renewal and not renewals else None
            renewals.append(Payment(due, price, self._refunds(due, price, refund)))
            due += timedelta(days=30) * self._pace
        return renewals

    def _refunds(self, at: datetime, price: int, refund: str | None) -> tuple[Refund, ...]:
        when = (at + timedelta(days=self._rng.uniform(1, 14)) * self._pace).replace(microsecond=0)
        if refund is None or when >= self._until:
            return ()
        amount = price if refund == "full" else price * self._rng.randint(2, 6) // 100 * 10
        return (Refund(when, amount),)

    def _return(self, visit: Visit, email: str, name: str, bought: Product) -> tuple[list[Visit], list[Sale]]:
        """A second purchase some days later, if there is time for it."""
        at = visit.end_at + timedelta(days=self._rng.uniform(3, 20)) * self._pace
        if at >= self._until:
            return [], []
        again = self._visits(at, 1, lead_after=None)[0]
        again, sold_at = self._checkout(again)
        others = [product for product, _ in self._shop.products if product != bought and not product.renews]
        return [again], [self._sale(self._rng.choice(others), sold_at, email, name, Traits())]

    def _product(self, traits: Traits) -> Product:
        if traits.renews:
            return next(product for product, _ in self._shop.products if product.renews)
        products, weights = zip(*self._shop.products, strict=True)
        return self._rng.choices(products, weights)[0]  # type: ignore[no-any-return]

    # -- chance --------------------------------------------------------------------------------------------------------

    def _channel(self, table: tuple[Sequence[Channel], Sequence[float]]) -> Channel:
        return self._rng.choices(table[0], cum_weights=table[1])[0]

    def _click(self, channel: Channel) -> Arrival:
        return channel.arrival(self._rng.choice(channel.campaigns), f"Cj0KCQ{self._rng.getrandbits(64):x}")

    def _page_count(self) -> int:
        return self._rng.choices((1, 2, 3, 4, 6), (45, 26, 15, 9, 5))[0]

    def _typed(self, email: str) -> str:
        return as_typed(email, self._rng.randrange(100))

    def _long_ago(self, now: datetime) -> datetime:
        return now - timedelta(days=200)

    def _key(self) -> int:
        return self._rng.getrandbits(88)

    def _uuid(self) -> UUID:
        return uuid4_of(self._rng.getrandbits(122))


def _cumulated(channels: Sequence[Channel], weights: Sequence[float]) -> tuple[Sequence[Channel], Sequence[float]]:
    return channels, list(itertools.accumulate(weights))


def _shifted(visitor: Visitor, by: timedelta) -> Visitor:
    return replace(visitor, visits=tuple(replace(visit, at=visit.at + by) for visit in visitor.visits))


def _moved(sale: Sale, by: timedelta) -> Sale:
    payments = tuple(
        Payment(p.at + by, p.amount_minor, tuple(Refund(r.at + by, r.amount_minor) for r in p.refunds))
        for p in sale.payments
    )
    return replace(sale, payments=payments)
