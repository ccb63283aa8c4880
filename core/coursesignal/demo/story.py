"""Tells what happened to a shop: seeded, so the same seed and the same end give the same people, journeys and sales.

``history`` is ninety days as they might have been, ``sample`` a small month in which every special case surely occurs,
``passer_by`` one visitor of right now.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from coursesignal.demo.journeys import Buyer, Teller, Traits
from coursesignal.demo.plan import Plan, Sale, Visitor
from coursesignal.demo.shops import Launch, Shop

SEED = 20
HISTORY_DAYS = 90
SAMPLE_DAYS = 28
LIVE_DAYS = 21
VISITS = (1, 2, 3, 4, 5, 6, 7, 8)
VISITS_WEIGHTS = (62, 18, 9, 5, 3, 1.5, 1, 0.5)
BUYS = {1: 0.004, 2: 0.016, 3: 0.032}
"""How likely a journey of so many visits ends in a sale; longer ones as MOST_LIKELY."""
MOST_LIKELY = 0.055
LAUNCH_CROWD, LAUNCH_BUYS, LAUNCH_HURRY = 1.9, 2.6, 0.2
"""How many more come and buy while something is new, and how much sooner they come back."""
LAUNCH_PEOPLE = 500_000
"""Number of the first person that a launch brings."""
WEEKDAYS = (1.08, 1.1, 1.05, 1.0, 0.9, 0.85, 1.02)
HOURS = (1, 1, 0.5, 0.5, 0.5, 1, 2, 4, 5, 6, 6, 6, 7, 6, 6, 6, 6, 7, 8, 9, 9, 7, 4, 2)


def history(shop: Shop, until: datetime, *, seed: int = SEED, days: int = HISTORY_DAYS, crowd: float = 1.0) -> Plan:
    """``days`` days that end at ``until``; ``crowd`` scales how many people there are."""
    rng = random.Random(f"{seed}/{shop.slug}/history")  # noqa: S311 – a story, not a secret
    usual = Teller(shop, rng, until)
    eager = Teller(shop, rng, until, hurry=LAUNCH_HURRY, first_person=LAUNCH_PEOPLE)
    since = until - timedelta(days=days)
    visitors: list[Visitor] = []
    sales: list[Sale] = []
    for first_at, launch in _first_visits(shop, rng, since, until, crowd):
        told = _somebody(eager if launch else usual, rng, first_at, launch)
        visitors += told.visitors
        sales += told.sales
    visitors += [usual.crawler(since + (until - since) * rng.random()) for _ in range(days)]
    return Plan(tuple(visitors), _numbered(_with_gift(sales)), since, until)


def sample(shop: Shop, until: datetime, *, seed: int = SEED, visitors: int = 200, sales: int = 40) -> Plan:
    """Exactly so many visitors and sales in the four weeks before ``until``, with every special case among them."""
    rng = random.Random(f"{seed}/{shop.slug}/sample")  # noqa: S311
    teller = Teller(shop, rng, until, pace=0.3)
    since = until - timedelta(days=SAMPLE_DAYS)
    people: list[Visitor] = []
    sold: list[Sale] = []
    number = 0
    while len(sold) < sales:
        traits = _special(number, may_return=len(sold) + 2 <= sales)
        count = 8 - number // 9 if traits.two_devices else rng.choices(VISITS, VISITS_WEIGHTS)[0]
        told = teller.buyer(since + (until - since) * rng.uniform(0, 0.4), count, traits)
        people += told.visitors
        sold += told.sales
        number += 1
    while len(people) < visitors:
        count = rng.choices(VISITS, VISITS_WEIGHTS)[0]
        first_at = since + (until - since) * rng.uniform(0, 0.9)
        people.append(teller.visitor(first_at, count, lead=len(people) % 5 == 0))
    people += [teller.crawler(since + (until - since) * rng.random()) for _ in range(5)]
    return Plan(tuple(people), _numbered(sold), since, until)


def passer_by(shop: Shop, rng: random.Random, now: datetime, *, number: int, buys: bool) -> Buyer:
    """Somebody whose last visit ends ``now``; buyers come from journeys of up to three weeks."""
    teller = Teller(shop, rng, now, pace=0.5, first_person=number)
    if not buys:
        return Buyer((teller.visitor_until(now, 1, lead=rng.random() < 0.1),), ())
    return _recent(teller.buyer_until(now, rng.choices(VISITS, (30, 25, 18, 12, 7, 4, 2, 2))[0]), now)


def _recent(buyer: Buyer, now: datetime) -> Buyer:
    """Without visits longer ago than the tracking endpoint takes a visitor's word for."""
    oldest = now - timedelta(days=LIVE_DAYS)
    visitors = (
        replace(visitor, visits=tuple(visit for visit in visitor.visits if visit.at > oldest))
        for visitor in buyer.visitors
    )
    return Buyer(tuple(visitor for visitor in visitors if visitor.visits), buyer.sales)


def _somebody(teller: Teller, rng: random.Random, first_at: datetime, launch: Launch | None) -> Buyer:
    """A new visitor, who may become a buyer."""
    count = rng.choices(VISITS, VISITS_WEIGHTS)[0]
    first = teller.first_channel()
    likely = BUYS.get(count, MOST_LIKELY) * first.buys * (LAUNCH_BUYS if launch else 1)
    if rng.random() < likely:
        return teller.buyer(first_at, count, _drawn(rng, launch), first=first, must_finish=True)
    lead = rng.random() < (0.12 if count > 1 else 0.03)
    if lead:  # letters bring them back
        count = min(count + rng.randint(1, 5), VISITS[-1])
    return Buyer((teller.visitor(first_at, count, lead=lead, first=first),), ())


def _drawn(rng: random.Random, launch: Launch | None) -> Traits:
    """A buyer's special traits, by chance."""
    return Traits(
        product=launch.product if launch is not None and rng.random() < 0.75 else None,
        two_devices=rng.random() < 0.12,
        unseen_email=rng.random() < 0.06,
        no_email=rng.random() < 0.015,
        late_email=rng.random() < 0.08,
        returns=rng.random() < 0.1,
        refund=rng.choices((None, "full", "partial"), (92, 5, 3))[0],
        refund_of_renewal=rng.random() < 0.05,
        abroad=rng.random() < 0.04,
        discount=rng.random() < 0.15,
    )


def _special(number: int, *, may_return: bool) -> Traits:
    """The traits of the sample's buyer ``number``: each occurs, whatever the seed."""
    return Traits(
        two_devices=number % 9 == 4,
        unseen_email=number % 11 == 5,
        late_email=number % 13 == 6,
        returns=number % 10 == 7 and may_return,
        refund="full" if number % 8 == 1 else "partial" if number % 8 == 3 else None,
        refund_of_renewal=number % 3 == 0,
        abroad=number % 8 == 2,
        discount=number % 4 == 1,
        renews=number % 5 == 0,
    )


def _first_visits(
    shop: Shop, rng: random.Random, since: datetime, until: datetime, crowd: float
) -> Iterator[tuple[datetime, Launch | None]]:
    """When each new visitor comes, day by day of the shop's zone: weekdays, hours, a slow growth, launches."""
    zone = ZoneInfo(shop.time_zone)
    day = since.astimezone(zone).date()
    last = until.astimezone(zone).date()
    while day <= last:
        launch = _launch_on(shop, (last - day).days)
        growth = 0.85 + 0.3 * (1 - (last - day).days / HISTORY_DAYS)
        expected = shop.visitors_a_day * crowd * WEEKDAYS[day.weekday()] * growth * (LAUNCH_CROWD if launch else 1)
        midnight = datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)
        for hour in sorted(rng.choices(range(24), HOURS, k=round(rng.gauss(expected, expected**0.5)))):
            at = midnight + timedelta(seconds=hour * 3600 + rng.randrange(3600))
            if since <= at < until:
                yield at, launch
        day += timedelta(days=1)


def _launch_on(shop: Shop, days_ago: int) -> Launch | None:
    for launch in shop.launches:
        if launch.first_day_ago - launch.days < days_ago <= launch.first_day_ago:
            return launch
    return None


def launch_window(shop: Shop, launch: Launch, until: datetime) -> tuple[datetime, datetime]:
    """From the first midnight of ``launch`` to the one after its last day, in the shop's zone."""
    zone = ZoneInfo(shop.time_zone)
    first = until.astimezone(zone).date() - timedelta(days=launch.first_day_ago)
    start, end = (datetime.combine(day, time.min, tzinfo=zone) for day in (first, first + timedelta(days=launch.days)))
    return start.astimezone(UTC), end.astimezone(UTC)


def _with_gift(sales: list[Sale]) -> list[Sale]:
    """Make one ordinary sale of the middle a gift to somebody who is a visitor too."""
    middle = len(sales) // 2
    for giver in sales[middle:]:
        others = [sale.email for sale in sales if sale.email not in (None, giver.email)]
        if giver.email is not None and len(giver.payments) == 1 and others:
            return [replace(sale, gift_for=others[0]) if sale is giver else sale for sale in sales]
    return sales


def _numbered(sales: list[Sale]) -> tuple[Sale, ...]:
    """In the order they happened."""
    ordered = sorted(sales, key=lambda sale: (sale.at, sale.email or ""))
    return tuple(replace(sale, number=number) for number, sale in enumerate(ordered, 1))
