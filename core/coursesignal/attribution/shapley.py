"""Shapley values of channels, with v(S) = the conversions of journeys that use only channels in S.

For this game the value has a closed form: each conversion is split equally over the distinct channels of its journey (Zhao et
al. 2018). So it needs no fitting: it is a rule, and named for what it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from coursesignal.plugin import AttributionModel, Touch


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
