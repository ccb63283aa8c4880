"""Figures kept per day: what was counted of each day, which days are counted, and which spans of time changed since."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import migration, tenant_table

ID = "2026-11-23T21:00:00:000009"
VERSION = "1.38.0"
DESCRIPTION = "Roll-ups"

KINDS = "what text not null check (what in ('visits', 'money'))"

TABLES = [
    # What changed, written with the change. Every transaction adds rows of its own and touches nobody else's: who counts a day
    # again removes the rows it saw before it looked, so a change that it cannot have seen keeps its row.
    *tenant_table(
        "stale_spans",
        f"""
        {KINDS},
        from_at timestamptz not null,
        to_at timestamptz not null,
        marked_at timestamptz not null default now(),
        check (from_at < to_at)
        """,
        indexes=["what, from_at"],
    ),
    # Days that are counted, with the instants they were counted between. A closed one is never counted again: the rows it was
    # counted from are gone.
    *tenant_table(
        "rollup_days",
        f"""
        {KINDS},
        day date not null,
        start_at timestamptz not null,
        end_at timestamptz not null,
        closed boolean not null default false,
        built_at timestamptz not null default now()
        """,
        key="what, day",
    ),
    *tenant_table(
        "daily_visits",
        """
        day date not null,
        visitors bigint not null,
        sessions bigint not null,
        pageviews bigint not null,
        opt_ins bigint not null
        """,
        key="day",
    ),
    # Where it came from is no part of the key, so that an erasure can change it.
    *tenant_table(
        "daily_sources",
        """
        day date not null,
        channel text not null,
        source text not null,
        medium text not null,
        campaign text not null,
        touches bigint not null,
        visitors bigint not null,
        opt_ins bigint not null
        """,
        indexes=["day"],
    ),
    *tenant_table(
        "daily_money",
        """
        day date not null,
        currency text not null,
        charged numeric not null,
        refunded numeric not null,
        purchases bigint not null
        """,
        key="day, currency",
    ),
]

# Nothing is counted yet of tenants that are there already.
MARK_ALL = """
do $$
declare
    tenant uuid;
begin
    for tenant in select id from tenants loop
        execute format('set local app.tenant_id = %L', tenant);
        insert into stale_spans (tenant_id, what, from_at, to_at)
        values (tenant, 'visits', '-infinity', 'infinity'), (tenant, 'money', '-infinity', 'infinity');
    end loop;
    set local app.tenant_id = '';
end $$"""

UP = [*TABLES, MARK_ALL]
DOWN = [f"drop table {name}" for name in ("daily_money", "daily_sources", "daily_visits", "rollup_days", "stale_spans")]


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
