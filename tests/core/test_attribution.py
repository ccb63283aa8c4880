"""Attribution: weights that sum to one, amounts split to the last minor unit, refunds that mirror their sales."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursesignal.attribution.allocate import BadWeights, allocate, check_weights
from coursesignal.attribution.catalogue import CORE_MODELS
from coursesignal.attribution.paths import Journey
from coursesignal.attribution.service import compute
from coursesignal.plugin import AttributionModel, Touch
from coursesignal.testing.fixtures import TenantMaker
from coursesignal.testing.history import History

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
WEIGHTS = st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=20).filter(lambda found: sum(found) > 0)


def touches(*direct: bool) -> list[Touch]:
    return [Touch("Any", NOON + timedelta(hours=n), is_direct=is_direct) for n, is_direct in enumerate(direct)]


@given(amount=st.integers(-(10**15), 10**15), weights=WEIGHTS)
def test_parts_sum_to_the_amount_and_stay_within_one_unit_of_their_share(amount: int, weights: list[float]) -> None:
    parts = allocate(amount, weights)
    assert sum(parts) == amount
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)
    assert allocate(-amount, weights) == [-part for part in parts]


@given(amount=st.integers(-(10**9), 10**9), weights=WEIGHTS)
def test_parts_are_those_of_exact_fractions(amount: int, weights: list[float]) -> None:
    exact = [Fraction(weight) for weight in weights]
    shares = [abs(amount) * weight / sum(exact) for weight in exact]
    parts = [math.floor(share) for share in shares]
    most = sorted(range(len(parts)), key=lambda i: (parts[i] - shares[i], i))
    for i in most[: abs(amount) - sum(parts)]:
        parts[i] += 1
    assert allocate(amount, weights) == [part if amount >= 0 else -part for part in parts]


SEEN = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["", "Google"]), st.booleans(), st.booleans(), st.booleans()),
    max_size=6,
)


@given(journeys=st.lists(st.tuples(SEEN, st.lists(st.integers(-9_999, 9_999), max_size=3)), max_size=5))
def test_the_fast_way_credits_as_asking_every_model_for_every_charge_does(journeys: list[Any]) -> None:
    models = {model.slug: model for model in CORE_MODELS}
    paths, charges, expected = {}, [], []
    for seen, amounts in journeys:
        of = uuid4()
        path = [Touch(c, NOON - timedelta(hours=9 - n), s, "", "", *flags) for n, (c, s, *flags) in enumerate(seen)]
        paths[of] = Journey(NOON, [uuid4() for _ in path], path)
        for amount in amounts:
            charges.append((uuid4(), of, amount))
            expected += _simply(charges[-1], paths[of], models)
    found = zip(*compute(paths, charges, models).columns, strict=True)
    assert sorted(found, key=_key) == sorted(expected, key=_key)


def _key(credit: tuple[Any, ...]) -> tuple[Any, ...]:
    """Charge, model and touch."""
    return credit[:3]


def _simply(
    charge: tuple[Any, Any, int], journey: Journey, models: dict[str, AttributionModel]
) -> list[tuple[Any, ...]]:
    """What the oracle says of one charge."""
    found: list[tuple[Any, ...]] = []
    for slug, model in models.items() if journey.path else ():
        weights = model.credit(journey.path, journey.purchased_at)
        parts = allocate(charge[2], weights) if weights else []
        for touch, weight, part in zip(journey.touch_ids, weights, parts, strict=bool(weights)):
            if weight > 0 or part:
                found.append((charge[0], slug, touch, charge[1], weight, part))
    return found


def test_the_largest_remainder_gets_the_odd_cent_and_the_older_touch_a_tie() -> None:
    assert allocate(100, [1 / 3, 1 / 3, 1 / 3]) == [34, 33, 33]
    assert allocate(5_001, [1 / 3] * 3) == [1_667, 1_667, 1_667]
    assert allocate(10, [0.26, 0.74]) == [3, 7]


@pytest.mark.parametrize("weights", [[0.5], [0.5, 0.6], [-0.5, 1.5], [float("nan"), 1.0], [float("inf"), 0.0]])
def test_weights_that_break_the_contract_are_named(weights: list[float]) -> None:
    with pytest.raises(BadWeights, match="returned"):
        check_weights(weights, 2)


@given(path=st.lists(st.booleans(), min_size=1, max_size=30))
def test_every_core_model_shares_exactly_one(path: list[bool]) -> None:
    for model in CORE_MODELS:
        check_weights(model.credit(touches(*path), NOON), len(path))


@pytest.mark.parametrize(
    ("model", "weights"),
    [("first_touch", [1, 0, 0]), ("last_touch", [0, 0, 1]), ("last_non_direct", [0, 1, 0]), ("linear", [1 / 3] * 3)],
)
def test_models_credit_as_defined(model: str, weights: list[float]) -> None:
    found = {one.slug: one for one in CORE_MODELS}[model]
    assert list(found.credit(touches(True, False, True), NOON)) == weights


def test_direct_gets_the_credit_when_there_is_nothing_else() -> None:
    last_non_direct = next(one for one in CORE_MODELS if one.slug == "last_non_direct")
    assert list(last_non_direct.credit(touches(True, True), NOON)) == [0, 1]


class Careless(AttributionModel):
    slug = "careless"
    name = "Careless"
    description = "Raises."

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        raise ZeroDivisionError


def test_a_model_that_fails_credits_nothing_and_stops_no_other() -> None:
    purchase, charge, touch = uuid4(), uuid4(), uuid4()
    journey = Journey(NOON, [touch], touches(False))
    rows = compute({purchase: journey}, [(charge, purchase, 100)], {"careless": Careless(), "linear": CORE_MODELS[3]})
    assert rows.columns[1] == ["linear"]
    assert rows.columns[5] == [100]


async def test_only_touches_within_the_lookback_and_before_the_purchase_count(make_tenant: TenantMaker) -> None:
    shop = await make_tenant()
    past = History(shop)
    await past.visit("ann", NOON - timedelta(days=91), "too-old", email="ann@example.com")
    wanted = await past.visit("ann", NOON - timedelta(days=89), "in-time")
    await past.visit("ann", NOON + timedelta(minutes=1), "too-late")
    sale = await past.sale("ann@example.com", 999, NOON)
    await past.credit()
    async with shop.transaction() as conn:
        rows = await conn.fetch(
            "select distinct touch_id from credits where tenant_id = $1 and purchase_id = $2", shop.id, sale
        )
    assert [row["touch_id"] for row in rows] == [wanted]


@pytest.mark.parametrize(("sold_at", "credited"), [(NOON, True), (NOON + timedelta(microseconds=300_000), False)])
async def test_a_sale_told_in_whole_seconds_was_after_a_visit_in_that_second(
    make_tenant: TenantMaker, sold_at: datetime, credited: bool
) -> None:
    shop = await make_tenant()
    past = History(shop)
    await past.visit("ann", NOON + timedelta(microseconds=400_000), "youtube", email="ann@example.com")
    await past.sale("ann@example.com", 999, sold_at)
    await past.credit()
    async with shop.transaction() as conn:
        found = await conn.fetchval("select count(*) > 0 from credits where tenant_id = $1", shop.id)
    assert found is credited


async def test_credited_and_unattributed_make_charges_less_refunds_for_every_model_and_day(
    make_tenant: TenantMaker,
) -> None:
    shop = await make_tenant()
    past, dice = History(shop), random.Random(7)
    for number in range(12):
        email = f"buyer{number}@example.com"
        for _ in range(dice.randint(0, 5)):
            await past.visit(
                f"v{number}",
                NOON - timedelta(hours=dice.randint(1, 999)),
                dice.choice("abc"),
                direct=dice.random() < 0.3,
                email=email,
            )
        sale = await past.sale(email, dice.randint(1, 9_999), NOON)
        for day in range(dice.randint(0, 3)):
            kind = dice.choice(["refund", "renewal", "dispute", "dispute_reversal"])
            await past.charge(sale, kind, dice.randint(1, 9_999), NOON + timedelta(days=day))
    await past.credit()
    before = await _credits(shop)
    await past.credit()
    assert await _credits(shop) == before
    async with shop.transaction() as conn:
        wrong = await conn.fetch(
            "select k.charge_id, k.model, sum(k.amount_minor), c.amount_minor from credits k "
            "join charges c on c.tenant_id = $1 and c.id = k.charge_id where k.tenant_id = $1 "
            "group by k.charge_id, k.model, c.amount_minor having sum(k.amount_minor) <> c.amount_minor", shop.id,
        )  # fmt: skip
    assert len(before) > 20
    assert wrong == []


async def _credits(shop: Any) -> list[tuple[Any, ...]]:
    async with shop.transaction() as conn:
        rows = await conn.fetch(
            "select charge_id, model, touch_id, amount_minor from credits where tenant_id = $1 order by 1, 2, 3",
            shop.id,
        )
    return [tuple(row) for row in rows]
