"""The models' definitions, to the check numbers of the literature."""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from coursesignal.attribution import rows
from coursesignal.attribution.chain import Chain, Moves
from coursesignal.attribution.markov import Markov, Walk, conversions, removal_effects, shares
from coursesignal.attribution.models import RULE_MODELS as CORE_MODELS
from coursesignal.attribution.models import OptIn, PositionBased, TimeDecay, WShaped
from coursesignal.attribution.shapley import Shapley, ShapleyOfEnough
from coursesignal.attribution.shapley import conversions as shapley_values
from coursesignal.errors import TooLittleData
from coursesignal.jobs.outbox import enqueue
from coursesignal.jobs.upkeep import core_crons
from coursesignal.plugin import PathRecord, Touch
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SMALL = [
    Walk(["fb", "email", "google"], 10, 20),
    Walk(["google"], 5, 45),
    Walk(["fb"], 1, 60),
    Walk(["email", "google"], 8, 12),
    Walk(["fb", "google"], 4, 30),
]


def path(*days_before: float, opt_in: int | None = None, paid: Sequence[int] = ()) -> list[Touch]:
    return [
        Touch("Any", NOON - timedelta(days=days), is_opt_in=n == opt_in, is_paid=n in paid)
        for n, days in enumerate(days_before)
    ]


def test_time_decay_is_continuous_with_a_half_life_of_a_week() -> None:
    weights = TimeDecay().credit(path(21, 14, 10, 3, 0), NOON)
    assert weights == pytest.approx([0.050211, 0.100422, 0.149226, 0.298453, 0.401688], abs=1e-6)


def test_time_decay_takes_another_half_life() -> None:
    weights = TimeDecay(half_life_days=7.5).credit(path(21, 14, 10, 3, 0), NOON)
    assert weights == pytest.approx([0.055816, 0.106591, 0.154266, 0.294600, 0.388727], abs=1e-6)


def test_time_decay_does_not_lose_an_old_journey() -> None:
    assert sum(TimeDecay().credit(path(90_000, 89_999), NOON)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("touches", "weights"), [(1, [1]), (2, [0.5, 0.5]), (3, [0.4, 0.2, 0.4]), (4, [0.4, 0.1, 0.1, 0.4])]
)
def test_position_based_is_forty_twenty_forty(touches: int, weights: list[float]) -> None:
    assert PositionBased().credit(path(*range(touches, 0, -1)), NOON) == pytest.approx(weights)


@pytest.mark.parametrize(
    ("touches", "opt_in", "weights"),
    [
        (5, 2, [0.3, 0.05, 0.3, 0.05, 0.3]),
        (4, None, [3 / 7, 0.5 / 7, 0.5 / 7, 3 / 7]),
        (3, 1, [1 / 3, 1 / 3, 1 / 3]),
        (2, 0, [2 / 3, 1 / 3]),
        (1, 0, [1]),
    ],
)
def test_w_shaped_has_three_anchors_and_renormalises(touches: int, opt_in: int | None, weights: list[float]) -> None:
    assert WShaped().credit(path(*range(touches, 0, -1), opt_in=opt_in), NOON) == pytest.approx(weights)


def test_opt_in_credits_that_visit_or_nobody() -> None:
    assert list(OptIn().credit(path(3, 2, 1, opt_in=1), NOON)) == [0, 1, 0]
    assert list(OptIn().credit(path(3, 2, 1), NOON)) == []


def test_linear_paid_shares_among_paid_touches_and_falls_back_to_all() -> None:
    linear_paid = next(model for model in CORE_MODELS if model.slug == "linear_paid")
    assert list(linear_paid.credit(path(3, 2, 1, paid=(0, 2)), NOON)) == [0.5, 0, 0.5]
    assert linear_paid.credit(path(3, 2, 1), NOON) == pytest.approx([1 / 3] * 3)


def test_markov_tiny() -> None:
    tiny = [Walk(["C1", "C2", "C3"], 1, 0), Walk(["C1"], 0, 1), Walk(["C2", "C3"], 0, 1)]
    assert removal_effects(tiny, 1) == pytest.approx({"C1": 0.5, "C2": 1, "C3": 1})
    assert shares(tiny, 1) == pytest.approx({"C1": 0.2, "C2": 0.4, "C3": 0.4})


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (1, {"email": 5.5344, "fb": 7.6334, "google": 14.8322}),
        (2, {"email": 8.2895, "fb": 7.2763, "google": 12.4342}),
    ],
)
def test_markov_small(order: int, expected: Mapping[str, float]) -> None:
    found = {channel: share * 28 for channel, share in shares(SMALL, order).items()}
    assert found == pytest.approx(expected, abs=1e-4)


def test_markov_of_the_order_of_the_longest_journey_counts_journeys_with_each_channel() -> None:
    with_channel = {"email": 18, "fb": 15, "google": 27}  # of 28 conversions
    assert removal_effects(SMALL, 3) == pytest.approx({name: won / 28 for name, won in with_channel.items()}, abs=1e-12)
    assert conversions(SMALL, 3) == pytest.approx({"email": 8.4, "fb": 7.0, "google": 12.6}, abs=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_chain_solved_at_once_or_walked_step_by_step_gives_the_same(order: int) -> None:
    dice, chain = random.Random(order), Chain(order)
    for _ in range(300):
        channels = [f"c{dice.randint(0, 8)}" for _ in range(dice.randint(1, 12))]
        chain.add(channels, dice.randint(0, 3), dice.randint(0, 40))
    chain.add(["c0"] * 200, 1, 1)  # stays where it is for long
    moves = Moves.of(chain)
    solved, walked = moves.at_once(), moves.by_steps()
    assert walked.everything == pytest.approx(solved.everything, abs=1e-12)
    assert walked.without == pytest.approx(solved.without, abs=1e-12)


@pytest.mark.parametrize(
    ("slug", "expected"),
    [
        ("first_touch", {"fb": 15, "google": 5, "email": 8}),
        ("last_touch", {"google": 27, "fb": 1}),
        ("linear", {"fb": 19 / 3, "email": 22 / 3, "google": 43 / 3}),
        ("position_based", {"fb": 4 + 1 + 2, "email": 2 + 4, "google": 4 + 5 + 4 + 2}),
        ("shapley", {"fb": 19 / 3, "email": 22 / 3, "google": 43 / 3}),
    ],
)
def test_any_model_takes_a_path_data_set(slug: str, expected: Mapping[str, float]) -> None:
    model = {one.slug: one for one in (*CORE_MODELS, Shapley())}[slug]
    found = {channel: part for channel, part in rows.conversions(model, SMALL).items() if part}
    assert found == pytest.approx(expected, abs=1e-9)


def test_a_learning_model_takes_a_path_data_set_too() -> None:
    many = [Walk(walk.channels, 10 * walk.conversions, 10 * walk.losses) for walk in SMALL]
    assert rows.conversions(Markov(2), many) == pytest.approx(conversions(many, 2), abs=1e-3)


def test_markov_refuses_to_learn_from_little_and_says_why() -> None:
    few = [PathRecord(path=tuple(path(1)), conversions=3, losses=10)]
    with pytest.raises(TooLittleData, match="at least 50 purchases with a journey to learn from; there are 3"):
        Markov(1).fit(few)
    with pytest.raises(TooLittleData, match="journeys without a purchase"):
        Markov(1).fit([PathRecord(path=tuple(path(1)), conversions=60, losses=0)])


def test_a_fitted_markov_model_credits_by_removal_effect() -> None:
    def record(walk: Walk) -> PathRecord:
        touches = tuple(Touch(channel, NOON) for channel in walk.channels)
        return PathRecord(path=touches, conversions=10 * walk.conversions, losses=10 * walk.losses)

    model = Markov(1)
    learnt = model.fit([record(walk) for walk in SMALL])
    fitted = model.load(learnt)
    credited = dict.fromkeys(("email", "fb", "google"), 0.0)
    for walk in SMALL:
        weights = fitted.credit([Touch(channel, NOON) for channel in walk.channels], NOON)
        assert sum(weights) == pytest.approx(1)
        for channel, weight in zip(walk.channels, weights, strict=True):
            credited[channel] += weight * walk.conversions
    assert credited == pytest.approx(conversions(SMALL, 1), abs=1e-4)  # the orders add up to the aggregate


def test_rows_of_a_data_set_are_taken_as_they_are() -> None:
    plain = [(list(walk.channels), walk.conversions, walk.losses) for walk in SMALL]
    assert conversions(plain, 2) == conversions(SMALL, 2)
    again = [(["a", "a", "b"], 2, 1), (["b"], 1, 3)]
    assert shares(again, 1) == pytest.approx(shares([(["a", "b"], 2, 1), (["b"], 1, 3)], 1))  # a channel after itself


def test_a_journeys_channel_that_cannot_be_rescaled_keeps_the_orders_it_had_alone() -> None:
    model = Markov(1)
    lone = PathRecord(path=(Touch("a", NOON),), conversions=90, losses=10)
    both = PathRecord(path=(Touch("a", NOON), Touch("b", NOON)), conversions=10, losses=90)
    fitted = model.load(model.fit([lone, both]))
    assert list(fitted.credit(lone.path, NOON)) == [1]
    assert sum(fitted.credit(both.path, NOON)) == pytest.approx(1)


def test_google_paid_last_click_is_the_newest_one_or_the_last_non_direct() -> None:
    model = next(model for model in CORE_MODELS if model.slug == "google_paid_last_click")
    clicks = [
        Touch("Paid Search", NOON, "google", is_paid=True), Touch("Paid Social", NOON, "facebook", is_paid=True),
        Touch("Organic Search", NOON, "google"), Touch("Direct", NOON, is_direct=True),
    ]  # fmt: skip
    assert list(model.credit(clicks, NOON)) == [1, 0, 0, 0]
    assert list(model.credit(clicks[1:], NOON)) == [0, 1, 0]


def test_w_shaped_takes_other_shares() -> None:
    assert WShaped(0.5, 0.1, 0.2).credit(path(5, 4, 3, 2, opt_in=1), NOON) == pytest.approx([0.5, 0.1, 0.2, 0.2])
    assert WShaped(0, 0, 0).credit(path(5, 4), NOON) == pytest.approx([0.5, 0.5])


def test_shapley_splits_equally_over_distinct_channels() -> None:
    touches = [Touch(channel, NOON) for channel in ("a", "b", "a", "c")]
    assert Shapley().credit(touches, NOON) == pytest.approx([1 / 6, 1 / 3, 1 / 6, 1 / 3])


def test_the_closed_form_is_the_shapley_value() -> None:
    """Against the definition: the mean, over all orders of the channels, of what each adds to the set of those before it."""
    journeys = [Walk(["a", "b", "a"], 5, 1), Walk(["c"], 2, 0), Walk(["b", "c", "d"], 7, 3), Walk(["d", "a"], 1, 9)]

    def value(group: Sequence[str]) -> int:
        return sum(one.conversions for one in journeys if set(one.channels) <= {*group})

    orders = list(itertools.permutations("abcd"))
    for channel, found in shapley_values(journeys).items():
        places = [(order, order.index(channel)) for order in orders]
        added = [value(order[: place + 1]) - value(order[:place]) for order, place in places]
        assert found == pytest.approx(sum(added) / len(orders), abs=1e-9)


def test_shapley_credits_nobody_before_there_is_enough_and_says_why() -> None:
    model = ShapleyOfEnough()
    assert not model.credit(path(2, 1), NOON)
    with pytest.raises(TooLittleData, match="at least 50 purchases with a journey to learn from; there are 49"):
        model.fit([PathRecord(path=tuple(path(1)), conversions=49, losses=0)])
    fitted = model.load(model.fit([PathRecord(path=tuple(path(1)), conversions=50, losses=0)]))
    assert list(fitted.credit(path(2, 1), NOON)) == [0.5, 0.5]


async def test_learning_models_learn_from_the_tenants_own_journeys_and_credit_its_history_again(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Callable[[], Awaitable[None]]
) -> None:
    shop = await make_tenant()
    past = History(shop)
    for number in range(55):
        await past.visit(f"b{number}", NOON, "youtube", channel="Organic Video", email=f"b{number}@example.com")
        await past.visit(f"b{number}", NOON + timedelta(hours=1), "(direct)", channel="Direct", direct=True)
        await past.sale(f"b{number}@example.com", 1_000, NOON + timedelta(hours=2))
    for number in range(60):
        await past.visit(f"n{number}", NOON, "(direct)", channel="Direct", direct=True)
    await past.credit()
    assert await credited(shop, "markov_1") == await credited(shop, "shapley") == {}
    before = {model["slug"]: model for model in await get(client, shop, "models")}
    assert (before["markov_1"]["ready"], before["linear"]["ready"]) == (False, True)
    async with shop.transaction() as conn:
        await enqueue(conn, shop.id, "core.learn", {})
    await run_jobs()
    effects = removal_effects([Walk(["Organic Video", "Direct"], 55, 0), Walk(["Direct"], 0, 60)], 1)
    expected = 1_000 * effects["Organic Video"] / sum(effects.values())
    assert await credited(shop, "shapley") == {"youtube": 27_500, "(direct)": 27_500}
    found = await credited(shop, "markov_1")
    assert found["youtube"] == pytest.approx(55 * expected, abs=55)
    assert sum(found.values()) == 55_000
    after = {model["slug"]: model for model in await get(client, shop, "models")}
    assert after["markov_1"]["ready"]
    compared = await get(client, shop, "models/compare", **{"from": "2026-05-01", "to": "2026-05-31"})
    youtube = next(row for row in compared["rows"] if row["name"] == "youtube")
    assert youtube["revenueMinor"]["first_touch"] == youtube["highestMinor"] == 55_000
    assert youtube["revenueMinor"]["last_touch"] == youtube["lowestMinor"] == 0
    for slug in compared["models"]:
        rows = sum(row["revenueMinor"].get(slug, 0) for row in compared["rows"])
        assert rows + compared["unattributedMinor"][slug] == compared["netRevenueMinor"] == 55_000


async def test_a_model_that_is_new_credits_what_was_sold_before_once(
    installation: Runtime, make_tenant: TenantMaker, run_jobs: Callable[[], Awaitable[None]]
) -> None:
    shop = await make_tenant()
    past = History(shop)
    await past.visit("v", NOON - timedelta(days=1), "youtube", email="v@example.com")
    await past.sale("v@example.com", 1_000, NOON)
    cron = next(
        one for one in core_crons(installation.database, installation.registry.models) if one.name == "core.models"
    )
    for _ in range(2):
        await cron.run(NOON)
        await run_jobs()
    assert await credited(shop, "linear") == {"youtube": 1_000}
    async with shop.transaction() as conn:
        runs = await conn.fetchval(
            "select count(*) from outbox where tenant_id = $1 and name = 'core.recredit'", shop.id
        )
    assert runs == 1


async def test_a_tenant_sets_half_life_and_shares_and_is_credited_again(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Callable[[], Awaitable[None]]
) -> None:
    shop = await make_tenant()
    past = History(shop)
    for days, source in ((10, "a"), (5, "b"), (0, "c")):
        await past.visit("v", NOON - timedelta(days=days), source, email="v@example.com")
    await past.sale("v@example.com", 1_000, NOON)
    await past.credit()
    assert await credited(shop, "position_based") == {"a": 400, "b": 200, "c": 400}
    url = f"/api/tenants/{shop.tenant.slug}"
    wrong = await client.patch(url, json={"firstShare": 0.7}, headers=shop.headers)
    assert (wrong.status_code, wrong.json()["errors"][0]["path"]) == (422, "firstShare")
    answer = await client.patch(
        url, json={"firstShare": 0.1, "lastShare": 0.5, "halfLifeDays": 5}, headers=shop.headers
    )
    assert (answer.status_code, answer.json()["halfLifeDays"]) == (200, 5)
    await run_jobs()
    assert await credited(shop, "position_based") == {"a": 100, "b": 400, "c": 500}
    assert await credited(shop, "time_decay") == {"a": 143, "b": 286, "c": 571}


async def get(client: httpx.AsyncClient, shop: ActingTenant, report: str, **params: str) -> Any:
    answer = await client.get(f"/api/analytics/{report}", params=params, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def credited(shop: ActingTenant, model: str) -> dict[str, int]:
    """What each source got."""
    async with shop.transaction() as conn:
        rows = await conn.fetch(
            "select t.source, sum(k.amount_minor)::int as amount from credits k join touches t on t.id = k.touch_id "
            "where k.tenant_id = $1 and k.model = $2 group by t.source", shop.id, model,
        )  # fmt: skip
    return {row["source"]: row["amount"] for row in rows}
