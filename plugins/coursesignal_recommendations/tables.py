"""The plugin's tables, described for queries; its migration makes them."""

from __future__ import annotations

from piccolo.columns import JSONB, UUID, Integer, Text, Timestamptz
from piccolo.table import Table


class RecommendationsAdvice(Table, tablename="recommendations_advice"):
    """One piece of advice that held when it was last looked for."""

    id = UUID(primary_key=True)
    tenant_id = UUID()
    rule = Text()
    key = Text()
    kind = Text()
    priority = Integer()
    title = Text()
    body = Text()
    evidence = JSONB()
    link = Text()
    first_seen_at = Timestamptz()
    last_seen_at = Timestamptz()


class RecommendationsRuns(Table, tablename="recommendations_runs"):
    """When advice was last looked for, and on how many purchases."""

    id = UUID(primary_key=True)
    tenant_id = UUID()
    generated_at = Timestamptz()
    purchases = Integer()
    found = Integer()
