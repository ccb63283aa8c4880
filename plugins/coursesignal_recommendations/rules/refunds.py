"""A source whose buyers ask for their money back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coursesignal.plugin import Context, Recommendation, RecommendationRule

MINIMUM_SALES = 20
THRESHOLD = 0.2
AGAINST_OTHERS = 2.0


class RefundHeavySource(RecommendationRule):
    """A warning: a source gives back a fifth of what it brings, and at least twice the share of the others."""

    slug = "recommendations_refund_heavy_source"
    minimum_purchases = 40

    async def evaluate(self, ctx: Context[Any]) -> Sequence[Recommendation]:
        """One per such source with at least 20 sales in the last 90 days."""
        report = await ctx.reports.sources("90d")
        found = []
        for row in report.rows:
            if row.purchases < MINIMUM_SALES or row.charged_minor <= 0:
                continue
            share = row.refunded_minor / row.charged_minor
            charged = report.totals.charged_minor - row.charged_minor
            refunded = report.totals.refunded_minor - row.refunded_minor
            rest = refunded / charged if charged > 0 else 0.0
            if share >= THRESHOLD and share >= AGAINST_OTHERS * rest:
                found.append(self._advice(row.source, row.purchases, share, rest, report.currency, row.refunded_minor))
        return found

    def _advice(
        self, source: str, purchases: int, share: float, rest: float, currency: str, refunded_minor: int
    ) -> Recommendation:
        return Recommendation(
            key=f"refunds:{source}",
            kind="warning",
            priority=2,
            title=f"Buyers from {source} ask for refunds often",
            body=(
                f"{100 * share:.0f} % of what {source} brought in the last 90 days ({purchases} purchases) was refunded, against "
                f"{100 * rest:.0f} % elsewhere. Compare what is promised there with what the course gives."
            ),
            evidence={
                "source": source,
                "purchases": purchases,
                "refundShare": round(100 * share, 1),
                "refundShareOfOthers": round(100 * rest, 1),
                "refundedMinor": refunded_minor,
                "currency": currency,
            },
            link="/api/analytics/sources?range=90d",
        )
