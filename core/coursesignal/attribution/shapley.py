"""Shapley values of channels, with v(S) = the conversions of journeys that use only channels in S.

For this game the value has a closed form: each conversion is split equally over the distinct channels of its journey (Zhao et
al. 2018). So there is nothing to fit; of a handful of journeys it would say little about a channel all the same, and it credits
nobody before there are as many as the other data-driven models need.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from coursesignal.attribution.markov import MIN_CONVERSIONS, Row
from coursesignal.errors import TooLittleData
from coursesignal.plugin import AttributionModel, FittedAttributionModel, PathRecord, Touch


def conversions(rows: Iterable[Row]) -> Mapping[str, float]:
    """Each channel's Shapley value: its part of the conversions of rows such as ``(["fb", "email"], 10, 20)``."""
    found: dict[str, float] = defaultdict(float)
    for channels, won, _ in rows:
        distinct = dict.fromkeys(channels)
        for channel in distinct:
            found[channel] += won / len(distinct)
    return dict(found)


class Shapley(AttributionModel):
    """Equal parts to the distinct channels of a journey, a channel's part shared by its touches."""

    slug = "shapley"
    name = "Shapley (closed form)"
    description = (
        "Every channel of the journey gets the same share, however often it was used: "
        "the Shapley value of conversions by channel sets, in closed form."
    )

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        uses = Counter(touch.channel for touch in path)
        return [1 / len(uses) / uses[touch.channel] for touch in path]


class ShapleyOfEnough(FittedAttributionModel):
    """The same, once a tenant has enough journeys; before, it credits nobody."""

    slug = Shapley.slug
    name = Shapley.name
    description = Shapley.description

    def credit(self, path: Sequence[Touch], purchased_at: datetime) -> Sequence[float]:
        return ()

    def fit(self, paths: Iterable[PathRecord]) -> Mapping[str, Any]:
        won = sum(one.conversions for one in paths if one.path)
        if won < MIN_CONVERSIONS:
            raise TooLittleData("purchases with a journey", won, MIN_CONVERSIONS)
        return {"form": "closed"}

    def load(self, fitted: Mapping[str, Any]) -> AttributionModel:
        return Shapley()
