"""Too many sales have no known way to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coursesignal.plugin import Context, Recommendation, RecommendationRule
from coursesignal_recommendations.rules.intervals import wilson

PROMISED = 0.85


class Coverage(RecommendationRule):
    """A warning: clearly fewer than 85 % of the purchases could be credited to a touch."""

    slug = "recommendations_coverage"
    minimum_purchases = 20

    async def evaluate(self, ctx: Context[Any]) -> Sequence[Recommendation]:
        """At most one, about the last 30 days."""
        report = await ctx.reports.sources("30d")
        purchases = report.totals.purchases
        missing = report.unattributed.purchases
        if purchases < self.minimum_purchases or wilson(purchases - missing, purchases)[1] >= PROMISED:
            return []
        share = 100 * (purchases - missing) / purchases
        return [
            Recommendation(
                key="coverage",
                kind="warning",
                priority=1,
                title="Many sales cannot be credited to a source",
                body=(
                    f"Only {purchases - missing} of {purchases} purchases of the last 30 days ({share:.0f} %) have a known "
                    "journey; 85 % are usual. Check that the tracker script is on every page, also on the checkout, and that "
                    "forms identify the visitor by e-mail."
                ),
                evidence={"purchases": purchases, "unattributed": missing, "coverage": round(share, 1)},
                link="/api/script/info",
            )
        ]
