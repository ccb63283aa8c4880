"""The independent ledger: what every report must say, worked out from the story alone.

It shares no code with attribution, commerce or analytics and knows only the rules as they are written down:

* the path to a sale is every arrival of every browser of the buyer, up to the first payment and within the lookback window;
* ``first_touch`` credits the first of them, ``last_touch`` the last, ``last_non_direct`` the last that is not direct or, when all
  are direct, the last, ``linear`` all alike;
* every movement of money, refunds and renewals too, is shared by the sale's weights in whole minor units: largest remainder, and
  among equals the earlier arrival;
* a sale whose buyer was never seen is unattributed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

from coursesignal.demo.plan import Arrival, Plan, Sale, Visitor

MODELS = ("first_touch", "last_touch", "last_non_direct", "linear")
LOOKBACK_DAYS = 90

Arrivals = Sequence[tuple[datetime, Arrival]]


@dataclass(slots=True)
class Money:
    """One currency: what came in, what went back, and where each model says it came from."""

    charged_minor: int = 0
    refunded_minor: int = 0
    purchases: int = 0
    unattributed_minor: int = 0
    credited: dict[str, Counter[str]] = field(default_factory=lambda: {model: Counter() for model in MODELS})
    """Net amounts by model and source."""

    @property
    def net_minor(self) -> int:
        return self.charged_minor - self.refunded_minor


@dataclass(slots=True)
class Totals:
    """What the reports of one tenant must add up to."""

    visitors: int = 0
    visitors_by_source: Counter[str] = field(default_factory=Counter)
    students: int = 0
    """Buyers of what was paid in the tenant's own currency."""
    money: dict[str, Money] = field(default_factory=dict)


def totals(plan: Plan, currency: str) -> Totals:
    """The ledger of a plan, for a tenant that reports in ``currency``."""
    people = [visitor for visitor in plan.visitors if not visitor.is_crawler and visitor.visits]
    journeys = _journeys(people)
    found = Totals(visitors=len(people), visitors_by_source=_by_source(people))
    for sale in plan.sales:
        _enter(found.money.setdefault(sale.currency, Money()), sale, journeys.get((sale.email or "").lower(), ()))
    found.students = _students(sale for sale in plan.sales if sale.currency == currency)
    return found


def _journeys(people: Iterable[Visitor]) -> Mapping[str, Arrivals]:
    """Every arrival of every browser, by the e-mail address that was given in it."""
    found: defaultdict[str, list[tuple[datetime, Arrival]]] = defaultdict(list)
    for visitor in people:
        if visitor.email is not None:
            found[visitor.email] += [arrival for visit in visitor.visits for arrival in visit.arrivals]
    return {email: sorted(arrivals, key=lambda arrival: arrival[0]) for email, arrivals in found.items()}


def _by_source(people: Iterable[Visitor]) -> Counter[str]:
    """Each visitor once for every source it came through."""
    found: Counter[str] = Counter()
    for visitor in people:
        found.update({arrival.source for visit in visitor.visits for _, arrival in visit.arrivals})
    return found


def _enter(money: Money, sale: Sale, arrivals: Arrivals) -> None:
    oldest = sale.at - timedelta(days=LOOKBACK_DAYS)
    path = [arrival for at, arrival in arrivals if oldest <= at <= sale.at]
    money.purchases += 1
    for _, amount in sale.movements:
        if amount > 0:
            money.charged_minor += amount
        else:
            money.refunded_minor -= amount
        if not path:
            money.unattributed_minor += amount
            continue
        for model in MODELS:
            for arrival, part in zip(path, share(amount, weights(model, path)), strict=True):
                money.credited[model][arrival.source] += part


def weights(model: str, path: Sequence[Arrival]) -> Sequence[Fraction]:
    """How ``model`` shares a sale among the arrivals before it."""
    if model == "linear":
        return [Fraction(1, len(path))] * len(path)
    chosen = {"first_touch": 0, "last_touch": len(path) - 1}.get(model)
    if chosen is None:
        named = [number for number, arrival in enumerate(path) if not arrival.is_direct]
        chosen = named[-1] if named else len(path) - 1
    return [Fraction(number == chosen) for number in range(len(path))]


def share(amount: int, parts: Sequence[Fraction]) -> list[int]:
    """``amount`` in whole units by ``parts`` that sum to 1; a refund is shared as its sale was, with the sign turned."""
    if amount < 0:
        return [-part for part in share(-amount, parts)]
    exact = [amount * part for part in parts]
    whole = [int(value) for value in exact]
    by_remainder = sorted(range(len(parts)), key=lambda number: (whole[number] - exact[number], number))
    for number in by_remainder[: amount - sum(whole)]:
        whole[number] += 1
    return whole


def _students(sales: Iterable[Sale]) -> int:
    """Distinct buyers; each sale without an address counts as somebody."""
    return len({sale.email.lower() if sale.email is not None else sale.number for sale in sales})
