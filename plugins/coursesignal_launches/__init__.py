"""Launches: a table of contents; each hook says what the plugin adds, other modules do it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from coursesignal.plugin import Cron, Job, NavItem, Panel, Routes, hookimpl
from coursesignal_launches import routes
from coursesignal_launches.launches import update_status
from coursesignal_launches.panels import CURRENT
from coursesignal_launches.tables import LaunchesLaunches


@hookimpl
def register_routes() -> Sequence[Routes]:
    """The API and one page."""
    return routes.ROUTES


@hookimpl
def register_models() -> Sequence[type[Any]]:
    """The table of launches."""
    return [LaunchesLaunches]


@hookimpl
def register_jobs() -> Sequence[Job]:
    """Move launches on."""
    return [Job(name="update_status", function=update_status, timeout=timedelta(minutes=1))]


@hookimpl
def register_crons() -> Sequence[Cron]:
    """Every five minutes."""
    return [Cron(name="status", schedule="*/5 * * * *", job="update_status")]


@hookimpl
def register_nav_items() -> Sequence[NavItem]:
    """The page of launches."""
    return [NavItem(label="Launches", icon="rocket", weight=30)]


@hookimpl
def register_panels() -> Sequence[Panel]:
    """What runs and what comes next."""
    return [CURRENT]
