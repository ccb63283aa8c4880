"""The rules, one idea each; all compare the last 90 days and say what they counted."""

from __future__ import annotations

from coursesignal.plugin import RecommendationRule
from coursesignal_recommendations.rules.best_source import BestSource
from coursesignal_recommendations.rules.concentration import Concentration
from coursesignal_recommendations.rules.coverage import Coverage
from coursesignal_recommendations.rules.refunds import RefundHeavySource

RULES: tuple[RecommendationRule, ...] = (BestSource(), Concentration(), Coverage(), RefundHeavySource())
