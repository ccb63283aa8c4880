"""What a tenant has set up so far."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from coursesignal.reports import ConnectionLine, SetupState
from coursesignal.tracking.script import flags

_SITE = """
    select public_key, consent_first, cookieless, outbound_links, form_emails from sites
    where tenant_id = $1 and revoked_at is null order by created_at, id limit 1"""

_CONNECTIONS = """
    select platform, account_name as account, state, problem from connections
    where tenant_id = $1 and state <> 'disconnected' order by platform, created_at"""


async def state(conn: asyncpg.Connection, tenant_id: UUID) -> SetupState:
    """Whether the tracker reports, what is connected, whether anything was sold."""
    site = await conn.fetchrow(_SITE, tenant_id)
    return SetupState(
        site_key=None if site is None else site["public_key"],
        site_attributes="" if site is None else flags(*site[1:]),
        last_event_at=await conn.fetchval("select max(occurred_at) from events where tenant_id = $1", tenant_id),
        connections=tuple(ConnectionLine(**row) for row in await conn.fetch(_CONNECTIONS, tenant_id)),
        has_purchases=await conn.fetchval(
            "select exists (select from charges where tenant_id = $1 and amount_minor > 0)", tenant_id
        ),
    )
