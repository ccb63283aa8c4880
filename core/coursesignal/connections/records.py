"""Rows of ``connections``: which one a tenant means, and what changes in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.connections.states import LIVE, State, move
from coursesignal.connections.vault import WebhookKey
from coursesignal.errors import NotFound
from coursesignal.plugin import Account, Connected


class ConnectionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One connection of one tenant; secrets are still sealed."""

    id: UUID
    tenant_id: UUID
    platform: str
    key_hash: bytes
    sealed_key: bytes
    account_id: str | None
    account_name: str | None
    credentials: bytes | None
    memo: Mapping[str, Any]
    state: State
    problem: str | None
    state_changed_at: datetime
    webhooks: Literal["registered", "manual"]
    last_sync_at: datetime | None
    last_webhook_at: datetime | None
    synced_to: datetime | None
    rescanned_to: datetime | None
    requests_per_minute: int | None
    monthly_requests: int | None
    sync_minutes: int | None
    rescan_days: int | None
    previous_key_until: datetime | None

    @property
    def account(self) -> Account | None:
        if self.account_id is None:
            return None
        return Account(id=self.account_id, name=self.account_name or self.account_id)


def _row(record: asyncpg.Record) -> ConnectionRow:
    return ConnectionRow(**{name: record[name] for name in ConnectionRow.__struct_fields__})


async def find(conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID) -> ConnectionRow | None:
    """The connection with that id."""
    record = await conn.fetchrow("select * from connections where tenant_id = $1 and id = $2", tenant_id, connection_id)
    return None if record is None else _row(record)


async def of_platform(conn: asyncpg.Connection, tenant_id: UUID, platform: str) -> Sequence[ConnectionRow]:
    """The tenant's connections to a platform, the one a person means first: live before disconnected, newest first."""
    records = await conn.fetch(
        "select * from connections where tenant_id = $1 and platform = $2 "
        "order by (state = 'disconnected'), (state = 'connecting'), created_at desc, id desc",
        tenant_id, platform,
    )  # fmt: skip
    return [_row(record) for record in records]


async def current(
    conn: asyncpg.Connection, tenant_id: UUID, platform: str, connection_id: UUID | None = None
) -> ConnectionRow:
    """The live connection a person means by the platform's name, or by its id too; raises NotFound."""
    for row in await of_platform(conn, tenant_id, platform):
        if row.state in LIVE and connection_id in (None, row.id):
            return row
    raise NotFound(f"{platform.title()} is not connected.", detail=f"Connect it with POST /api/{platform}/connect.")


async def all_of(conn: asyncpg.Connection, tenant_id: UUID) -> Sequence[ConnectionRow]:
    """Every connection the tenant has or had, by platform, live before disconnected, newest first."""
    records = await conn.fetch(
        "select * from connections where tenant_id = $1 and state <> 'connecting' "
        "order by platform, (state = 'disconnected'), created_at desc, id desc",
        tenant_id,
    )
    return [_row(record) for record in records]


async def insert(
    conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, platform: str, key: WebhookKey
) -> None:
    """A connection in the making."""
    await conn.execute(
        "insert into connections (tenant_id, id, platform, key_hash, sealed_key) values ($1, $2, $3, $4, $5)",
        tenant_id, connection_id, platform, key.hash, key.sealed,
    )  # fmt: skip


async def forget(conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID) -> None:
    """Remove a connection that never came to be."""
    await conn.execute(
        "delete from connections where tenant_id = $1 and id = $2 and state = 'connecting'", tenant_id, connection_id
    )


async def mark_ready(
    conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, connected: Connected, sealed: bytes
) -> None:
    """Store what connecting found."""
    account = connected.account
    await conn.execute(
        """
        update connections set account_id = $3, account_name = $4, credentials = $5, memo = $6, webhooks = $7,
            disconnected_at = null, refresh_token = null, refresh_until = null
        where tenant_id = $1 and id = $2
        """,
        tenant_id, connection_id, account.id, account.name, sealed, dict(connected.memo), connected.webhooks,
    )  # fmt: skip
    await move(conn, tenant_id, connection_id, "connected")


async def mark_disconnected(conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID) -> None:
    """Erase the credentials and close both webhook addresses; the history stays."""
    await move(conn, tenant_id, connection_id, "disconnected")
    await conn.execute(
        "update connections set credentials = null, memo = '{}', previous_key_hash = null, previous_key_until = null, "
        "disconnected_at = now() where tenant_id = $1 and id = $2",
        tenant_id, connection_id,
    )  # fmt: skip


async def mark_synced(
    conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, began_at: datetime, *, rescan: bool
) -> None:
    """A sync that began then ended well."""
    moved = await move(conn, tenant_id, connection_id, "worked")
    if moved is None or moved.after not in LIVE:
        return
    await conn.execute(
        "update connections set last_sync_at = now(), synced_to = greatest(synced_to, $3), "
        "rescanned_to = case when $4 then greatest(rescanned_to, $3) else rescanned_to end "
        "where tenant_id = $1 and id = $2",
        tenant_id, connection_id, began_at, rescan,
    )  # fmt: skip
