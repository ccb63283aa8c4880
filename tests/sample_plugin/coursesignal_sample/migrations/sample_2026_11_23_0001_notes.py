"""The table of notes."""

from __future__ import annotations

from typing import Any

from coursesignal.plugin import migration, tenant_table

ID = "2026-11-23T10:00:00:000001"
VERSION = "1.38.0"
DESCRIPTION = "Notes"


async def forwards() -> Any:
    return migration(
        "sample",
        ID,
        DESCRIPTION,
        up=tenant_table(
            "sample_notes",
            """
            kind text not null,
            body text not null default '',
            event_id uuid,
            created_at timestamptz not null default now()
            """,
            unique=["kind, event_id"],
            indexes=["created_at desc, id desc"],
        ),
        down=["drop table sample_notes"],
    )
