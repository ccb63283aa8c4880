"""Tombstones outside the database: kept beside its backups, they erase again what a restore brought back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from coursesignal.connections.house import House
from coursesignal.db.engine import Database
from coursesignal.errors import Invalid
from coursesignal.privacy.tasks import erase


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tombstone as a line of a file: hashes, which name nobody without the installation's keys."""

    tenant: UUID
    erasure: UUID
    email_hash: bytes
    key_hash: bytes
    requested_at: datetime


async def tombstones(db: Database) -> Sequence[Kept]:
    """Every tombstone of every tenant that is in force."""
    found: list[Kept] = []
    for tenant_id in await tenants(db):
        async with db.tenant(tenant_id) as conn:
            rows = await conn.fetch(
                "select e.id as erasure, e.email_hash, k.key_hash, e.requested_at from erasures e "
                "join erased_keys k on k.tenant_id = e.tenant_id and k.erasure_id = e.id "
                "where e.tenant_id = $1 order by e.id",
                tenant_id,
            )
        found += [Kept(tenant=tenant_id, **row) for row in rows]
    return found


def read(lines: Iterable[str]) -> Sequence[Kept]:
    """The tombstones of a file; raises Invalid naming the line that is none."""
    found: list[Kept] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(msgspec.json.decode(line, type=Kept))
            except (msgspec.DecodeError, ValueError) as error:
                raise Invalid(f"Line {number} is no tombstone: {error}") from None
    return found


async def put_back(db: Database, kept: Sequence[Kept]) -> int:
    """Add tombstones the database does not have; returns how many. Those of tenants that are not there are left out."""
    known, added = frozenset(await tenants(db)), 0
    for one in kept:
        if one.tenant not in known:
            continue
        async with db.tenant(one.tenant) as conn:
            erasure_id = await conn.fetchval(
                "insert into erasures (tenant_id, id, email_hash, requested_at) values ($1, $2, $3, $4) "
                "on conflict (tenant_id, email_hash) do update set status = 'pending', lifted_at = null returning id",
                one.tenant, one.erasure, one.email_hash, one.requested_at,
            )  # fmt: skip
            done = await conn.execute(
                "insert into erased_keys (tenant_id, key_hash, erasure_id) values ($1, $2, $3) on conflict do nothing",
                one.tenant, one.key_hash, erasure_id,
            )  # fmt: skip
            added += int(done.rpartition(" ")[2])
    return added


async def reapply(parts: House) -> dict[UUID, dict[str, int]]:
    """Erase everybody with a tombstone again, in every tenant; returns what changed, by tenant."""
    changed: dict[UUID, dict[str, int]] = {}
    for tenant_id in await tenants(parts.db):
        counts = await erase(parts, tenant_id)
        if counts:
            changed[tenant_id] = counts
        async with parts.db.tenant(tenant_id) as conn:
            await conn.execute(
                "update erasures set status = 'done', finished_at = now() where tenant_id = $1 and status = 'pending'",
                tenant_id,
            )
    return changed


async def tenants(db: Database) -> Sequence[UUID]:
    async with db.control() as conn:
        return [row["id"] for row in await conn.fetch("select id from tenants order by id")]
