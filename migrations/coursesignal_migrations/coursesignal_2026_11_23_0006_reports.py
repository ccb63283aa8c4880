"""Reports: the first touch of every visitor of a period, and its opt-ins, each in one pass over an index; fresh statistics."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import migration

ID = "2026-11-23T21:00:00:000006"
VERSION = "1.38.0"
DESCRIPTION = "Reports"

# Of a tenant that is newer than a table's statistics the planner expects one row, and joins everything with everything. A fiftieth
# of a table, and not a tenth, is therefore reason enough to look at it again.
COUNTED = ("people", "visitors", "sessions", "touches", "purchases", "charges", "credits")

# The first index stands in for the index on (tenant_id, visitor_id, occurred_at): every touch is written into every index.
UP = [
    "create index touches_order_idx on touches (tenant_id, visitor_id, occurred_at, id) include (source, channel)",
    "drop index touches_1_idx",
    "create index touches_opt_in_idx on touches (tenant_id, occurred_at) where is_opt_in",
    *(f"alter table {table} set (autovacuum_analyze_scale_factor = 0.02)" for table in COUNTED),
]
DOWN = [
    *(f"alter table {table} reset (autovacuum_analyze_scale_factor)" for table in COUNTED),
    "drop index touches_opt_in_idx",
    "create index touches_1_idx on touches (tenant_id, visitor_id, occurred_at)",
    "drop index touches_order_idx",
]


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
