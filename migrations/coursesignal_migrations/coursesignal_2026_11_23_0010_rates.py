"""A tenant's own exchange rates, for reports that convert."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import migration, tenant_table

ID = "2026-11-23T21:00:00:000010"
VERSION = "1.38.0"
DESCRIPTION = "Rates"

UP = tenant_table(
    "rates",
    """
    -- one unit of currency is rate units of base, from the beginning of that day in the tenant's zone
    base text not null,
    currency text not null,
    valid_from date not null,
    rate numeric not null check (rate > 0),
    check (base <> currency)
    """,
    key="base, currency, valid_from",
)
DOWN = ["drop table rates"]


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
