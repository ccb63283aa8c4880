"""The plugin's table, described for queries; its migration makes it."""

from __future__ import annotations

from piccolo.columns import UUID, Text, Timestamptz
from piccolo.table import Table


class SampleNotes(Table, tablename="sample_notes"):
    """A note about something that happened."""

    id = UUID(primary_key=True)
    tenant_id = UUID()
    kind = Text()
    body = Text()
    event_id = UUID(null=True)
    created_at = Timestamptz()
