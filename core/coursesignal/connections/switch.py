"""Whether a tenant has a platform's plugin; connecting is what turns it on."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import msgspec

from coursesignal.errors import NotFound
from coursesignal.jobs import outbox


class Switch(msgspec.Struct, frozen=True):
    """The agency's word and the tenant's; ``decided`` is None for a tenant that never decided."""

    granted: bool = True
    decided: bool | None = None


async def read(conn: asyncpg.Connection, tenant_id: UUID, plugin: str) -> Switch:
    """How the plugin stands with the tenant."""
    row = await conn.fetchrow(
        "select granted, enabled from plugin_states where tenant_id = $1 and plugin = $2", tenant_id, plugin
    )
    return Switch() if row is None else Switch(row["granted"], row["enabled"])


async def require_granted(conn: asyncpg.Connection, tenant_id: UUID, plugin: str) -> None:
    """Raise NotFound unless the tenant may have the plugin."""
    if not (await read(conn, tenant_id, plugin)).granted:
        raise NotFound


async def turn_on(conn: asyncpg.Connection, tenant_id: UUID, plugin: str) -> None:
    """Have the plugin on, and tell it so if it was not. Raises NotFound when it is not granted."""
    await require_granted(conn, tenant_id, plugin)
    changed = await conn.fetchval(
        """
        insert into plugin_states as s (tenant_id, plugin, enabled) values ($1, $2, true)
        on conflict (tenant_id, plugin) do update set enabled = true, changed_at = now()
            where s.granted and s.enabled is distinct from true
        returning 1
        """,
        tenant_id, plugin,
    )  # fmt: skip
    if changed:
        await outbox.put(conn, tenant_id, "hook", "plugin_enabled", {}, plugin=plugin)
