"""Tenants as files: ``tenants/<slug>/tenant.toml`` says what a tenant should be, and applying the files makes it so.

Applying twice changes nothing the second time, and a tenant without a file is left alone. People, sites and credentials are not
in files: they belong to the tenant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.db.engine import Database
from coursesignal.errors import ConfigurationError, Invalid
from coursesignal.tenancy import agencies, audit, grants, tenants
from coursesignal.tenancy.schemas import AgencyIn, Days, Grant, TenantChange, TenantIn

FILE = "tenant.toml"


class TenantFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The desired state of one tenant. What is not said is left as it is; a new tenant starts with the defaults."""

    name: str
    agency: str | None = None
    """Slug of the agency that owns a new tenant; founded when there is none."""
    currency: str | None = None
    time_zone: str | None = None
    lookback_days: Days | None = None
    default_model: str | None = None
    plugins: Mapping[str, bool] = {}
    """Which plugins the tenant may use; one not named may be used."""


def read(directory: Path) -> Mapping[str, TenantFile]:
    """Every file by slug, none when there is no such directory; raises ConfigurationError naming a bad one."""
    return {path.parent.name: _read(path) for path in sorted(directory.glob(f"*/{FILE}"))}


def _read(path: Path) -> TenantFile:
    try:
        return msgspec.toml.decode(path.read_bytes(), type=TenantFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


async def apply(
    db: Database, files: Mapping[str, TenantFile], plugins: grants.Plugins, models: Collection[str]
) -> Mapping[str, str]:
    """Open the tenants that are missing and bring the others in line; returns "opened", "changed" or "unchanged" by slug."""
    done: dict[str, str] = {}
    for slug, file in files.items():
        try:
            done[slug] = await _apply(db, slug, file, plugins, models)
        except Invalid as error:
            reasons = "; ".join(f"{problem.path}: {problem.message}" for problem in error.errors)
            raise ConfigurationError(f"tenants/{slug}/{FILE}: {reasons}") from error
    return done


async def _apply(db: Database, slug: str, file: TenantFile, plugins: grants.Plugins, models: Collection[str]) -> str:
    wanted = [Grant(plugin=plugin, granted=granted) for plugin, granted in file.plugins.items()]
    grants.check(wanted, plugins)
    async with db.control() as conn:
        tenant_id: UUID | None = await conn.fetchval("select id from tenants where slug = $1", slug)
    is_new = tenant_id is None
    if tenant_id is None:
        tenant_id = await _open(db, slug, file)
    async with db.tenant(tenant_id) as conn:
        before = await _state(conn, tenant_id)
        await tenants.change(conn, audit.OPERATOR, tenant_id, _difference(file, before), models)
        await grants.write(conn, audit.OPERATOR, tenant_id, wanted)
        after = await _state(conn, tenant_id)
    return "opened" if is_new else "changed" if after != before else "unchanged"


async def _open(db: Database, slug: str, file: TenantFile) -> UUID:
    facts = {name: value for name in ("currency", "time_zone") if (value := getattr(file, name)) is not None}
    wanted = TenantIn(name=file.name, slug=slug, **facts)
    tenants.check(wanted)
    agency_id = await ensure_agency(db, file.agency) if file.agency else None
    return await tenants.create(db, audit.OPERATOR, wanted, agency_id=agency_id)


async def ensure_agency(db: Database, slug: str) -> UUID:
    """The agency of that slug; a new one, named like it, when there is none."""
    async with db.control() as conn:
        known: UUID | None = await conn.fetchval("select id from agencies where slug = $1", slug)
    if known is not None:
        return known
    return (await agencies.create(db, AgencyIn(name=slug.replace("-", " ").title(), slug=slug), None)).id


def _difference(file: TenantFile, before: Mapping[str, object]) -> TenantChange:
    fields = ("name", "currency", "time_zone", "lookback_days", "default_model")
    wanted = {name: value for name in fields if (value := getattr(file, name)) not in (None, before[name])}
    return TenantChange(**wanted)


async def _state(conn: asyncpg.Connection, tenant_id: UUID) -> Mapping[str, object]:
    row = await conn.fetchrow(
        """
        select name, currency, time_zone, lookback_days, default_model,
            (select array_agg(plugin || ' ' || granted order by plugin) from plugin_states where tenant_id = id) as granted
        from tenants where id = $1
        """,
        tenant_id,
    )
    return dict(row)
