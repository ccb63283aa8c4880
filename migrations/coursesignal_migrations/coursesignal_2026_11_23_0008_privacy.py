"""Erasure, export and retention; goals; what buyers and coupons say of where a sale came from."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import ForeignKey, migration, tenant_table

ID = "2026-11-23T21:00:00:000008"
VERSION = "1.38.0"
DESCRIPTION = "Privacy and goals"

PRIVACY = [
    "alter table tenants add column retention_days int check (retention_days >= 30)",
    # A person whose data was erased stays as a number, so that what was sold keeps adding up.
    "alter table people add column erased_at timestamptz",
    "alter table inbox add column redacted_at timestamptz",
    # What was written down is never changed, but for the personal data in it.
    "grant update (subject, detail) on audit_log to cs_app",
    *tenant_table(
        "erasures",
        """
        email_hash bytea not null,
        status text not null default 'pending' check (status in ('pending', 'done', 'lifted')),
        requested_at timestamptz not null default now(),
        finished_at timestamptz,
        lifted_at timestamptz,
        counts jsonb not null default '{}'
        """,
        unique=["email_hash"],
    ),
    # The keyed hash of everything an erased person was known by.
    *tenant_table(
        "erased_keys",
        """
        key_hash bytea not null,
        erasure_id uuid not null
        """,
        key="key_hash",
        foreign=[ForeignKey("erasure_id", "erasures")],
        indexes=["erasure_id"],
    ),
    *tenant_table(
        "privacy_exports",
        """
        email_hash bytea not null,
        status text not null default 'pending' check (status in ('pending', 'ready', 'expired')),
        -- the address while the export is made, and then the file, both encrypted
        sealed bytea,
        counts jsonb not null default '{}',
        requested_at timestamptz not null default now(),
        finished_at timestamptz,
        expires_at timestamptz
        """,
        indexes=["email_hash", "expires_at"],
    ),
    *tenant_table(
        "retention_runs",
        """
        cutoff timestamptz not null,
        started_at timestamptz not null default clock_timestamp(),
        finished_at timestamptz,
        counts jsonb not null default '{}'
        """,
        indexes=["started_at desc"],
    ),
]

GOALS = [
    *tenant_table(
        "goals",
        """
        name text not null,
        kind text not null check (kind in ('path', 'event', 'opt_in', 'purchase')),
        target text not null default '',
        -- of a path: the target as a pattern of like
        pattern text not null default '',
        counted_at timestamptz,
        created_at timestamptz not null default now()
        """,
    ),
    *tenant_table(
        "goal_hits",
        """
        goal_id uuid not null,
        visitor_id uuid not null,
        occurred_at timestamptz not null,
        event_id uuid not null
        """,
        key="goal_id, visitor_id, occurred_at, event_id",
        foreign=[ForeignKey("goal_id", "goals")],
        indexes=["goal_id, occurred_at", "visitor_id"],
    ),
]

CLAIMS = [
    *tenant_table(
        "claims",
        """
        claim_key text not null,
        email_key text,
        visitor_id uuid,
        source text not null,
        answer text not null,
        evidence text not null,
        occurred_at timestamptz not null,
        recorded_at timestamptz not null default now()
        """,
        unique=["claim_key"],
        indexes=["email_key", "visitor_id"],
    ),
    *tenant_table(
        "coupon_sources",
        """
        code text not null,
        source text not null,
        changed_at timestamptz not null default now()
        """,
        key="code",
    ),
]

UP = ["set local timezone = 'UTC'", *PRIVACY, *GOALS, *CLAIMS]
DOWN = [
    *(
        f"drop table {name} cascade"
        for name in (
            "coupon_sources", "claims", "goal_hits", "goals", "retention_runs", "privacy_exports", "erased_keys", "erasures",
        )
    ),
    "revoke update (subject, detail) on audit_log from cs_app",
    "alter table inbox drop column redacted_at",
    "alter table people drop column erased_at",
    "alter table tenants drop column retention_days",
]  # fmt: skip


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
