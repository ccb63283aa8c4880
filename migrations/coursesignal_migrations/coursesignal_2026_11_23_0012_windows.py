"""Which models a recompute is about: a setting that one model alone credits by has that one's credits computed again."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import migration

ID = "2026-11-23T21:00:00:000012"
VERSION = "1.38.0"
DESCRIPTION = "Recompute by model"

UP = [
    # Without models: all of them.
    "alter table recredit_runs add column models text[]",
    # A recompute changes most credits at once: with room on their page they need no new entries in three indexes.
    "alter table credits set (fillfactor = 85)",
]
DOWN = ["alter table credits reset (fillfactor)", "alter table recredit_runs drop column models"]


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
