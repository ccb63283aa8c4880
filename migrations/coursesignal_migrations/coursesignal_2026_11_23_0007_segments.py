"""Saved segments: filters with a name, for every report of their tenant."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import migration, tenant_table

ID = "2026-11-23T21:00:00:000007"
VERSION = "1.38.0"
DESCRIPTION = "Segments"

UP = tenant_table(
    "segments",
    """
    slug text not null,
    name text not null,
    filter jsonb not null,
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now()
    """,
    key="slug",
)
DOWN = ["drop table segments"]


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
