"""What plugins show the world: links to one thing of a tenant, and notices of all tenants that agreed."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import ForeignKey, migration, tenant_table

ID = "2026-11-23T21:00:00:000017"
VERSION = "1.38.0"
DESCRIPTION = "Shares"

UP = [
    *tenant_table(
        "share_links",
        """
        plugin text not null,
        subject text not null,
        token_hash bytea not null,
        password_hash text,
        expires_at timestamptz,
        created_at timestamptz not null default clock_timestamp(),
        revoked_at timestamptz
        """,
        unique=["token_hash"],
        indexes=["plugin, subject, created_at desc"],
    ),
    # How often, never by whom.
    *tenant_table(
        "share_views",
        """
        share_id uuid not null,
        day date not null,
        views bigint not null default 0,
        last_at timestamptz not null default now()
        """,
        key="share_id, day",
        foreign=[ForeignKey("share_id", "share_links")],
    ),
    # What a tenant let a plugin say in public.
    *tenant_table(
        "notices",
        """
        plugin text not null,
        board text not null,
        key text not null,
        body jsonb not null,
        ranked_at timestamptz not null default now()
        """,
        key="plugin, board, key",
    ),
    *[
        f"create policy owner_looks on {table} for select to cs_owner using (true)"
        for table in ("share_links", "notices", "plugin_states")
    ],
    "create index share_links_hash_idx on share_links (token_hash)",
    "create index notices_board_idx on notices (plugin, board, ranked_at desc)",
    """
    create function door_share(plugin_slug text, hash bytea) returns table (tenant_id uuid, id uuid)
    language sql stable security definer set search_path = pg_catalog, public as
    $$ select l.tenant_id, l.id from public.share_links l join public.tenants t on t.id = l.tenant_id
       where l.token_hash = hash and l.plugin = plugin_slug and l.revoked_at is null and t.status = 'active' $$""",
    # Notices of tenants that have all of ``needed`` on; ``defaults`` say what those have that never decided.
    """
    create function door_notices(
        plugin_slug text, board_name text, only_of uuid, needed text[], defaults text[], how_many int)
    returns table (body jsonb, ranked_at timestamptz)
    language sql stable security definer set search_path = pg_catalog, public as
    $$ select n.body, n.ranked_at from public.notices n join public.tenants t on t.id = n.tenant_id
       where n.plugin = plugin_slug and n.board = board_name and t.status = 'active' and (only_of is null or n.tenant_id = only_of)
         and not exists (
           select 1 from unnest(needed, defaults) as w (plugin, by_default)
           left join public.plugin_states s on s.tenant_id = n.tenant_id and s.plugin = w.plugin
           where not (coalesce(s.granted, true)
                      and (w.by_default = 'always' or coalesce(s.enabled, w.by_default = 'on')))
         )
       order by n.ranked_at desc, n.tenant_id, n.key limit how_many $$""",
    *[
        statement
        for signature in ("door_share(text, bytea)", "door_notices(text, text, uuid, text[], text[], int)")
        for statement in (
            f"revoke all on function {signature} from public",
            f"grant execute on function {signature} to cs_app",
        )
    ],
]
DOWN = [
    "drop function door_notices(text, text, uuid, text[], text[], int)",
    "drop function door_share(text, bytea)",
    "drop policy owner_looks on plugin_states",
    "drop table notices",
    "drop table share_views",
    "drop table share_links",
]


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
