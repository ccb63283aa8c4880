"""What the pipeline reads besides the source: device, browser, system and country; and a tenant's own channel rules."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import migration, tenant_table

ID = "2026-11-23T21:00:00:000003"
VERSION = "1.38.0"
DESCRIPTION = "The pipeline"

SESSION_COLUMNS = ("device", "browser", "system", "country")

UP = [
    *(f"alter table sessions add column {name} text not null default ''" for name in SESSION_COLUMNS),
    # What collect reads from the address before it forgets it: the country, and whether it belongs to a hosting company.
    "alter table events add column country text",
    "alter table events add column hosted boolean",
    # Whether visits by headless browsers, command-line clients and from data centres count, or are set aside.
    "alter table tenants add column count_automation boolean not null default true",
    # One row per version, the highest is in force; a version's row is also the record of its application to history.
    *tenant_table(
        "channel_rules",
        """
        version int not null check (version > 0),
        rules jsonb not null default '[]',
        excluded_referrers text[] not null default '{}',
        counted_referrers text[] not null default '{}',
        created_at timestamptz not null default now(),
        created_by text,
        status text not null default 'pending' check (status in ('pending', 'running', 'completed', 'superseded')),
        total bigint,
        processed bigint not null default 0,
        changed bigint not null default 0,
        position uuid,
        started_at timestamptz,
        finished_at timestamptz
        """,
        key="version",
    ),
]
DOWN = [
    "drop table channel_rules cascade",
    "alter table tenants drop column count_automation",
    "alter table events drop column hosted",
    "alter table events drop column country",
    *(f"alter table sessions drop column {name}" for name in SESSION_COLUMNS),
]


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
