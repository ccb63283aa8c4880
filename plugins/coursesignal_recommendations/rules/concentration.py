"""Most of the revenue hangs on one source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coursesignal.plugin import Context, Recommendation, RecommendationRule
from coursesignal_recommendations.rules.intervals import wilson

THRESHOLD = 0.6


class Concentration(RecommendationRule):
    """A warning: more than 60 % of the credited sales come from one source, beyond chance."""

    slug = "recommendations_concentration"
    minimum_purchases = 30

    async def evaluate(self, ctx: Context[Any]) -> Sequence[Recommendation]:
        """At most one; direct visits are no source to depend on."""
        report = await ctx.reports.sources("90d")
        credited = sum(row.purchases for row in report.rows)
        revenue = sum(row.revenue_minor for row in report.rows)
        top = max(report.rows, key=lambda row: (row.purchases, row.source), default=None)
        if top is None or credited < self.minimum_purchases or revenue <= 0 or top.channel == "Direct":
            return []
        if wilson(top.purchases, credited)[0] <= THRESHOLD:
            return []
        share = 100 * top.purchases / credited
        return [
            Recommendation(
                key=f"concentration:{top.source}",
                kind="warning",
                priority=3,
                title=f"Most of your sales depend on {top.source}",
                body=(
                    f"{top.purchases} of {credited} credited purchases of the last 90 days ({share:.0f} %) came from "
                    f"{top.source}. If it fails, so does your revenue: build up a second source."
                ),
                evidence={
                    "source": top.source,
                    "purchases": top.purchases,
                    "creditedPurchases": credited,
                    "share": round(share, 1),
                    "revenueMinor": top.revenue_minor,
                    "currency": report.currency,
                },
                link="/api/analytics/sources?range=90d",
            )
        ]
