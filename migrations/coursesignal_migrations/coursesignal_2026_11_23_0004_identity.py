"""People that somebody took apart stay apart."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import ForeignKey, migration, tenant_table

ID = "2026-11-23T21:00:00:000004"
VERSION = "1.38.0"
DESCRIPTION = "Identity"

UP = tenant_table(
    "people_apart",
    """
    -- the lesser id first
    one_id uuid not null,
    other_id uuid not null,
    since timestamptz not null default now(),
    check (one_id < other_id)
    """,
    key="one_id, other_id",
    foreign=[ForeignKey("one_id", "people"), ForeignKey("other_id", "people")],
    indexes=["other_id"],
)
DOWN = ["drop table people_apart"]


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
