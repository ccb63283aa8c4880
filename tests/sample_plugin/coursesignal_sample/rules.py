"""Advice when nothing was sold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coursesignal.plugin import Context, Recommendation, RecommendationRule


class QuietMonth(RecommendationRule):
    """Says so when a month went by without a purchase."""

    slug = "sample_quiet_month"
    minimum_purchases = 0

    async def evaluate(self, ctx: Context[Any]) -> Sequence[Recommendation]:
        summary = await ctx.reports.summary("30d")
        if summary.purchases:
            return []
        return [
            Recommendation(
                key="sample_quiet_month",
                kind="warning",
                priority=3,
                title="A month without a sale",
                body="Nobody bought in the last 30 days. Write to your list.",
                evidence={"purchases": 0, "visitors": summary.visitors},
            )
        ]
