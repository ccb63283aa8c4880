"""The demo's story is the same on every run, and its ledger adds up by itself."""

from __future__ import annotations

import ast
import itertools
import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from coursesignal.demo import ledger, story
from coursesignal.demo.plan import Arrival, Payment, Plan, Product, Refund, Sale, Visitor
from coursesignal.demo.shops import KLARA, PIA, SHOPS, Shop

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)


@pytest.fixture(scope="module", params=[story.history, story.sample], ids=["history", "sample"])
def plan(request: pytest.FixtureRequest) -> Plan:
    told: Plan = request.param(PIA, NOW)
    return told


def test_the_same_seed_and_end_tell_the_same_story() -> None:
    assert story.history(PIA, NOW, days=9) == story.history(PIA, NOW, days=9)
    assert story.sample(KLARA, NOW) == story.sample(KLARA, NOW)
    assert story.sample(KLARA, NOW) != story.sample(KLARA, NOW, seed=story.SEED + 1)


def test_nothing_happens_outside_the_time_told(plan: Plan) -> None:
    visits = [visit for visitor in plan.visitors for visit in visitor.visits]
    assert all(plan.since <= visit.at and visit.end_at <= plan.until for visit in visits)
    assert all(plan.since <= at <= plan.until for sale in plan.sales for at, _ in sale.movements)


def test_visits_of_one_browser_are_apart_and_their_pages_together(plan: Plan) -> None:
    for visitor in plan.visitors:
        for before, after in itertools.pairwise(visitor.visits):
            assert after.at - before.end_at > HALF_HOUR
        for visit in visitor.visits:
            times = [event.at for event in visit.events("https://shop.test")]
            assert all(timedelta(0) < b - a < HALF_HOUR for a, b in itertools.pairwise(times))


def test_event_ids_are_unique_and_stay_the_same(plan: Plan) -> None:
    def ids() -> list[object]:
        return [e.event_id for v in plan.visitors for visit in v.visits for e in visit.events("https://shop.test")]

    assert ids() == ids()
    assert len(set(ids())) == len(ids())


def test_every_special_case_occurs_in_the_sample() -> None:
    for shop in SHOPS:
        plan = story.sample(shop, NOW)
        devices = [sum(v.email == sale.email for v in plan.visitors) for sale in plan.sales]
        first_refunds = [(sale.payments[0], refund) for sale in plan.sales for refund in sale.payments[0].refunds]
        assert len([v for v in plan.visitors if not v.is_crawler]) == 200 and len(plan.sales) == 40
        assert any(v.is_crawler for v in plan.visitors)
        assert max(devices) >= 2 and devices.count(0) >= 2
        assert any(refund.amount_minor == payment.amount_minor for payment, refund in first_refunds)
        assert any(refund.amount_minor < payment.amount_minor for payment, refund in first_refunds)
        assert any(payment.refunds for sale in plan.sales for payment in sale.payments[1:])
        assert {sale.currency for sale in plan.sales} == {shop.currency, shop.abroad}
        buyers = [sale.email for sale in plan.sales]
        assert len(buyers) > len(set(buyers))
        paths = [
            sum(len(list(visit.arrivals)) for v in plan.visitors if v.email == buyer for visit in v.visits)
            for buyer in set(buyers)
        ]
        assert {1, 2, 3, 4} <= set(paths) and max(paths) >= 7
        assert any(len(list(visit.arrivals)) > 1 for v in plan.visitors for visit in v.visits)
        late = {s.email for s in plan.sales for v in plan.visitors if v.email == s.email and _told_at(v) > s.at}
        assert late


def _told_at(visitor: Visitor) -> datetime:
    return next(visit.end_at for visit in visitor.visits if visit.email is not None)


@pytest.mark.parametrize("shop", SHOPS, ids=lambda shop: shop.slug)
def test_the_history_is_plausible(shop: Shop) -> None:
    plan = story.history(shop, NOW)
    found = ledger.totals(plan, shop.currency)
    own = found.money[shop.currency]
    assert 150 < found.visitors / 90 < 500
    assert sum(sale.email is not None for sale in plan.sales) > 0.9 * len(plan.sales)
    assert 0 < own.refunded_minor < own.charged_minor / 5
    assert 0 < own.unattributed_minor < own.net_minor * 0.15
    assert [sale for sale in plan.sales if sale.gift_for is not None and sale.gift_for != sale.email]
    assert any(len(sale.payments) > 2 for sale in plan.sales)
    for launch in shop.launches:
        ends = launch.first_day_ago - launch.days
        inside = [s for s in plan.sales if ends <= (NOW - s.at).days < launch.first_day_ago]
        assert len(inside) / launch.days > 1.5 * len(plan.sales) / 90


def test_the_ledger_credits_all_money_under_every_model(plan: Plan) -> None:
    for currency, money in ledger.totals(plan, "USD").money.items():
        for model in ledger.MODELS:
            assert money.credited[model].total() + money.unattributed_minor == money.net_minor, (currency, model)


def test_both_shops_know_the_same_addresses() -> None:
    pia, klara = ({sale.email for sale in story.sample(shop, NOW).sales} for shop in SHOPS)
    assert len(pia & klara) > 20


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("first_touch", [1, 0, 0]),
        ("last_touch", [0, 0, 1]),
        ("last_non_direct", [0, 1, 0]),
        ("linear", [Fraction(1, 3)] * 3),
    ],
)
def test_a_model_weighs_a_path_as_it_is_written_down(model: str, expected: list[Fraction]) -> None:
    path = [Arrival("youtube"), Arrival("newsletter"), Arrival("direct")]
    assert ledger.weights(model, path) == expected


def test_a_path_of_direct_visits_alone_credits_the_last() -> None:
    assert ledger.weights("last_non_direct", [Arrival("direct")] * 3) == [0, 0, 1]


def test_cents_that_do_not_divide_go_to_the_earlier_arrivals_and_come_back_alike() -> None:
    thirds = [Fraction(1, 3)] * 3
    assert ledger.share(100, thirds) == [34, 33, 33]
    assert ledger.share(-101, thirds) == [-34, -34, -33]
    assert ledger.share(0, thirds) == [0, 0, 0]


def test_a_sale_by_hand_is_entered_to_the_cent() -> None:
    rng = random.Random(1)
    buyer = story.passer_by(PIA, rng, NOW, number=1, buys=True)
    (sold,) = buyer.sales
    sale = Sale(1, Product("A", 1000), "USD", (Payment(sold.at, 1000, (Refund(NOW, 300),)),), sold.email)
    unseen = Sale(2, Product("A", 1000), "USD", (Payment(sold.at, 500),), "stranger@example.com")
    money = ledger.totals(Plan(buyer.visitors, (sale, unseen), NOW, NOW), "USD").money["USD"]
    assert (money.charged_minor, money.refunded_minor, money.net_minor, money.unattributed_minor) == (
        1500,
        300,
        1200,
        500,
    )
    first = next(arrival.source for visit in buyer.visitors[0].visits for _, arrival in visit.arrivals)
    assert money.credited["first_touch"] == {first: 700}


def test_the_ledger_is_independent_of_the_code_it_checks() -> None:
    for module in (ledger, story):
        tree = ast.parse(Path(module.__file__).read_text())
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        ours = {name for name in imported if name.startswith("coursesignal")}
        assert all(name.startswith("coursesignal.demo") for name in ours)


def test_a_passer_by_ends_now_and_began_recently() -> None:
    for number in range(60):
        told = story.passer_by(KLARA, random.Random(number), NOW, number=number, buys=number % 2 == 0)
        visits = [visit for visitor in told.visitors for visit in visitor.visits]
        assert max(visit.end_at for visit in visits) == NOW
        assert min(visit.at for visit in visits) > NOW - timedelta(days=31)
        assert len(told.sales) == (1 if number % 2 == 0 else 0)
        assert all(NOW - HALF_HOUR < at <= NOW for sale in told.sales for at, _ in sale.movements)
