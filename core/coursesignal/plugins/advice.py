"""Ask every recommendation rule that a tenant has, each with its own plugin's context, none able to hurt another."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from coursesignal.db.ids import uuid7
from coursesignal.events import RecommendationRaised
from coursesignal.plugin import Advice, Context, PluginError, Recommendation, RecommendationRule
from coursesignal.plugins.calls import PluginFault, call_plugin

log = logging.getLogger(__name__)

RULE_TIMEOUT_S = 10.0


async def ask(plugin: str, rule: RecommendationRule, context: Awaitable[Context[Any]]) -> list[Advice]:
    """What one rule recommends in the ``context`` of its plugin; nothing when it fails, which is logged."""
    what = f"recommendation rule {rule.slug}"
    try:
        answer = await call_plugin(plugin, what, RULE_TIMEOUT_S, partial(rule.evaluate, await context))
        return [Advice(rule=rule.slug, recommendation=found) for found in _checked(plugin, what, answer)]
    except PluginError as error:
        log.error("plugin.error plugin=%s what=%s: %s", plugin, what, error)
        return []


def _checked(plugin: str, what: str, answer: object) -> Sequence[Recommendation]:
    if isinstance(answer, list | tuple) and all(isinstance(item, Recommendation) for item in answer):
        return answer
    raise PluginFault(plugin, what, f"returned {type(answer).__name__}", "Return a list of Recommendation.")


def raised(tenant_id: UUID, advice: Advice) -> RecommendationRaised:
    """The event for advice that is new."""
    return RecommendationRaised(
        id=uuid7(),
        tenant_id=tenant_id,
        occurred_at=datetime.now(UTC),
        rule=advice.rule,
        key=advice.recommendation.key,
        title=advice.recommendation.title,
    )
