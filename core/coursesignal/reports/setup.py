"""What a tenant has set up so far."""

from __future__ import annotations

from datetime import datetime

from coursesignal.reports.base import Report


class ConnectionLine(Report, frozen=True, kw_only=True):
    """A platform of the tenant, as far as a dashboard shows it."""

    platform: str
    account: str | None
    state: str
    problem: str | None


class SetupState(Report, frozen=True, kw_only=True):
    """What a tenant has set up so far, and so what to do next."""

    site_key: str | None
    site_attributes: str = ""
    """What the snippet says besides the key, each attribute with a space before it."""
    last_event_at: datetime | None
    connections: tuple[ConnectionLine, ...]
    has_purchases: bool
