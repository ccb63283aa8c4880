"""Connections: how often each is synced and how far back it looks, and how many webhooks were turned away, by reason."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import ForeignKey, migration, tenant_table

ID = "2026-11-23T21:00:00:000020"
VERSION = "1.38.0"
DESCRIPTION = "Schedules and refusals of connections"

UP = [
    """
    alter table connections
        -- null: what the connector says
        add column sync_minutes int check (sync_minutes between 5 and 1440),
        add column rescan_days int check (rescan_days between 1 and 365)""",
    *tenant_table(
        "webhook_refusals",
        """
        connection_id uuid not null,
        day date not null default (now() at time zone 'UTC')::date,
        reason text not null,
        hits bigint not null default 0
        """,
        key="connection_id, day, reason",
        foreign=[ForeignKey("connection_id", "connections")],
    ),
]
DOWN = [
    "drop table webhook_refusals cascade",
    "alter table connections drop column sync_minutes, drop column rescan_days",
]


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
