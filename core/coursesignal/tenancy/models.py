"""The tables of this area as Piccolo classes. A tenant table's key is composite, tenant first; Piccolo knows the last part."""

from __future__ import annotations

from piccolo.columns import UUID, Array, Bytea, Integer, Text, Timestamptz
from piccolo.columns.column_types import JSONB
from piccolo.table import Table

from coursesignal.db.engine import ENGINE


class AgencyRow(Table, tablename="agencies", db=ENGINE):
    """Who owns tenants and says which plugins each may use."""

    id = UUID(primary_key=True)
    slug = Text()
    name = Text()
    created_at = Timestamptz()


class TenantRow(Table, tablename="tenants", db=ENGINE):
    """A business with its settings."""

    id = UUID(primary_key=True)
    slug = Text()
    name = Text()
    agency_id = UUID(null=True, default=None)
    time_zone = Text()
    currency = Text()
    default_model = Text()
    lookback_days = Integer()
    status = Text()
    created_at = Timestamptz()


class ApiKeyRow(Table, tablename="api_keys", db=ENGINE):
    """A key of a tenant, by its hash."""

    id = UUID(primary_key=True)
    tenant_id = UUID()
    name = Text()
    scopes = Array(base_column=Text())
    key_hash = Bytea()
    prefix = Text()
    created_by = UUID(null=True, default=None)
    created_at = Timestamptz()
    last_used_at = Timestamptz(null=True, default=None)
    revoked_at = Timestamptz(null=True, default=None)


class AuditRow(Table, tablename="audit_log", db=ENGINE):
    """Who did what; only ever added to."""

    id = UUID(primary_key=True)
    tenant_id = UUID()
    at = Timestamptz()
    actor_user_id = UUID(null=True, default=None)
    actor = Text()
    action = Text()
    subject = Text()
    detail = JSONB()
