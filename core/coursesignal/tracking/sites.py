"""A tenant's websites: their public keys and the hosts they take events from."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from coursesignal.auth.callers import Caller
from coursesignal.errors import FieldError, Invalid, NotFound
from coursesignal.tenancy import audit
from coursesignal.tracking.batch import Connection
from coursesignal.tracking.schemas import SiteChange, SiteIn, SiteOut

KEY_BYTES = 18
FLAGS = ("consent_first", "cookieless", "outbound_links", "form_emails")
_COLUMNS = f"id, name, public_key, allowed_hosts, linked_hosts, {', '.join(FLAGS)}, created_at, revoked_at"
_LIST = f"select {_COLUMNS} from sites where tenant_id = $1 order by created_at, id"  # noqa: S608
_ADD = f"""
insert into sites (tenant_id, public_key, name, allowed_hosts, linked_hosts, {", ".join(FLAGS)})
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
returning {_COLUMNS}
"""  # noqa: S608
_CHANGE = f"""
update sites set name = coalesce($3, name), public_key = coalesce($4, public_key),
    allowed_hosts = coalesce($5, allowed_hosts), linked_hosts = coalesce($6, linked_hosts),
    consent_first = coalesce($7, consent_first), cookieless = coalesce($8, cookieless),
    outbound_links = coalesce($9, outbound_links), form_emails = coalesce($10, form_emails)
where tenant_id = $1 and id = $2 and revoked_at is null
returning {_COLUMNS}
"""  # noqa: S608
_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


async def list_sites(conn: Connection, tenant_id: UUID) -> list[SiteOut]:
    """Every site of the tenant, oldest first, revoked ones too."""
    rows = await conn.fetch(_LIST, tenant_id)
    return [SiteOut(*row) for row in rows]


async def find_site(conn: Connection, tenant_id: UUID, site_id: UUID) -> SiteOut:
    """One of the tenant's sites; raises NotFound for one that is revoked too."""
    for site in await list_sites(conn, tenant_id):
        if site.id == site_id and site.revoked_at is None:
            return site
    raise NotFound


async def default_site(conn: Connection, tenant_id: UUID) -> SiteOut:
    """The tenant's oldest active site; made now when there is none, once however many ask."""
    await conn.execute("select pg_advisory_xact_lock(hashtextextended('site of ' || $1::text, 0))", str(tenant_id))
    for site in await list_sites(conn, tenant_id):
        if site.revoked_at is None:
            return site
    return await _insert(conn, tenant_id, SiteIn("My website"))


async def add_site(conn: Connection, tenant_id: UUID, caller: Caller, wanted: SiteIn) -> SiteOut:
    """A new site with a key of its own; raises Invalid for what is no host name."""
    site = await _insert(conn, tenant_id, wanted)
    await audit.record(conn, tenant_id, caller, "site.added", site.name, _told(wanted))
    return site


async def change_site(conn: Connection, tenant_id: UUID, caller: Caller, site_id: UUID, change: SiteChange) -> SiteOut:
    """Apply what ``change`` names; an old key ends within seconds. Raises NotFound and Invalid."""
    row = await conn.fetchrow(
        _CHANGE,
        tenant_id,
        site_id,
        None if change.name is UNSET else change.name,
        new_key() if change.rotate_key else None,
        None if change.allowed_hosts is UNSET else host_names(change.allowed_hosts),
        None if change.linked_hosts is UNSET else host_names(change.linked_hosts, "linkedHosts"),
        *(None if (flag := getattr(change, name)) is UNSET else flag for name in FLAGS),
    )
    if row is None:
        raise NotFound
    site = SiteOut(*row)
    await audit.record(conn, tenant_id, caller, "site.changed", site.name, _told(change))
    return site


async def revoke_site(conn: Connection, tenant_id: UUID, caller: Caller, site_id: UUID) -> None:
    """End a site's key within seconds; what it brought stays. Raises NotFound."""
    name = await conn.fetchval(
        "update sites set revoked_at = coalesce(revoked_at, now()) where tenant_id = $1 and id = $2 returning name",
        tenant_id,
        site_id,
    )
    if name is None:
        raise NotFound
    await audit.record(conn, tenant_id, caller, "site.revoked", name, {"id": str(site_id)})


async def _insert(conn: Connection, tenant_id: UUID, wanted: SiteIn) -> SiteOut:
    row = await conn.fetchrow(
        _ADD,
        tenant_id,
        new_key(),
        wanted.name,
        host_names(wanted.allowed_hosts),
        host_names(wanted.linked_hosts, "linkedHosts"),
        *(getattr(wanted, name) for name in FLAGS),
    )
    return SiteOut(*row)


def _told(wanted: SiteIn | SiteChange) -> dict[str, Any]:
    """What a request named, as it named it."""
    told: dict[str, Any] = msgspec.to_builtins(wanted)
    return told


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
