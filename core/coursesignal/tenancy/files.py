"""Tenants as files: ``tenants/<slug>/tenant.toml`` says what a tenant should be, and applying the files makes it so.

Applying twice changes nothing the second time, and a tenant without a file is left alone. People, sites and credentials are not
in files: they belong to the tenant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec
from msgspec.structs import fields

from coursesignal.db.engine import Database
from coursesignal.errors import ConfigurationError, Invalid
from coursesignal.tenancy import agencies, audit, grants, tenants
from coursesignal.tenancy.keeping import RetentionDays, keep_for
from coursesignal.tenancy.schemas import AgencyIn, Grant, TenantChange, TenantIn

FILE = "tenant.toml"
Kept = RetentionDays | Literal["forever"] | None
SETTINGS = tuple(field.name for field in fields(TenantChange) if field.name != "slug")
"""What a file may set, spelled as in the database: all that PATCH /api/tenants/{slug} takes. The slug is the folder's name."""


class TenantFile(msgspec.Struct, frozen=True, kw_only=True):
    """The desired state of one tenant. What is not said is left as it is; a new tenant starts with the defaults."""

    name: str
    settings: TenantChange
    agency: str | None = None
    """Slug of the agency that owns a new tenant; founded when there is none."""
    retention_days: Kept = None
    plugins: Mapping[str, bool] = {}
    """Which plugins the tenant may use; one not named may be used."""


_Beside = msgspec.defstruct(
    "_Beside",
    [("agency", str | None, None), ("retention_days", Kept, None), ("plugins", Mapping[str, bool], {})],
    frozen=True,
)
_Said = msgspec.defstruct(
    "_Said",
    [(field.name, field.type, None) for field in fields(TenantChange) if field.name in SETTINGS],
    bases=(_Beside,),
    forbid_unknown_fields=True,
    frozen=True,
)
"""A file as it is written: the settings with the database's spelling, beside what is no setting of the API's."""


def read(directory: Path) -> Mapping[str, TenantFile]:
    """Every file by slug, none when there is no such directory; raises ConfigurationError naming a bad one."""
    return {path.parent.name: _read(path) for path in sorted(directory.glob(f"*/{FILE}"))}


def _read(path: Path) -> TenantFile:
    try:
        said = msgspec.structs.asdict(msgspec.toml.decode(path.read_bytes(), type=_Said))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    settings = TenantChange(**{name: said.pop(name) for name in SETTINGS})
    if settings.name is None:
        raise ConfigurationError(f'{path}: give the tenant a name: name = "…".')
    return TenantFile(name=settings.name, settings=settings, **said)


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
        if file.retention_days is not None:
            days = file.retention_days if isinstance(file.retention_days, int) else None
            await keep_for(conn, audit.OPERATOR, tenant_id, days)
        after = await _state(conn, tenant_id)
    return "opened" if is_new else "changed" if after != before else "unchanged"


async def _open(db: Database, slug: str, file: TenantFile) -> UUID:
    facts = {name: value for name in ("currency", "time_zone") if (value := getattr(file.settings, name)) is not None}
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
    wanted = {name: value for name in SETTINGS if (value := getattr(file.settings, name)) not in (None, before[name])}
    return TenantChange(**wanted)


async def _state(conn: asyncpg.Connection, tenant_id: UUID) -> Mapping[str, object]:
    """What a file can change, as it is now."""
    granted = "select array_agg(plugin || ' ' || granted order by plugin) from plugin_states where tenant_id = $1"
    columns = ", ".join(SETTINGS)  # fields of TenantChange
    row = await conn.fetchrow(
        f"select {columns}, retention_days, ({granted}) as granted from tenants where id = $1",  # noqa: S608
        tenant_id,
    )
    return dict(row)
