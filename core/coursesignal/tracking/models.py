"""The tables of this area as Piccolo classes. Their keys are composite, tenant first; Piccolo knows the last part only."""

from __future__ import annotations

from piccolo.columns import UUID, Array, BigInt, Boolean, Bytea, Date, Integer, Text, Timestamptz
from piccolo.columns.column_types import JSONB
from piccolo.table import Table

from coursesignal.db.engine import ENGINE


class Site(Table, tablename="sites", db=ENGINE):
    """A website with its public key."""

    id = UUID(primary_key=True)
    tenant_id = UUID()
    public_key = Text()
    name = Text()
    allowed_hosts = Array(base_column=Text())
    linked_hosts = Array(base_column=Text())
    consent_first = Boolean()
    cookieless = Boolean()
    outbound_links = Boolean()
    form_emails = Boolean()
    created_at = Timestamptz()
    revoked_at = Timestamptz(null=True, default=None)


class DropCount(Table, tablename="drop_counts", db=ENGINE):
    """How many events of a day were refused, by reason."""

    tenant_id = UUID()
    day = Date()
    site_id = UUID()
    reason = Text(primary_key=True)
    hits = BigInt()


class StoredEvent(Table, tablename="events", db=ENGINE):
    """An event as it came, stamped once by the pipeline; partitioned by month."""

    tenant_id = UUID()
    event_id = UUID(primary_key=True)
    occurred_at = Timestamptz()
    received_at = Timestamptz()
    site_id = UUID()
    visitor_id = UUID()
    type = Text()
    name = Text(null=True, default=None)
    url = Text(null=True, default=None)
    referrer = Text(null=True, default=None)
    title = Text(null=True, default=None)
    email = Text(null=True, default=None)
    props = JSONB(null=True, default=None)
    user_agent = Text(null=True, default=None)
    ip_hash = Bytea(null=True, default=None)
    country = Text(null=True, default=None)
    hosted = Boolean(null=True, default=None)
    processed_at = Timestamptz(null=True, default=None)
    session_id = UUID(null=True, default=None)
    verdict = Text(null=True, default=None)


class EventBatch(Table, tablename="event_batches", db=ENGINE):
    """One commit of collect, waiting for the pipeline."""

    id = UUID(primary_key=True)
    tenant_id = UUID()
    event_ids = Array(base_column=UUID())
    first_at = Timestamptz()
    last_at = Timestamptz()
    drops = JSONB(default=list)
    received_at = Timestamptz()


class Visitor(Table, tablename="visitors", db=ENGINE):
    """A browser, known by the id it made."""

    id = UUID(primary_key=True)
    tenant_id = UUID()
    first_seen_at = Timestamptz()
    last_seen_at = Timestamptz()
    person_id = UUID(null=True, default=None)
    events = BigInt()


class VisitorSession(Table, tablename="sessions", db=ENGINE):
    """A visit: a visitor's events with no gap above 30 minutes."""

    id = UUID(primary_key=True)
    tenant_id = UUID()
    visitor_id = UUID()
    site_id = UUID()
    started_at = Timestamptz()
    ended_at = Timestamptz()
    landing_url = Text(null=True, default=None)
    pageviews = Integer()
    events = Integer()
    device = Text()
    browser = Text()
    system = Text()
    country = Text()


class StoredTouch(Table, tablename="touches", db=ENGINE):
    """A moment that says where a visitor came from; its id is its event's."""

    id = UUID(primary_key=True)
    tenant_id = UUID()
    visitor_id = UUID()
    session_id = UUID()
    event_id = UUID()
    occurred_at = Timestamptz()
    channel = Text()
    source = Text()
    medium = Text()
    campaign = Text()
    content = Text()
    term = Text()
    click_id_name = Text()
    click_id = Text()
    referrer = Text()
    referrer_host = Text()
    landing_url = Text()
    landing_path = Text()
    is_direct = Boolean()
    is_paid = Boolean()
    is_opt_in = Boolean()
