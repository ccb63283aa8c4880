"""Filters as sets of purchases and of visitors.

A purchase is in when it meets every condition:

source … landing, country, device, browser, system
    one visit of its buyer up to the purchase has all of these values, however long ago and whatever the model credits.
platform, product, currency, match, coupon
    the purchase has the value; ``product`` is its own name or that of one of its items.
buyer
    ``new``: it is the first paid purchase of its buyer; ``returning``: it is not.
firstSource
    the first visit ever of its buyer came from there.

``isNot`` holds wherever ``is`` would not: no visit, no item, nothing known. A visitor is in when its person meets the conditions
about visits and the first source – those about purchases leave visitors alone, so that a conversion rate has everybody who might
have bought below the line – or when its person made a purchase that is in: what is credited never loses its touch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from coursesignal.analytics.filters import PERSON_FIELDS, VISIT_FIELDS, Condition, Filter
from coursesignal.analytics.views import Definition
from coursesignal.attribution.paths import CLOSES_AT

PURCHASES, VISITORS = "in_purchases", "in_visitors"
"""The steps that hold what is in: ``(id, person_id)`` of purchases, ``id`` of visitors."""
_OF_VISIT = {
    "source": "t.source",
    "channel": "t.channel",
    "medium": "t.medium",
    "campaign": "t.campaign",
    "content": "t.content",
    "landing": "t.landing_path",
    "country": "s.country",
    "device": "s.device",
    "browser": "s.browser",
    "system": "s.system",
}
_OF_PURCHASE = {
    "platform": "p.platform",
    "product": "p.product",
    "currency": "p.currency",
    "match": "p.match",
    "coupon": "p.hints->>'coupon'",
}
_BUYER = "coalesce(p.person_id, md5(lower(p.email))::uuid, p.id)"


@dataclass
class Narrowing:
    """Filters being turned into SQL for one tenant."""

    tenant_id: UUID
    steps: dict[str, Definition] = field(default_factory=dict)
    _purchases: list[str] = field(default_factory=list)
    _visitors: list[str] = field(default_factory=list)
    _values: list[object] = field(default_factory=list)

    def add(self, asked: Filter) -> None:
        """Keep only what meets ``asked``."""
        of_purchase, of_visitor = [], []
        for bought, visited in self._conditions(asked.conditions):
            of_purchase.append(bought)
            if visited is not None:
                of_visitor.append(visited)
        self._purchases.append(_all(of_purchase, asked.complement))
        if of_visitor:
            self._visitors.append(_all(of_visitor, asked.complement))

    def finish(self) -> bool:
        """Write the steps PURCHASES and, when visitors are narrowed at all, VISITORS; answers whether they are."""
        self.steps[PURCHASES] = Definition(
            f"select p.id, p.person_id from public.purchases p "  # noqa: S608 – of constants and a UUID
            f"where p.tenant_id = '{self.tenant_id}' and {' and '.join(self._purchases)}",
            tuple(self._values),
            kept=True,
        )
        if self._visitors:
            self.steps[VISITORS] = Definition(
                f"select v.id from public.visitors v where v.tenant_id = '{self.tenant_id}' "  # noqa: S608 – of constants
                f"and (({' and '.join(self._visitors)}) "
                f"or v.person_id in (select person_id from {PURCHASES} where person_id is not null))",
                kept=True,
            )
        return bool(self._visitors)

    def _conditions(self, conditions: Sequence[Condition]) -> Iterator[tuple[str, str | None]]:
        """Each condition about purchases, and about visitors where it says something of them."""
        together = [one for one in conditions if one.field in VISIT_FIELDS and one.operator == "is"]
        if together:
            yield self._seen(together)
        for one in conditions:
            if one.field in VISIT_FIELDS:
                if one.operator == "isNot":
                    yield _negated(*self._seen([one]))
            elif one.field in PERSON_FIELDS:
                found = self._first(one)
                yield _negated(*found) if one.operator == "isNot" else found
            else:
                bought = self._bought(one)
                yield (f"({bought}) is not true" if one.operator == "isNot" else bought), None

    def _seen(self, conditions: Sequence[Condition]) -> tuple[str, str]:
        """One visit that meets all ``conditions``."""
        values: list[object] = []
        where = " and ".join(_matches(_OF_VISIT[one.field], one.values, values) for one in conditions)
        sessions = (
            "join public.sessions s on s.tenant_id = t.tenant_id and s.id = t.session_id" if "s." in where else ""
        )
        name = self._step(
            f"select v.person_id, t.visitor_id, min(t.occurred_at) as first_at "  # noqa: S608 – of constants
            f"from public.touches t join public.visitors v on v.tenant_id = t.tenant_id and v.id = t.visitor_id {sessions} "
            f"where t.tenant_id = '{self.tenant_id}' and {where} group by v.person_id, t.visitor_id",
            values,
        )
        closes_at = CLOSES_AT.format(purchased_at="p.purchased_at")
        bought = self._step(
            f"select p.id from public.purchases p join {name} j "  # noqa: S608 – of constants
            f"on j.person_id = p.person_id and j.first_at <= {closes_at} where p.tenant_id = '{self.tenant_id}'",
            [],
        )
        return f"p.id in (select id from {bought})", _of_person_or_visitor(name)  # noqa: S608

    def _first(self, condition: Condition) -> tuple[str, str]:
        """The first visit ever came from there."""
        values: list[object] = []
        where = _matches("f.source", condition.values, values)
        name = self._step(
            f"select f.person_id, f.visitor_id from ("  # noqa: S608 – of constants
            f"select distinct on (coalesce(v.person_id, v.id)) v.person_id, t.visitor_id, t.source "
            f"from public.touches t join public.visitors v on v.tenant_id = t.tenant_id and v.id = t.visitor_id "
            f"where t.tenant_id = '{self.tenant_id}' order by coalesce(v.person_id, v.id), t.occurred_at, t.id) f "
            f"where {where}",
            values,
        )
        return f"p.person_id in (select person_id from {name} where person_id is not null)", _of_person_or_visitor(name)  # noqa: S608

    def _bought(self, condition: Condition) -> str:
        if condition.field == "buyer":
            return self._buyer(condition.values)
        if condition.field == "coupon":
            values = tuple(value.lower() for value in condition.values)
            return self._matching(f"lower({_OF_PURCHASE['coupon']})", values)
        mine = self._matching(_OF_PURCHASE[condition.field], condition.values)
        if condition.field != "product":
            return mine
        titles: list[object] = []
        item = _matches("i.title", condition.values, titles)
        name = self._step(
            f"select i.purchase_id from public.purchase_items i "  # noqa: S608 – of constants
            f"where i.tenant_id = '{self.tenant_id}' and {item}",
            titles,
        )
        return f"({mine} or p.id in (select purchase_id from {name}))"  # noqa: S608

    def _buyer(self, wanted: Sequence[str]) -> str:
        if len(set(wanted)) > 1:
            return "true"
        name = self._step(
            f"select distinct on ({_BUYER}) p.id from public.purchases p "  # noqa: S608 – of constants
            f"where p.tenant_id = '{self.tenant_id}' and p.charged_minor > 0 order by {_BUYER}, p.purchased_at, p.id",
            [],
        )
        return f"p.id {'in' if wanted[0] == 'new' else 'not in'} (select id from {name})"  # noqa: S608

    def _matching(self, column: str, wanted: Sequence[str]) -> str:
        return _matches(column, wanted, self._values)

    def _step(self, sql: str, values: Sequence[object]) -> str:
        """Keep a set under a name of its own."""
        name = f"in_step{len(self.steps)}"
        self.steps[name] = Definition(sql, tuple(values), kept=True)
        return name


def _matches(column: str, wanted: Sequence[str], values: list[object]) -> str:
    """``column`` is one of ``wanted``, or begins like one that ends in ``*``."""
    exact = [value for value in wanted if not value.endswith("*")]
    begins = [_like(value[:-1]) for value in wanted if value.endswith("*")]
    tests = []
    for operator, found in (("=", exact), ("like", begins)):
        if found:
            values.append(found)
            tests.append(f"{column} {operator} any(${len(values)}::text[])")
    return f"({' or '.join(tests)})"


def _like(prefix: str) -> str:
    return prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def _of_person_or_visitor(name: str) -> str:
    return (
        f"(v.id in (select visitor_id from {name}) "  # noqa: S608 – of constants
        f"or v.person_id in (select person_id from {name} where person_id is not null))"
    )


def _negated(of_purchase: str, of_visitor: str) -> tuple[str, str]:
    """Unknown counts as not."""
    return f"({of_purchase}) is not true", f"({of_visitor}) is not true"


def _all(conditions: Sequence[str], complement: bool) -> str:
    return f"(({' and '.join(conditions)}) is {'not ' if complement else ''}true)"
