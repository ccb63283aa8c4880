"""Connections: the journal of their states, limits, two webhook addresses during a change, reconciliation, what is verified."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import ForeignKey, migration, tenant_table

ID = "2026-11-23T21:00:00:000013"
VERSION = "1.38.0"
DESCRIPTION = "Connections"

DOOR = """
    create or replace function door_connection(platform_slug text, hash bytea) returns table (tenant_id uuid, id uuid)
    language sql stable security definer set search_path = pg_catalog, public as
    $$ select c.tenant_id, c.id from public.connections c join public.tenants t on t.id = c.tenant_id
       where {match} and c.platform = platform_slug and c.state not in ('connecting', 'disconnected')
         and t.status = 'active' $$"""
ONE_KEY = "c.key_hash = hash"
TWO_KEYS = "(c.key_hash = hash or (c.previous_key_hash = hash and c.previous_key_until > now()))"

CONNECTIONS = [
    """
    alter table connections
        add column state_changed_at timestamptz not null default now(),
        -- the webhook address before the last change of it, good a while longer
        add column previous_key_hash bytea,
        add column previous_key_until timestamptz,
        -- null: what the connector says
        add column requests_per_minute int check (requests_per_minute between 1 and 100000),
        add column monthly_requests int check (monthly_requests >= 1),
        -- when the run that synced last, or looked back furthest last, began
        add column synced_to timestamptz,
        add column rescanned_to timestamptz,
        -- who renews the credentials now, and until when nobody else may
        add column refresh_token uuid,
        add column refresh_until timestamptz""",
    "create index connections_previous_idx on connections (previous_key_hash) where previous_key_hash is not null",
    DOOR.format(match=TWO_KEYS),
    *tenant_table(
        "connection_changes",
        """
        connection_id uuid not null,
        at timestamptz not null default clock_timestamp(),
        happened text not null,
        from_state text not null,
        to_state text not null,
        reason text
        """,
        foreign=[ForeignKey("connection_id", "connections")],
        indexes=["connection_id, at desc"],
    ),
    # What a connection asked of its platform lately: its token bucket, its month, its circuit breaker.
    *tenant_table(
        "connection_meters",
        """
        connection_id uuid not null,
        month date not null default date_trunc('month', now() at time zone 'UTC')::date,
        used int not null default 0,
        tokens double precision not null default 0,
        refilled_at timestamptz,
        paused_until timestamptz,
        failures int not null default 0,
        open_until timestamptz
        """,
        key="connection_id",
        foreign=[ForeignKey("connection_id", "connections")],
    ),
]

SYNC = [
    """
    alter table sync_runs
        add column kind text not null default 'manual' check (kind in ('first', 'manual', 'incremental', 'rescan')),
        -- money the run brought that nothing else had
        add column found int not null default 0""",
    # How many pages there were, and one of their cursors to notice pages that go round in circles.
    "alter table sync_cursors add column pages int not null default 0, add column anchor text",
    # The money a run's pages told of, until the run ends and it is compared with ours.
    *tenant_table(
        "sync_listed",
        """
        sync_run_id uuid not null,
        external_id text not null,
        kind text not null,
        amount_minor bigint not null,
        currency text not null,
        occurred_at timestamptz not null,
        refund_of text,
        refund_total bigint
        """,
        key="sync_run_id, external_id",
        foreign=[ForeignKey("sync_run_id", "sync_runs")],
    ),
    *tenant_table(
        "reconciliations",
        """
        connection_id uuid not null,
        sync_run_id uuid not null,
        since timestamptz not null,
        until timestamptz not null,
        checked_at timestamptz not null default clock_timestamp(),
        agrees boolean not null,
        found int not null default 0,
        totals jsonb not null,
        differing jsonb not null default '[]'
        """,
        foreign=[ForeignKey("connection_id", "connections"), ForeignKey("sync_run_id", "sync_runs")],
        indexes=["connection_id, checked_at desc"],
    ),
]

INBOX = [
    """
    alter table inbox
        add column signed boolean not null default false,
        -- external ids of the money an unsigned webhook told of
        add column money text[] not null default '{}'""",
    "create index inbox_waiting_idx on inbox (tenant_id, received_at) where status = 'received'",
    # Money that only an unsigned webhook told of is not verified until the platform's API tells of it too.
    "alter table charges add column verified boolean not null default true",
    "create index charges_unverified_idx on charges (tenant_id, connection_id) where not verified",
]

UP = ["set local timezone = 'UTC'", *CONNECTIONS, *SYNC, *INBOX]
DOWN = [
    "alter table charges drop column verified",
    "drop index inbox_waiting_idx",
    "alter table inbox drop column signed, drop column money",
    *(
        f"drop table {name} cascade"
        for name in ("reconciliations", "sync_listed", "connection_meters", "connection_changes")
    ),
    "alter table sync_cursors drop column pages, drop column anchor",
    "alter table sync_runs drop column kind, drop column found",
    DOOR.format(match=ONE_KEY),
    "drop index connections_previous_idx",
    """
    alter table connections
        drop column state_changed_at, drop column previous_key_hash, drop column previous_key_until,
        drop column requests_per_minute, drop column monthly_requests, drop column synced_to, drop column rescanned_to,
        drop column refresh_token, drop column refresh_until""",
]


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
