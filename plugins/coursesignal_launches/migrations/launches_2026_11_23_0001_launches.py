"""The table of launches."""

from __future__ import annotations

from typing import Any

from coursesignal.plugin import migration, tenant_table

ID = "2026-11-23T10:30:00:000001"
VERSION = "1.38.0"
DESCRIPTION = "Launches"


async def forwards() -> Any:
    return migration(
        "launches",
        ID,
        DESCRIPTION,
        up=tenant_table(
            "launches_launches",
            """
            title text not null,
            starts_at timestamptz not null,
            ends_at timestamptz not null,
            status text not null check (status in ('upcoming', 'active', 'completed')),
            created_at timestamptz not null default now(),
            check (ends_at > starts_at)
            """,
            indexes=["starts_at desc, id desc", "status"],
        ),
        down=["drop table launches_launches"],
    )
