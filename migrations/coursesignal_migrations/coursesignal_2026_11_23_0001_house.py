"""The house: control plane, tenancy, tracking, identity, commerce, attribution, connections, jobs."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import ForeignKey, migration, secure, tenant_table

ID = "2026-11-23T09:00:00:000001"
VERSION = "1.38.0"
DESCRIPTION = "The house"

CONTROL = [
    # Tables of the installation, not of one tenant. Each is named in the catalogue test's allow-list with its reason.
    """
    create table agencies (
        id uuid primary key default uuidv7(),
        slug text not null unique,
        name text not null,
        created_at timestamptz not null default now()
    )""",
    """
    create table tenants (
        id uuid primary key default uuidv7(),
        slug text not null unique,
        name text not null,
        agency_id uuid references agencies (id),
        time_zone text not null default 'UTC',
        currency text not null default 'USD' check (currency ~ '^[A-Z]{3}$'),
        default_model text not null default 'last_non_direct',
        lookback_days int not null default 90 check (lookback_days between 1 and 3650),
        -- shares and half-life of the models that have some
        half_life_days double precision not null default 7 check (half_life_days between 0.04 and 365),
        first_share double precision not null default 0.4 check (first_share between 0 and 1),
        last_share double precision not null default 0.4 check (last_share between 0 and 1),
        check (first_share + last_share <= 1),
        status text not null default 'active' check (status in ('active', 'archived')),
        created_at timestamptz not null default now()
    )""",
    "create index tenants_agency_idx on tenants (agency_id)",
    """
    create table users (
        id uuid primary key default uuidv7(),
        email text not null,
        email_key text not null unique,
        password_hash text,
        verified_at timestamptz,
        created_at timestamptz not null default now()
    )""",
    """
    create table memberships (
        id uuid primary key default uuidv7(),
        user_id uuid not null references users (id) on delete cascade,
        tenant_id uuid references tenants (id) on delete cascade,
        agency_id uuid references agencies (id) on delete cascade,
        role text not null check (role in ('owner', 'admin', 'member', 'viewer')),
        created_at timestamptz not null default now(),
        check ((tenant_id is null) <> (agency_id is null)),
        unique (user_id, tenant_id),
        unique (user_id, agency_id)
    )""",
    "create index memberships_tenant_idx on memberships (tenant_id)",
    "create index memberships_agency_idx on memberships (agency_id)",
    """
    create table auth_tokens (
        id uuid primary key default uuidv7(),
        token_hash bytea not null unique,
        user_id uuid not null references users (id) on delete cascade,
        purpose text not null check (purpose in ('verify', 'reset', 'invite')),
        -- of a sign-up: what the link in this mail, and no other, brings into force
        password_hash text,
        tenant_name text,
        -- of an invitation: where to, and as what
        tenant_id uuid references tenants (id) on delete cascade,
        agency_id uuid references agencies (id) on delete cascade,
        role text check (role in ('owner', 'admin', 'member', 'viewer')),
        expires_at timestamptz not null,
        used_at timestamptz,
        created_at timestamptz not null default now()
    )""",
    "create index auth_tokens_user_idx on auth_tokens (user_id)",
    """
    create table auth_sessions (
        id uuid primary key default uuidv7(),
        user_id uuid not null references users (id) on delete cascade,
        kind text not null check (kind in ('api', 'browser')),
        token_hash bytea not null unique,
        previous_hash bytea,
        previous_child bytea,
        rotated_at timestamptz,
        expires_at timestamptz not null,
        revoked_at timestamptz,
        created_at timestamptz not null default now()
    )""",
    "create index auth_sessions_user_idx on auth_sessions (user_id)",
    "create index auth_sessions_previous_idx on auth_sessions (previous_hash)",
    """
    create table refresh_history (
        token_hash bytea primary key,
        session_id uuid not null references auth_sessions (id) on delete cascade,
        used_at timestamptz not null default now()
    )""",
    """
    create unlogged table rate_limits (
        bucket text not null,
        window_start timestamptz not null,
        hits int not null,
        primary key (bucket, window_start)
    )""",
    """
    create table mails (
        id uuid primary key default uuidv7(),
        tenant_id uuid references tenants (id) on delete cascade,
        dedupe_key text not null unique,
        sealed bytea not null,
        status text not null default 'pending' check (status in ('pending', 'sent', 'dead')),
        attempts int not null default 0,
        run_at timestamptz not null default now(),
        lease_until timestamptz,
        lease_token uuid,
        last_error text,
        created_at timestamptz not null default now(),
        sent_at timestamptz
    )""",
    "create index mails_due_idx on mails (run_at) where status = 'pending'",
    """
    create table cron_runs (
        name text not null,
        due_at timestamptz not null,
        started_at timestamptz not null default now(),
        finished_at timestamptz,
        primary key (name, due_at)
    )""",
    "grant select, insert, update, delete on agencies, tenants, users, memberships, auth_tokens, auth_sessions, "
    "refresh_history, rate_limits, mails, cron_runs to cs_app",
]

TENANCY = [
    *tenant_table(
        "api_keys",
        """
        name text not null,
        scopes text[] not null,
        key_hash bytea not null,
        prefix text not null,
        created_by uuid,
        created_at timestamptz not null default now(),
        last_used_at timestamptz,
        revoked_at timestamptz
        """,
        unique=["key_hash"],
    ),
    *tenant_table(
        "plugin_states",
        """
        plugin text not null,
        granted boolean not null default true,
        -- null: the tenant never decided, the plugin's manifest says
        enabled boolean,
        settings jsonb not null default '{}',
        secrets bytea,
        settings_version int not null default 1,
        state text not null default 'ok',
        problem text,
        changed_at timestamptz not null default now()
        """,
        key="plugin",
    ),
    *tenant_table(
        "audit_log",
        """
        at timestamptz not null default now(),
        actor_user_id uuid,
        actor text not null,
        action text not null,
        subject text not null default '',
        detail jsonb not null default '{}'
        """,
        indexes=["at desc, id desc"],
        grants="select, insert",
    ),
]

TRACKING = [
    *tenant_table(
        "sites",
        """
        public_key text not null,
        name text not null,
        allowed_hosts text[] not null default '{}',
        created_at timestamptz not null default now(),
        revoked_at timestamptz
        """,
        unique=["public_key"],
    ),
    *tenant_table(
        "drop_counts",
        """
        day date not null,
        site_id uuid not null,
        reason text not null,
        hits bigint not null default 0
        """,
        key="day, site_id, reason",
    ),
    # Append-only; the pipeline stamps a row once (session, bot, …). Partitioned by the event's own time, which a retry repeats,
    # so that the key catches a retry across midnight of a month too.
    """
    create table events (
        tenant_id uuid not null,
        event_id uuid not null,
        occurred_at timestamptz not null,
        received_at timestamptz not null default now(),
        site_id uuid not null,
        visitor_id uuid not null,
        type text not null,
        name text,
        url text,
        referrer text,
        title text,
        email text,
        props jsonb,
        user_agent text,
        ip_hash bytea,
        processed_at timestamptz,
        session_id uuid,
        verdict text,
        primary key (tenant_id, event_id, occurred_at)
    ) partition by range (occurred_at)""",
    *secure("events"),
    "create policy ingest_appends on events for insert to cs_ingest with check (true)",
    "create index events_visitor_idx on events (tenant_id, visitor_id, occurred_at)",
    "create index events_time_idx on events (tenant_id, occurred_at)",
    "grant select, update, delete on events to cs_app",
    "grant insert on events to cs_ingest",
    *tenant_table(
        "event_batches",
        """
        event_ids uuid[] not null,
        first_at timestamptz not null,
        last_at timestamptz not null,
        drops jsonb not null default '[]',
        received_at timestamptz not null default now()
        """,
    ),
    "create policy ingest_appends on event_batches for insert to cs_ingest with check (true)",
    "grant insert on event_batches to cs_ingest",
    *tenant_table(
        "visitors",
        """
        first_seen_at timestamptz not null,
        last_seen_at timestamptz not null,
        person_id uuid,
        events bigint not null default 0
        """,
        indexes=["person_id"],
    ),
    *tenant_table(
        "sessions",
        """
        visitor_id uuid not null,
        site_id uuid not null,
        started_at timestamptz not null,
        ended_at timestamptz not null,
        landing_url text,
        pageviews int not null default 0,
        events int not null default 0
        """,
        foreign=[ForeignKey("visitor_id", "visitors")],
        indexes=["visitor_id, started_at", "started_at"],
    ),
    *tenant_table(
        "touches",
        """
        visitor_id uuid not null,
        session_id uuid not null,
        event_id uuid not null,
        occurred_at timestamptz not null,
        channel text not null,
        source text not null,
        medium text not null default '',
        campaign text not null default '',
        content text not null default '',
        term text not null default '',
        click_id_name text not null default '',
        click_id text not null default '',
        referrer text not null default '',
        referrer_host text not null default '',
        landing_url text not null default '',
        landing_path text not null default '',
        is_direct boolean not null default false,
        is_paid boolean not null default false,
        is_opt_in boolean not null default false
        """,
        unique=["event_id"],
        foreign=[ForeignKey("session_id", "sessions"), ForeignKey("visitor_id", "visitors")],
        indexes=["visitor_id, occurred_at", "occurred_at", "session_id"],
    ),
    # Counts the distinct visitors of every source in one pass over the index.
    "create index touches_source_idx on touches (tenant_id, source, visitor_id, occurred_at) include (channel)",
]

IDENTITY = [
    *tenant_table(
        "people",
        """
        email text,
        name text,
        first_seen_at timestamptz not null default now(),
        merged_into uuid
        """,
    ),
    *tenant_table(
        "person_identifiers",
        """
        person_id uuid not null,
        kind text not null check (kind in ('email', 'contact', 'checkout', 'visitor')),
        value_key text not null,
        evidence text not null,
        confidence text not null default 'certain' check (confidence in ('certain', 'probable')),
        first_seen_at timestamptz not null default now()
        """,
        unique=["kind, value_key"],
        foreign=[ForeignKey("person_id", "people")],
        indexes=["person_id"],
    ),
    *tenant_table(
        "merges",
        """
        from_person_id uuid not null,
        into_person_id uuid not null,
        reason text not null,
        moved jsonb not null default '{}',
        merged_at timestamptz not null default now(),
        undone_at timestamptz
        """,
    ),
    "alter table visitors add foreign key (tenant_id, person_id) references people (tenant_id, id) on delete set null (person_id)",
]

CONNECTIONS = [
    *tenant_table(
        "connections",
        """
        platform text not null,
        key_hash bytea not null,
        sealed_key bytea not null,
        account_id text,
        account_name text,
        credentials bytea,
        memo jsonb not null default '{}',
        state text not null default 'connecting'
            check (state in ('connecting', 'ready', 'needs_reauth', 'failing', 'disconnected')),
        problem text,
        webhooks text not null default 'manual' check (webhooks in ('registered', 'manual')),
        last_sync_at timestamptz,
        last_webhook_at timestamptz,
        created_at timestamptz not null default now(),
        disconnected_at timestamptz
        """,
        unique=["key_hash", "platform, account_id"],
    ),
    *tenant_table(
        "inbox",
        """
        connection_id uuid not null,
        delivery_key text not null,
        headers jsonb not null,
        query jsonb not null default '{}',
        body bytea not null,
        received_at timestamptz not null default now(),
        status text not null default 'received' check (status in ('received', 'done', 'ignored', 'quarantined')),
        problem text,
        repeats int not null default 0,
        processed_at timestamptz
        """,
        unique=["connection_id, delivery_key"],
        foreign=[ForeignKey("connection_id", "connections")],
        indexes=["received_at"],
    ),
    *tenant_table(
        "sync_runs",
        """
        connection_id uuid not null,
        status text not null default 'pending' check (status in ('pending', 'running', 'completed', 'failed')),
        since timestamptz not null,
        total int,
        processed int not null default 0,
        matched int not null default 0,
        message text not null default '',
        error text,
        created_at timestamptz not null default now(),
        started_at timestamptz,
        finished_at timestamptz
        """,
        foreign=[ForeignKey("connection_id", "connections")],
        indexes=["connection_id, created_at desc"],
    ),
    *tenant_table(
        "sync_cursors",
        """
        sync_run_id uuid not null,
        stream text not null,
        cursor text,
        done boolean not null default false
        """,
        key="sync_run_id, stream",
        foreign=[ForeignKey("sync_run_id", "sync_runs")],
    ),
    # A consent flow under way: deleted when it comes back, useless after expires_at.
    *tenant_table(
        "consents",
        """
        platform text not null,
        state_hash bytea not null,
        session_id uuid not null,
        user_id uuid not null,
        verifier bytea not null,
        expires_at timestamptz not null
        """,
        unique=["state_hash"],
    ),
]

COMMERCE = [
    *tenant_table(
        "purchases",
        """
        platform text not null,
        connection_id uuid not null,
        person_id uuid,
        currency text not null default '',
        purchased_at timestamptz not null,
        charged_minor bigint not null default 0,
        refunded_minor bigint not null default 0,
        paid_charges int not null default 0,
        product text not null default '',
        email text,
        match text not null default 'unmatched',
        gift_recipient text,
        hints jsonb not null default '{}',
        cancelled_at timestamptz,
        created_at timestamptz not null default now()
        """,
        foreign=[
            ForeignKey("person_id", "people", "set null"),
            ForeignKey("connection_id", "connections", "restrict"),
        ],
        indexes=["purchased_at desc, id desc", "person_id"],
    ),
    # Every id under which the platform knows a purchase: whatever shares a key, in any order of arrival, is one purchase.
    *tenant_table(
        "purchase_keys",
        """
        connection_id uuid not null,
        key text not null,
        purchase_id uuid not null
        """,
        key="connection_id, key",
        foreign=[ForeignKey("purchase_id", "purchases")],
        indexes=["purchase_id"],
    ),
    # What a platform ever said about a purchase besides money, each thing once: the purchase's columns are a fold of these.
    *tenant_table(
        "purchase_facts",
        """
        connection_id uuid not null,
        digest bytea not null,
        purchase_id uuid not null,
        occurred_at timestamptz not null,
        facts jsonb not null
        """,
        key="connection_id, digest",
        foreign=[ForeignKey("purchase_id", "purchases")],
        indexes=["purchase_id"],
    ),
    *tenant_table(
        "purchase_items",
        """
        purchase_id uuid not null,
        external_id text not null,
        title text not null,
        quantity int not null default 1,
        amount_minor bigint
        """,
        unique=["purchase_id, external_id"],
        foreign=[ForeignKey("purchase_id", "purchases")],
    ),
    *tenant_table(
        "charges",
        """
        purchase_id uuid not null,
        connection_id uuid not null,
        external_id text not null,
        kind text not null
            check (kind in ('sale', 'renewal', 'instalment', 'refund', 'dispute', 'dispute_reversal')),
        amount_minor bigint not null,
        currency text not null,
        occurred_at timestamptz not null,
        refund_of text,
        -- of a refund told as "so much in all": that total; its amount is what it adds to the total below it
        refund_total bigint,
        recorded_at timestamptz not null default now(),
        check (case when kind in ('refund', 'dispute') then amount_minor <= 0 else amount_minor >= 0 end)
        """,
        unique=["connection_id, external_id"],
        foreign=[ForeignKey("purchase_id", "purchases"), ForeignKey("connection_id", "connections", "restrict")],
        indexes=["occurred_at", "purchase_id", "connection_id, refund_of"],
    ),
]

ATTRIBUTION = [
    # One row per signed charge, model and touch: a refund carries its own negative credits on its own day, so any period adds up.
    *tenant_table(
        "credits",
        """
        charge_id uuid not null,
        model text not null,
        touch_id uuid not null,
        purchase_id uuid not null,
        weight double precision not null,
        amount_minor bigint not null
        """,
        key="charge_id, model, touch_id",
        foreign=[
            ForeignKey("charge_id", "charges"),
            ForeignKey("touch_id", "touches"),
            ForeignKey("purchase_id", "purchases"),
        ],
        indexes=["purchase_id, model", "touch_id"],
    ),
    # What a model that learns has learnt from the tenant's journeys, or why it has not.
    *tenant_table(
        "fitted_models",
        """
        model text not null,
        fitted jsonb,
        problem text,
        fitted_at timestamptz not null default now()
        """,
        key="model",
    ),
]

JOBS = [
    *tenant_table(
        "outbox",
        """
        kind text not null check (kind in ('event', 'hook', 'job')),
        plugin text not null default '',
        name text not null,
        payload jsonb not null,
        dedupe_key text,
        status text not null default 'pending' check (status in ('pending', 'done', 'dead')),
        run_at timestamptz not null default now(),
        attempts int not null default 0,
        max_attempts int not null default 8,
        lease_token uuid,
        lease_until timestamptz,
        last_error text,
        created_at timestamptz not null default now(),
        done_at timestamptz
        """,
        unique=["dedupe_key"],
        indexes=["status, created_at"],
    ),
    "create index outbox_due_idx on outbox (run_at) where status = 'pending'",
    # SAQ's own tables, as its version 3 makes them; unlogged, because the outbox is the record (coursesignal.jobs.queue).
    """
    create unlogged table saq_jobs (
        key text primary key,
        lock_key serial not null,
        job bytea not null,
        queue text not null,
        status text not null,
        priority smallint not null default 0,
        group_key text,
        scheduled bigint not null default extract(epoch from now()),
        expire_at bigint
    )""",
    "create index saq_jobs_status_queue_group_key_idx on saq_jobs (status, queue, group_key)",
    "create index saq_jobs_status_queue_priority_scheduled_idx on saq_jobs (status, queue, priority, scheduled)",
    """
    create unlogged table saq_stats (
        worker_id text primary key,
        stats jsonb,
        expire_at bigint,
        metadata jsonb,
        queue_key text
    )""",
    "create index saq_stats_expire_at_idx on saq_stats (expire_at)",
    "create index saq_stats_queue_key_idx on saq_stats (queue_key)",
    "grant select, insert, update, delete on saq_jobs, saq_stats to cs_app",
    "grant usage on sequence saq_jobs_lock_key_seq to cs_app",
]

DOORS = [
    # The only ways to look across tenants: definer functions that return ids and nothing else. Each is in the allow-list test.
    *[
        f"create policy owner_looks on {t} for select to cs_owner using (true)"
        for t in ("api_keys", "sites", "connections", "event_batches")
    ],
    "create policy owner_leases on outbox to cs_owner using (true) with check (true)",
    """
    create function door_api_key(hash bytea) returns table (tenant_id uuid, id uuid)
    language sql stable security definer set search_path = pg_catalog, public as
    $$ select k.tenant_id, k.id from public.api_keys k where k.key_hash = hash and k.revoked_at is null $$""",
    "create index api_keys_hash_idx on api_keys (key_hash)",
    """
    create function door_site(key text) returns table (tenant_id uuid, id uuid, allowed_hosts text[])
    language sql stable security definer set search_path = pg_catalog, public as
    $$ select s.tenant_id, s.id, s.allowed_hosts from public.sites s join public.tenants t on t.id = s.tenant_id
       where s.public_key = key and s.revoked_at is null and t.status = 'active' $$""",
    "create index sites_key_idx on sites (public_key)",
    """
    create function door_connection(platform_slug text, hash bytea) returns table (tenant_id uuid, id uuid)
    language sql stable security definer set search_path = pg_catalog, public as
    $$ select c.tenant_id, c.id from public.connections c join public.tenants t on t.id = c.tenant_id
       where c.key_hash = hash and c.platform = platform_slug and c.state not in ('connecting', 'disconnected')
         and t.status = 'active' $$""",
    "create index connections_hash_idx on connections (key_hash)",
    """
    create function door_tenants_with_events(how_many int) returns table (tenant_id uuid)
    language sql stable security definer set search_path = pg_catalog, public as
    $$ select distinct b.tenant_id from public.event_batches b limit how_many $$""",
    """
    create function door_lease_outbox(how_many int, lease_s double precision)
    returns table (tenant_id uuid, id uuid, lease_token uuid)
    language sql volatile security definer set search_path = pg_catalog, public as
    $$ update public.outbox o
       set lease_token = gen_random_uuid(), lease_until = clock_timestamp() + make_interval(secs => lease_s)
       from (
           select d.tenant_id, d.id from public.outbox d
           where d.status = 'pending' and d.run_at <= clock_timestamp()
             and (d.lease_until is null or d.lease_until < clock_timestamp())
           order by d.run_at limit how_many for update skip locked
       ) due
       where o.tenant_id = due.tenant_id and o.id = due.id
       returning o.tenant_id, o.id, o.lease_token $$""",
    *[
        statement
        for signature, roles in (
            ("door_api_key(bytea)", "cs_app"),
            ("door_site(text)", "cs_app, cs_ingest"),
            ("door_connection(text, bytea)", "cs_app"),
            ("door_tenants_with_events(int)", "cs_app"),
            ("door_lease_outbox(int, double precision)", "cs_app"),
        )
        for statement in (
            f"revoke all on function {signature} from public",
            f"grant execute on function {signature} to {roles}",
        )
    ],
]

PARTITIONS = [
    # A month's partition of events, closed to every role: reached through the parent only.
    """
    create function ensure_event_partition(month date) returns void language plpgsql
    security definer set search_path = pg_catalog, public as $$
    declare
        first date := date_trunc('month', month)::date;
        part text := 'events_' || to_char(month, 'YYYY_MM');
    begin
        if to_regclass('public.' || part) is not null then return; end if;
        perform pg_advisory_xact_lock(hashtext('coursesignal-partition'));
        if to_regclass('public.' || part) is not null then return; end if;
        execute format('create table public.%I (like public.events including defaults including constraints) with (fillfactor = 80)', part);
        execute format('alter table public.%I enable row level security', part);
        execute format('alter table public.%I force row level security', part);
        execute format('create policy tenant_isolation on public.%I using (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::uuid)', part);
        execute format('alter table public.events attach partition public.%I for values from (%L) to (%L)',
            part, first::timestamptz, (first + interval '1 month')::timestamptz);
    end $$""",
    "revoke all on function ensure_event_partition(date) from public",
    "grant execute on function ensure_event_partition(date) to cs_app",
    # Rows outside every month's partition are kept, not refused.
    "create table events_default partition of events default",
    *secure("events_default"),
    "select ensure_event_partition((date_trunc('month', now()) + make_interval(months => n))::date) from generate_series(-4, 2) n",
]

TABLES = [
    "saq_stats",
    "saq_jobs",
    "outbox",
    "fitted_models",
    "credits",
    "charges",
    "purchase_items",
    "purchase_facts",
    "purchase_keys",
    "purchases",
    "consents",
    "sync_cursors",
    "sync_runs",
    "inbox",
    "connections",
    "merges",
    "person_identifiers",
    "touches",
    "sessions",
    "visitors",
    "people",
    "event_batches",
    "events",
    "drop_counts",
    "sites",
    "audit_log",
    "plugin_states",
    "api_keys",
    "cron_runs",
    "mails",
    "rate_limits",
    "refresh_history",
    "auth_sessions",
    "auth_tokens",
    "memberships",
    "users",
    "tenants",
    "agencies",
]
FUNCTIONS = [
    "door_api_key",
    "door_site",
    "door_connection",
    "door_tenants_with_events",
    "door_lease_outbox",
    "ensure_event_partition",
]

UP = [
    "set local timezone = 'UTC'",
    *CONTROL, *TENANCY, *TRACKING, *IDENTITY, *CONNECTIONS, *COMMERCE, *ATTRIBUTION, *JOBS, *DOORS, *PARTITIONS,
]  # fmt: skip
DOWN = [*(f"drop function if exists {name}" for name in FUNCTIONS), *(f"drop table {name} cascade" for name in TABLES)]


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
