"""The plugin's table, described for queries; its migration makes it."""

from __future__ import annotations

from piccolo.columns import UUID, Text, Timestamptz
from piccolo.table import Table


class LaunchesLaunches(Table, tablename="launches_launches"):
    """A launch."""

    id = UUID(primary_key=True)
    tenant_id = UUID()
    title = Text()
    starts_at = Timestamptz()
    ends_at = Timestamptz()
    status = Text()
    created_at = Timestamptz()
