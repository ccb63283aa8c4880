"""Every model that core brings."""

from __future__ import annotations

from coursesignal.attribution.markov import Markov
from coursesignal.attribution.models import RULE_MODELS
from coursesignal.attribution.shapley import ShapleyOfEnough
from coursesignal.plugin import AttributionModel

CORE_MODELS: tuple[AttributionModel, ...] = (*RULE_MODELS, ShapleyOfEnough(), Markov(1), Markov(2), Markov(3))
