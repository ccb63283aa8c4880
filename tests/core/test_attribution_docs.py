"""docs/attribution.md: every model is in it, and every number of its examples is right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest

from coursesignal.attribution import markov, rows, shapley
from coursesignal.attribution.allocate import allocate
from coursesignal.attribution.catalogue import CORE_MODELS
from coursesignal.attribution.markov import MIN_CONVERSIONS
from coursesignal.attribution.models import RULE_MODELS
from coursesignal.attribution.shapley import Shapley
from coursesignal.errors import TooLittleData
from coursesignal.plugin import Touch
from coursesignal.tenancy.schemas import TenantChange

PAGE = (files("coursesignal") / "docs" / "attribution.md").read_text(encoding="utf-8")
SOLD_AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
JOURNEY = (
    Touch("Organic Video", SOLD_AT - timedelta(days=21), "youtube"),
    Touch("Paid Search", SOLD_AT - timedelta(days=14), "google", is_paid=True),
    Touch("Email", SOLD_AT - timedelta(days=10), "newsletter", is_opt_in=True),
    Touch("Paid Social", SOLD_AT - timedelta(days=3), "facebook", is_paid=True),
    Touch("Direct", SOLD_AT, "(direct)", is_direct=True),
)
EXAMPLES = {model.slug: model for model in (*RULE_MODELS, Shapley())}


def table(head: str) -> Iterator[list[str]]:
    """The rows of the table with this head, cell by cell."""
    _, _, rest = PAGE.partition(f"| {head} |\n")
    assert rest, head
    for line in rest.splitlines()[1:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_every_model_is_defined_and_every_rule_has_its_example() -> None:
    defined = {
        slug for row in table("model | who gets the credit | settings") for slug in re.findall(r"`(\w+)`", row[0])
    }
    assert defined == {model.slug for model in CORE_MODELS}
    assert {row[0].strip("`") for row in table("model | weights | cents")} == EXAMPLES.keys()


def test_every_setting_of_a_model_exists() -> None:
    known = {"".join(part.capitalize() for part in name.split("_")) for name in TenantChange.__struct_fields__}
    told = {name for row in table("model | who gets the credit | settings") for name in re.findall(r"`(\w+)`", row[2])}
    assert {name[0].upper() + name[1:] for name in told} <= known
    assert len(told) == 6


@pytest.mark.parametrize("row", list(table("model | weights | cents")), ids=lambda row: row[0])
def test_the_example_of_each_model_is_right(row: list[str]) -> None:
    slug, weights, cents = row[0].strip("`"), row[1].split(" · "), row[2].split(" · ")
    found = EXAMPLES[slug].credit(JOURNEY, SOLD_AT)
    assert list(found) == pytest.approx([float(weight) for weight in weights], abs=1e-6)
    assert allocate(10_001, found) == [int(part) for part in cents]


def test_the_example_of_markov_is_right() -> None:
    data = [(row[0].split(" > "), int(row[1]), int(row[2])) for row in table("journeys | bought | did not")]
    found = list(table("order | email | fb | google"))
    assert [row[0] for row in found] == ["1", "2", "3"]
    for order, *told in found:
        expected = dict(zip(("email", "fb", "google"), map(float, told), strict=True))
        assert markov.conversions(data, int(order)) == pytest.approx(expected, abs=1e-4)


def test_the_refusal_is_told_as_it_is() -> None:
    text = str(TooLittleData("purchases with a journey", 12, MIN_CONVERSIONS))
    assert text in " ".join(PAGE.split())


def test_the_code_runs() -> None:
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found
    names: dict[str, object] = {}
    exec(found[1], names)
    assert names["rows"] is rows
    assert names["shapley"] is shapley
