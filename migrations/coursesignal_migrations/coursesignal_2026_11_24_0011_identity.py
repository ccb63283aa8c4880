"""Sales that fit a browser at the checkout, mailboxes with several spellings, and addresses that were put right."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from coursesignal.db.ddl import ForeignKey, migration, tenant_table

ID = "2026-11-24T04:00:00:000011"
VERSION = "1.38.0"
DESCRIPTION = "Probable sales, aliases, corrections"

KINDS = "alter table person_identifiers add constraint person_identifiers_kind_check check (kind in ({}))"
DROP_KINDS = "alter table person_identifiers drop constraint person_identifiers_kind_check"

UP = [
    # Of a network's address and a browser, by the first event; null where neither is kept.
    "alter table sessions add column fingerprint bytea",
    "alter table tenants add column fallback_match boolean not null default true",
    # Patterns of addresses; empty: those that come with CourseSignal.
    "alter table tenants add column checkout_pages text[] not null default '{}'",
    "alter table tenants add column email_aliases boolean not null default false",
    # A purchase with match = 'probable' is credited by these browsers' visits, and nobody is merged for it.
    *tenant_table(
        "probable_visitors",
        """
        purchase_id uuid not null,
        visitor_id uuid not null
        """,
        key="purchase_id, visitor_id",
        foreign=[ForeignKey("purchase_id", "purchases"), ForeignKey("visitor_id", "visitors")],
        indexes=["visitor_id"],
    ),
    "alter table purchases add column corrected_email text",
    DROP_KINDS,
    KINDS.format("'email', 'mailbox', 'contact', 'checkout', 'visitor'"),
]
DOWN = [
    "delete from person_identifiers where kind = 'mailbox'",
    DROP_KINDS,
    KINDS.format("'email', 'contact', 'checkout', 'visitor'"),
    "alter table purchases drop column corrected_email",
    "drop table probable_visitors",
    "alter table tenants drop column email_aliases",
    "alter table tenants drop column checkout_pages",
    "alter table tenants drop column fallback_match",
    "alter table sessions drop column fingerprint",
]


async def forwards() -> MigrationManager:
    return migration("coursesignal", ID, DESCRIPTION, up=UP, down=DOWN)
