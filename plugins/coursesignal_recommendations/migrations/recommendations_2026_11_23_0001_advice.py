"""The advice last generated."""

from __future__ import annotations

from typing import Any

from coursesignal.plugin import migration, tenant_table

ID = "2026-11-23T10:40:00:000001"
VERSION = "1.38.0"
DESCRIPTION = "Recommendations"


async def forwards() -> Any:
    return migration(
        "recommendations",
        ID,
        DESCRIPTION,
        up=[
            *tenant_table(
                "recommendations_advice",
                """
                rule text not null,
                key text not null,
                kind text not null check (kind in ('opportunity', 'warning', 'insight')),
                priority int not null check (priority between 1 and 5),
                title text not null,
                body text not null,
                evidence jsonb not null default '{}',
                link text not null default '',
                first_seen_at timestamptz not null default now(),
                last_seen_at timestamptz not null default now()
                """,
                unique=["rule, key"],
            ),
            *tenant_table(
                "recommendations_runs",
                """
                generated_at timestamptz not null,
                purchases int not null,
                found int not null
                """,
                indexes=["generated_at desc"],
            ),
        ],
        down=["drop table recommendations_advice", "drop table recommendations_runs"],
    )
