"""Recommendations: a table of contents; each hook says what the plugin adds, other modules do it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from coursesignal.plugin import Context, Cron, Job, NavItem, NoSettings, Panel, RecommendationRule, Routes, hookimpl
from coursesignal_recommendations import routes, rules
from coursesignal_recommendations.advice import generate
from coursesignal_recommendations.panels import TOP
from coursesignal_recommendations.tables import RecommendationsAdvice, RecommendationsRuns


@hookimpl
def register_routes() -> Sequence[Routes]:
    """The API and one page."""
    return routes.ROUTES


@hookimpl
def register_models() -> Sequence[type[Any]]:
    """The advice and when it was made."""
    return [RecommendationsAdvice, RecommendationsRuns]


@hookimpl
def register_recommendation_rules() -> Sequence[RecommendationRule]:
    """What is looked for."""
    return rules.RULES


async def _nightly(ctx: Context[NoSettings]) -> None:
    """Generate; the answer is for whoever asks by HTTP."""
    await generate(ctx)


@hookimpl
def register_jobs() -> Sequence[Job]:
    """Look for advice."""
    return [Job(name="generate", function=_nightly, timeout=timedelta(minutes=2))]


@hookimpl
def register_crons() -> Sequence[Cron]:
    """Every night."""
    return [Cron(name="nightly", schedule="20 4 * * *", job="generate")]


@hookimpl
def register_nav_items() -> Sequence[NavItem]:
    """The page of advice."""
    return [NavItem(label="Recommendations", icon="lightbulb", weight=40)]


@hookimpl
def register_panels() -> Sequence[Panel]:
    """The most urgent advice."""
    return [TOP]
