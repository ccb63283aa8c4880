"""Addresses of one mailbox, where a tenant takes them for one person's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import asyncpg

from coursesignal.identity.sightings import Sighting


async def are_one(conn: asyncpg.Connection, tenant_id: UUID) -> bool:
    """Whether the tenant takes them so."""
    return bool(await conn.fetchval("select email_aliases from tenants where id = $1", tenant_id))


async def regarded(conn: asyncpg.Connection, tenant_id: UUID, sightings: Sequence[Sighting]) -> Sequence[Sighting]:
    """The sightings as the tenant takes them."""
    if not await are_one(conn, tenant_id):
        return sightings
    return [replace(one, with_mailbox=True) for one in sightings]
