"""The source whose visitors buy clearly more often than the others'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coursesignal.plugin import Context, Recommendation, RecommendationRule
from coursesignal_recommendations.rules.intervals import wilson

MINIMUM_VISITORS = 100
MINIMUM_SALES = 5


class BestSource(RecommendationRule):
    """An opportunity: a source that converts better than all others together, beyond chance."""

    slug = "recommendations_best_source"
    minimum_purchases = 30

    async def evaluate(self, ctx: Context[Any]) -> Sequence[Recommendation]:
        """At most one: of the sources with 100 visitors and 5 sales whose 95 % interval lies above the rest's."""
        report = await ctx.reports.sources("90d")
        rows = [row for row in report.rows if row.visitors >= MINIMUM_VISITORS and row.purchases >= MINIMUM_SALES]
        clear = []
        for row in rows:
            others = [other for other in report.rows if other.source != row.source]
            visitors, purchases = sum(o.visitors for o in others), sum(o.purchases for o in others)
            if visitors >= MINIMUM_VISITORS and wilson(row.purchases, row.visitors)[0] > wilson(purchases, visitors)[1]:
                clear.append((row.purchases / row.visitors, row, 100 * purchases / visitors))
        if not clear:
            return []
        rate, best, rest = max(clear, key=lambda found: (found[0], found[1].source))
        return [
            Recommendation(
                key=f"best:{best.source}",
                kind="opportunity",
                priority=2,
                title=f"Visitors from {best.source} buy most often",
                body=(
                    f"In the last 90 days {best.purchases} purchases came from {best.visitors} visitors of {best.source} "
                    f"({100 * rate:.1f} %), against {rest:.1f} % of all other sources. Do more there."
                ),
                evidence={
                    "source": best.source,
                    "purchases": best.purchases,
                    "visitors": best.visitors,
                    "conversionRate": round(100 * rate, 2),
                    "conversionRateOfOthers": round(rest, 2),
                },
                link="/api/analytics/sources?range=90d",
            )
        ]
