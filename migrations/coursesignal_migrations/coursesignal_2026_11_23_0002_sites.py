"""A site's privacy modes and linked domains; the salts of cookieless days; visitors that turned out to be one browser's."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import migration, tenant_table

ID = "2026-11-23T21:00:00:000002"
VERSION = "1.38.0"
DESCRIPTION = "Sites"

FLAGS = ("consent_first", "cookieless", "outbound_links", "form_emails")


def door_site(columns: str, values: str) -> list[str]:
    """The function through which collect finds a site by its key, answering ``columns``."""
    return [
        "drop function door_site(text)",
        f"""
        create function door_site(key text) returns table (tenant_id uuid, id uuid, {columns})
        language sql stable security definer set search_path = pg_catalog, public as
        $$ select s.tenant_id, s.id, {values} from public.sites s join public.tenants t on t.id = s.tenant_id
           where s.public_key = key and s.revoked_at is null and t.status = 'active' $$""",  # noqa: S608
        "revoke all on function door_site(text) from public",
        "grant execute on function door_site(text) to cs_app, cs_ingest",
    ]


UP = [
    *(f"alter table sites add column {flag} boolean not null default false" for flag in FLAGS),
    # Other domains of the same business: links to them carry the visitor.
    "alter table sites add column linked_hosts text[] not null default '{}'",
    *door_site(
        "allowed_hosts text[], linked_hosts text[], cookieless boolean",
        # Whoever restricts a site to hosts does not mean to lock out the domains it links to.
        "case when s.allowed_hosts = '{}' then '{}' else s.allowed_hosts || s.linked_hosts end, s.linked_hosts, s.cookieless",
    ),
    # One random salt a day for the whole installation: without it nothing leads from a visitor back to an address.
    """
    create table cookieless_salts (
        day date primary key,
        salt bytea not null,
        made_at timestamptz not null default now()
    )""",
    "grant select, insert, delete on cookieless_salts to cs_app",
    # A browser that was known on the domain it came to, and carried another id there from the domain it left.
    *tenant_table(
        "visitor_links",
        """
        from_visitor_id uuid not null,
        to_visitor_id uuid not null,
        linked_at timestamptz not null default now()
        """,
        key="from_visitor_id, to_visitor_id",
        indexes=["to_visitor_id"],
    ),
]
DOWN = [
    "drop table visitor_links cascade",
    "drop table cookieless_salts",
    *door_site("allowed_hosts text[]", "s.allowed_hosts"),
    "alter table sites drop column linked_hosts",
    *(f"alter table sites drop column {flag}" for flag in FLAGS),
]


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
