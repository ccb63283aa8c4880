"""Reports: the first touch of every visitor of a period, and the opt-ins of a period, each in one pass over an index."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import migration

ID = "2026-11-23T21:00:00:000006"
VERSION = "1.38.0"
DESCRIPTION = "Reports"

# The first stands in for the index on (tenant_id, visitor_id, occurred_at): every touch is written into every index.
UP = [
    "create index touches_order_idx on touches (tenant_id, visitor_id, occurred_at, id) include (source, channel)",
    "drop index touches_1_idx",
    "create index touches_opt_in_idx on touches (tenant_id, occurred_at) where is_opt_in",
]
DOWN = [
    "drop index touches_opt_in_idx",
    "create index touches_1_idx on touches (tenant_id, visitor_id, occurred_at)",
    "drop index touches_order_idx",
]


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
