"""Invented histories, each read back through every report and compared with a ledger that adds up in plain Python."""

from __future__ import annotations

import csv
import io
import math
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

ZONE = ZoneInfo("America/New_York")
"""Its clocks change on 8 March, inside the histories."""
BEGIN, SECONDS = datetime(2026, 3, 1, tzinfo=UTC), 150 * 86_400
LOOKBACK = timedelta(days=90)
SALES = ("sale", "renewal", "instalment")
SOURCES = ("youtube", "newsletter", "google", "(direct)", "podcast")
PERIODS = [
    ("2026-03-01", "2026-03-31"),
    ("2026-03-08", "2026-03-08"),
    ("2026-05-10", "2026-07-31"),
    ("2025-01-01", "2025-02-01"),
]


@dataclass(frozen=True)
class Seen:
    """One visit."""

    id: UUID
    visitor: str
    email: str | None
    at: datetime
    source: str
    campaign: str


@dataclass(frozen=True)
class Moved:
    """One charge or refund, signed."""

    at: datetime
    kind: str
    amount: int
    currency: str

    @property
    def is_sale(self) -> bool:
        return self.kind in SALES


@dataclass
class Bought:
    """A purchase and all its money."""

    id: UUID
    email: str | None
    currency: str
    money: list[Moved] = field(default_factory=list)


@dataclass
class Naive:
    """The ledger, in the simplest way that can be right."""

    tenant: ActingTenant
    visits: list[Seen] = field(default_factory=list)
    purchases: list[Bought] = field(default_factory=list)

    def shares(self, purchase: Bought, model: str) -> list[tuple[Seen, Fraction]]:
        first = min(moved.at for moved in purchase.money)
        path = sorted(
            (
                v
                for v in self.visits
                if purchase.email and v.email == purchase.email and first - LOOKBACK <= v.at <= first
            ),
            key=lambda v: v.at,
        )
        if not path:
            return []
        known = [v for v in path if v.source != "(direct)"] or path
        chosen = {"first_touch": path[:1], "last_touch": path[-1:], "last_non_direct": known[-1:], "linear": path}[
            model
        ]
        return [(visit, Fraction(1, len(chosen))) for visit in chosen]

    def credits(self, purchase: Bought, moved: Moved, model: str) -> list[tuple[Seen, int]]:
        """By largest remainder; the older touch first among equals."""
        shares = self.shares(purchase, model)
        exact = [abs(moved.amount) * share for _, share in shares]
        parts = [math.floor(value) for value in exact]
        order = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
        for i in order[: abs(moved.amount) - sum(parts)] if shares else []:
            parts[i] += 1
        sign = -1 if moved.amount < 0 else 1
        return [(visit, sign * part) for (visit, _), part in zip(shares, parts, strict=True)]

    def money_of(self, first: date, last: date, currency: str) -> Iterable[tuple[Bought, Moved]]:
        for purchase in self.purchases:
            for moved in purchase.money:
                if moved.currency == currency and first <= moved.at.astimezone(ZONE).date() <= last:
                    yield purchase, moved

    def visits_of(self, first: date, last: date) -> list[Seen]:
        return [v for v in self.visits if first <= v.at.astimezone(ZONE).date() <= last]


def columns(money: Iterable[tuple[Bought, bool, int]], visitors: int) -> dict[str, Any]:
    """The columns of a table of sources for (purchase, is a sale, signed amount)."""
    charged, refunded = 0, 0
    by_purchase: dict[UUID, int] = defaultdict(int)
    buyer: dict[UUID, str] = {}
    for purchase, is_sale, amount in money:
        charged += amount if is_sale else 0
        refunded -= 0 if is_sale else amount
        by_purchase[purchase.id] += amount if is_sale else 0
        buyer[purchase.id] = purchase.email or str(purchase.id)
    paid = [key for key, amount in by_purchase.items() if amount > 0]
    return {
        "revenueMinor": charged - refunded,
        "chargedMinor": charged,
        "refundedMinor": refunded,
        "purchases": len(paid),
        "students": len({buyer[key] for key in paid}),
        "visitors": visitors,
        "conversionRate": round(100 * len(paid) / visitors, 2) if visitors else None,
        "averageOrderMinor": math.floor(Fraction(charged, len(paid)) + Fraction(1, 2)) if paid else None,
        "revenuePerVisitorMinor": math.floor(Fraction(charged - refunded, visitors) + Fraction(1, 2))
        if visitors
        else None,
    }


@pytest.fixture(scope="module", params=[1, 2, 3])
async def told(request: pytest.FixtureRequest, make_tenant: TenantMaker) -> Naive:
    """A history of a hundred days, written into the database and remembered here."""
    rng = random.Random(request.param)
    tenant = await make_tenant(currency="USD", time_zone=ZONE.key)
    past, naive = History(tenant), Naive(tenant)
    emails = [f"buyer{n}@example.com" for n in range(12)]
    owners = {f"browser{n}": rng.choice([*emails, None]) for n in range(20)}
    for _ in range(60):
        visitor, source = rng.choice(list(owners)), rng.choice(SOURCES)
        at, campaign = _moment(rng), rng.choice(["", "spring", "summer"])
        touch = await past.visit(
            visitor, at, source, campaign=campaign, direct=source == "(direct)", email=owners[visitor]
        )
        naive.visits.append(Seen(touch, visitor, owners[visitor], at, source, campaign))
    for _ in range(35):
        await _buy(rng, past, naive, rng.choice([*emails, None]))
    await past.credit()
    return naive


async def _buy(rng: random.Random, past: History, naive: Naive, email: str | None) -> None:
    at, amount, currency = (
        _moment(rng),
        rng.choice([1, 2, 9_999, rng.randint(1, 50_000)]),
        rng.choice(["USD", "USD", "EUR"]),
    )
    platform = rng.choice(["kajabi", "teachable"])
    purchase = Bought(await past.sale(email, amount, at, currency=currency, platform=platform), email, currency)
    purchase.money.append(Moved(at, "sale", amount, currency))
    for kind in rng.sample(
        ["renewal", "instalment", "refund", "dispute", "dispute_reversal"], k=rng.choice([0, 0, 1, 2, 3])
    ):
        later, part = at + timedelta(days=rng.uniform(0.1, 60)), rng.randint(1, amount)
        await past.charge(purchase.id, kind, part, later, currency=currency)
        purchase.money.append(Moved(later, kind, -part if kind in ("refund", "dispute") else part, currency))
    naive.purchases.append(purchase)


def _moment(rng: random.Random) -> datetime:
    return BEGIN + timedelta(seconds=rng.randrange(SECONDS), microseconds=rng.randrange(10**6))


async def ask(http: httpx.AsyncClient, naive: Naive, report: str, /, **params: object) -> httpx.Response:
    answer = await http.get(f"/api/analytics/{report}", params=params, headers=naive.tenant.headers)
    assert answer.status_code == 200, answer.text
    return answer


def days(period: tuple[str, str]) -> tuple[date, date]:
    return date.fromisoformat(period[0]), date.fromisoformat(period[1])


MODELS = ("first_touch", "last_touch", "last_non_direct", "linear")
each_period = pytest.mark.parametrize("period", PERIODS, ids="-".join)
each_model = pytest.mark.parametrize("model", MODELS)


@each_period
@each_model
async def test_sources_and_summary_are_those_of_the_naive_ledger(
    client: httpx.AsyncClient, told: Naive, model: str, period: tuple[str, str]
) -> None:
    report = (await ask(client, told, "sources", model=model, **{"from": period[0], "to": period[1]})).json()
    credited, rest, whole = _split(told, model, period)
    visitors: dict[str, set[str]] = defaultdict(set)
    for visit in told.visits_of(*days(period)):
        visitors[visit.source].add(visit.visitor)
    everyone = {visit.visitor for visit in told.visits_of(*days(period))}
    rows = {row["source"]: row for row in report["rows"]}
    assert set(rows) == set(credited) | set(visitors)
    for source, row in rows.items():
        wanted = columns(credited.get(source, []), len(visitors[source]))
        assert {name: row[name] for name in wanted} == wanted, source
    wanted = columns(whole, len(everyone))
    assert {name: report["totals"][name] for name in wanted} == wanted
    left = columns(rest, 0)
    assert report["unattributed"] == {name: left[name] for name in report["unattributed"]}
    summary = (await ask(client, told, "summary", model=model, **{"from": period[0], "to": period[1]})).json()
    assert (summary["revenueMinor"], summary["refundedMinor"]) == (wanted["chargedMinor"], wanted["refundedMinor"])
    assert summary["unattributedMinor"] == left["revenueMinor"]
    for name in ("purchases", "students", "averageOrderMinor", "visitors", "conversionRate"):
        assert summary[name] == wanted[name], name


Rows = list[tuple[Bought, bool, int]]


def _split(told: Naive, model: str, period: tuple[str, str]) -> tuple[dict[str, Rows], Rows, Rows]:
    """What each source is credited, what no source is, and all of it."""
    credited: dict[str, Rows] = defaultdict(list)
    rest: Rows = []
    whole: Rows = []
    for purchase, moved in told.money_of(*days(period), "USD"):
        whole.append((purchase, moved.is_sale, moved.amount))
        found = told.credits(purchase, moved, model)
        for visit, amount in found:
            credited[visit.source].append((purchase, moved.is_sale, amount))
        if not found:
            rest.append((purchase, moved.is_sale, moved.amount))
    return credited, rest, whole


@each_model
async def test_a_source_opened_adds_up_campaign_by_campaign(client: httpx.AsyncClient, told: Naive, model: str) -> None:
    period = PERIODS[2]
    report = (await ask(client, told, "drilldown/youtube", model=model, **{"from": period[0], "to": period[1]})).json()
    wanted: dict[str, int] = defaultdict(int)
    for purchase, moved in told.money_of(*days(period), "USD"):
        for visit, amount in told.credits(purchase, moved, model):
            if visit.source == "youtube":
                wanted[visit.campaign] += amount
    found = {row["campaign"]: row["revenueMinor"] for row in report["rows"]}
    assert {name: amount for name, amount in found.items() if amount} == {n: a for n, a in wanted.items() if a}
    assert report["totals"]["revenueMinor"] == sum(wanted.values())


async def test_every_day_has_the_money_of_its_local_day(client: httpx.AsyncClient, told: Naive) -> None:
    report = (await ask(client, told, "daily-revenue", **{"from": "2026-03-01", "to": "2026-09-30"})).json()
    assert len(report["days"]) == 214
    for day in report["days"]:
        on = date.fromisoformat(day["date"])
        wanted = columns([(p, m.is_sale, m.amount) for p, m in told.money_of(on, on, "USD")], 0)
        assert (day["revenueMinor"], day["refundedMinor"], day["purchases"]) == (
            wanted["chargedMinor"],
            wanted["refundedMinor"],
            wanted["purchases"],
        ), on


@each_model
async def test_the_ledger_has_every_purchase_with_every_credit(
    client: httpx.AsyncClient, told: Naive, model: str
) -> None:
    period, items, cursor = PERIODS[2], list[Any](), ""
    while True:
        params = {"from": period[0], "to": period[1], "model": model, "limit": 7, "cursor": cursor}
        page = (await ask(client, told, "ledger", **params)).json()
        items += page["items"]
        cursor = page.get("nextCursor", "")
        if not cursor:
            break
    wanted: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    net: dict[str, int] = defaultdict(int)
    for currency in ("USD", "EUR"):
        for purchase, moved in told.money_of(*days(period), currency):
            net[str(purchase.id)] += moved.amount
            for visit, amount in told.credits(purchase, moved, model):
                wanted[str(purchase.id)][str(visit.id)] += amount
    assert sorted(item["id"] for item in items) == sorted(net)
    for item in items:
        assert {c["touchId"]: c["amountMinor"] for c in item["credits"] if c["amountMinor"]} == {
            touch: amount for touch, amount in wanted[item["id"]].items() if amount
        }
        assert item["chargesMinor"] - item["refundsMinor"] == net[item["id"]]
        assert item["creditedMinor"] + item["unattributedMinor"] == net[item["id"]]


@each_period
async def test_the_difference_is_zero_in_every_currency_and_platform(
    client: httpx.AsyncClient, told: Naive, period: tuple[str, str]
) -> None:
    for model in MODELS:
        report = (await ask(client, told, "reconciliation", model=model, **{"from": period[0], "to": period[1]})).json()
        assert report["balanced"] is True
        assert [row["differenceMinor"] for row in report["rows"]] == [0] * len(report["rows"])
        for currency in ("USD", "EUR"):
            rows = [row for row in report["rows"] if row["currency"] == currency]
            net = sum(moved.amount for _, moved in told.money_of(*days(period), currency))
            assert sum(row["creditedMinor"] + row["unattributedMinor"] for row in rows) == net


async def test_the_exported_ledger_adds_up_to_the_money(client: httpx.AsyncClient, told: Naive) -> None:
    period = PERIODS[2]
    answer = await ask(client, told, "export", report="ledger", **{"from": period[0], "to": period[1]})
    rows = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
    for currency in ("USD", "EUR"):
        net = sum(moved.amount for _, moved in told.money_of(*days(period), currency))
        assert sum(Fraction(row["amount"]) for row in rows if row["currency"] == currency) * 100 == net
