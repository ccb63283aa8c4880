"""Launches: a table of contents; each hook says what the plugin adds, other modules do it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from coursesignal.plugin import Cron, Job, NavItem, Panel, RecommendationRule, Routes, Settings, hookimpl
from coursesignal_launches import routes
from coursesignal_launches.jobs import post_all, update_status
from coursesignal_launches.panels import CURRENT
from coursesignal_launches.rules import PaceBehindGoal
from coursesignal_launches.settings import Ctx, LaunchSettings
from coursesignal_launches.tables import LaunchesLaunches, LaunchesPins, LaunchesResults


@hookimpl
def register_settings() -> type[Settings]:
    """What may be said in public."""
    return LaunchSettings


@hookimpl
def register_routes() -> Sequence[Routes]:
    """The API, the public part of it, and the pages."""
    return routes.ROUTES


@hookimpl
def register_models() -> Sequence[type[Any]]:
    """Launches, purchases pinned to them, and results that stay."""
    return [LaunchesLaunches, LaunchesPins, LaunchesResults]


@hookimpl
def register_jobs() -> Sequence[Job]:
    """Move launches on."""
    return [
        Job(name="update_status", function=update_status, timeout=timedelta(minutes=2)),
        Job(name="post", function=post_all, timeout=timedelta(minutes=1)),
    ]


@hookimpl
def register_crons() -> Sequence[Cron]:
    """Every five minutes."""
    return [Cron(name="status", schedule="*/5 * * * *", job="update_status")]


@hookimpl
def register_recommendation_rules() -> Sequence[RecommendationRule]:
    """A launch that falls behind its goal."""
    return [PaceBehindGoal()]


@hookimpl
def register_nav_items() -> Sequence[NavItem]:
    """The page of launches."""
    return [NavItem(label="Launches", icon="rocket", weight=30)]


@hookimpl
def register_panels() -> Sequence[Panel]:
    """What runs and what comes next."""
    return [CURRENT]


@hookimpl
async def settings_changed(ctx: Ctx, changed: Sequence[str]) -> None:
    """What is said in public follows what the tenant allows."""
    await ctx.enqueue("post")
