"""Attribution: recomputes with progress, windows of a lifetime, shares of the W-shaped model, payment plans."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import migration, tenant_table

ID = "2026-11-23T21:00:00:000005"
VERSION = "1.38.0"
DESCRIPTION = "Attribution"

UP = [
    # A lifetime is a hundred years.
    "alter table tenants drop constraint tenants_lookback_days_check",
    "alter table tenants add constraint tenants_lookback_days_check "
    "check (lookback_days between 1 and 3650 or lookback_days = 36500)",
    """
    alter table tenants
        add column w_first_share double precision not null default 0.3 check (w_first_share between 0 and 1),
        add column w_opt_in_share double precision not null default 0.3 check (w_opt_in_share between 0 and 1),
        add column w_last_share double precision not null default 0.3 check (w_last_share between 0 and 1)
    """,
    # A credit goes with its charge, and a charge with its purchase: to look for the purchase of each credit as well took a third
    # of the time of crediting.
    "alter table credits drop constraint credits_tenant_id_purchase_id_fkey",
    """
    alter table purchases
        add column plan_payments int check (plan_payments > 0),
        add column plan_total_minor bigint check (plan_total_minor >= 0),
        add column plan_next_due_at timestamptz,
        add column plan_failed_at timestamptz
    """,
    *tenant_table(
        "recredit_runs",
        """
        status text not null default 'running' check (status in ('running', 'completed', 'superseded')),
        total int not null,
        processed int not null default 0,
        changed int not null default 0,
        started_at timestamptz not null default clock_timestamp(),
        finished_at timestamptz
        """,
        indexes=["started_at desc"],
    ),
]
DOWN = [
    "drop table recredit_runs",
    "alter table purchases drop column plan_payments, drop column plan_total_minor, drop column plan_next_due_at, "
    "drop column plan_failed_at",
    "alter table credits add constraint credits_tenant_id_purchase_id_fkey "
    "foreign key (tenant_id, purchase_id) references purchases (tenant_id, id) on delete cascade",
    "alter table tenants drop column w_first_share, drop column w_opt_in_share, drop column w_last_share",
    "update tenants set lookback_days = 3650 where lookback_days > 3650",
    "alter table tenants drop constraint tenants_lookback_days_check",
    "alter table tenants add constraint tenants_lookback_days_check check (lookback_days between 1 and 3650)",
]


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
