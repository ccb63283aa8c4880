"""The dashboard: server-rendered pages over the tenant's reports, and a place for every plugin's panels and menu entries."""

from __future__ import annotations

from collections.abc import Sequence

from coursesignal.plugin import NavItem, Routes, hookimpl
from coursesignal_dashboard import routes


@hookimpl
def register_routes() -> Sequence[Routes]:
    """The pages, their style and their one script."""
    return routes.ROUTES


@hookimpl
def register_nav_items() -> Sequence[NavItem]:
    """The overview comes first."""
    return [NavItem(label="Dashboard", icon="gauge", weight=10)]
