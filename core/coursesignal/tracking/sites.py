"""A tenant's websites: their public keys and the hosts they take events from."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from uuid import UUID

from msgspec import UNSET

from coursesignal.errors import FieldError, Invalid, NotFound
from coursesignal.tracking.batch import Connection
from coursesignal.tracking.schemas import SiteChange, SiteIn, SiteOut

KEY_BYTES = 18
_LIST = """
select id, name, public_key, allowed_hosts, created_at, revoked_at from sites where tenant_id = $1 order by created_at, id
"""
_ADD = """
insert into sites (tenant_id, public_key, name, allowed_hosts) values ($1, $2, $3, $4)
returning id, name, public_key, allowed_hosts, created_at, revoked_at
"""
_CHANGE = """
update sites set name = coalesce($3, name), allowed_hosts = coalesce($4, allowed_hosts), public_key = coalesce($5, public_key)
where tenant_id = $1 and id = $2 and revoked_at is null
returning id, name, public_key, allowed_hosts, created_at, revoked_at
"""
_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


async def list_sites(conn: Connection, tenant_id: UUID) -> list[SiteOut]:
    """Every site of the tenant, oldest first, revoked ones too."""
    rows = await conn.fetch(_LIST, tenant_id)
    return [SiteOut(*row) for row in rows]


async def default_site(conn: Connection, tenant_id: UUID) -> SiteOut:
    """The tenant's oldest active site; made now when there is none, once however many ask."""
    await conn.execute("select pg_advisory_xact_lock(hashtextextended('site of ' || $1::text, 0))", str(tenant_id))
    for site in await list_sites(conn, tenant_id):
        if site.revoked_at is None:
            return site
    return await add_site(conn, tenant_id, SiteIn("My website"))


async def add_site(conn: Connection, tenant_id: UUID, wanted: SiteIn) -> SiteOut:
    """A new site with a key of its own; raises Invalid for what is no host name."""
    row = await conn.fetchrow(
        _ADD,
        tenant_id,
        new_key(),
        wanted.name,
        host_names(wanted.allowed_hosts),
    )
    return SiteOut(*row)


async def change_site(conn: Connection, tenant_id: UUID, site_id: UUID, change: SiteChange) -> SiteOut:
    """Apply what ``change`` names; an old key ends within seconds. Raises NotFound and Invalid."""
    row = await conn.fetchrow(
        _CHANGE,
        tenant_id,
        site_id,
        None if change.name is UNSET else change.name,
        None if change.allowed_hosts is UNSET else host_names(change.allowed_hosts),
        new_key() if change.rotate_key else None,
    )
    if row is None:
        raise NotFound
    return SiteOut(*row)


async def revoke_site(conn: Connection, tenant_id: UUID, site_id: UUID) -> None:
    """End a site's key within seconds; what it brought stays. Raises NotFound."""
    done = await conn.fetchval(
        "update sites set revoked_at = coalesce(revoked_at, now()) where tenant_id = $1 and id = $2 returning id",
        tenant_id,
        site_id,
    )
    if done is None:
        raise NotFound


def new_key() -> str:
    """A site key: 144 random bits, which say nothing about the tenant."""
    return secrets.token_urlsafe(KEY_BYTES)


def host_names(given: Sequence[str], field: str = "allowedHosts") -> list[str]:
    """The host names in lower case, each once; raises Invalid naming the entries of ``field`` that are none."""
    names = [name.strip().lower().rstrip(".") for name in given]
    errors = [
        FieldError(f"{field}.{number}", f"Write a host name such as shop.example.com, not {name[:100]!r}.")
        for number, name in enumerate(names)
        if not _HOST.fullmatch(name)
    ]
    if errors:
        raise Invalid(errors=errors)
    return list(dict.fromkeys(names))
