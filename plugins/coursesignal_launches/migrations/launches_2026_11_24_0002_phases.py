"""Phases, goals and products of launches, purchases pinned by hand, and results that stay."""

from __future__ import annotations

from typing import Any

from coursesignal.plugin import ForeignKey, migration, tenant_table

ID = "2026-11-24T04:00:00:000001"
VERSION = "1.38.0"
DESCRIPTION = "Phases, goals, pins and results"

UP = [
    """
    alter table launches_launches
        add column description text not null default '',
        add column prelaunch_at timestamptz,
        add column last_day_at timestamptz,
        add column post_ends_at timestamptz,
        add column revenue_goal_minor bigint check (revenue_goal_minor > 0),
        add column sales_goal int check (sales_goal > 0),
        -- Empty: every product counts.
        add column products text[] not null default '{}',
        add column archived_at timestamptz,
        add column changed_at timestamptz not null default now()""",
    "create index launches_launches_ends_idx on launches_launches (tenant_id, ends_at)",
    # A purchase that a person put into a launch, or into none, whatever the dates say.
    *tenant_table(
        "launches_pins",
        """
        purchase_id uuid not null,
        launch_id uuid,
        pinned_at timestamptz not null default now()
        """,
        key="purchase_id",
        foreign=[ForeignKey("purchase_id", "purchases"), ForeignKey("launch_id", "launches_launches")],
        indexes=["launch_id"],
    ),
    # What a completed launch brought in, as it was when this was worked out; ``basis`` says of which money and dates.
    *tenant_table(
        "launches_results",
        """
        launch_id uuid not null,
        basis text not null,
        results jsonb not null,
        corrections jsonb not null default '[]',
        frozen_at timestamptz not null default now()
        """,
        key="launch_id",
        foreign=[ForeignKey("launch_id", "launches_launches")],
    ),
]
DOWN = [
    "drop table launches_results",
    "drop table launches_pins",
    "drop index launches_launches_ends_idx",
    """
    alter table launches_launches
        drop column description, drop column prelaunch_at, drop column last_day_at, drop column post_ends_at,
        drop column revenue_goal_minor, drop column sales_goal, drop column products, drop column archived_at,
        drop column changed_at""",
]


async def forwards() -> Any:
    return migration("launches", ID, DESCRIPTION, up=UP, down=DOWN)
