"""Plugins that ran here once and do not any more: the tables they left, and how to be rid of them.

A plugin taken out of plugins.toml keeps its tables, for the day it comes back. Nothing reads them meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from coursesignal.db.migrate import CORE
from coursesignal.errors import ConfigurationError
from coursesignal.plugins.lifecycle import forget_state
from coursesignal.plugins.registry import Registry

_GONE = "select distinct app_name from migration where not app_name = any($1) order by app_name"
_TABLES = """
    select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and (c.relname = $1 or starts_with(c.relname, $1 || '_'))
    order by c.relname"""


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a plugin that is not listed any more has in the database."""

    slug: str
    tables: tuple[str, ...]


async def leftovers(owner_url: str, registry: Registry) -> Sequence[Leftover]:
    """Every plugin that has migrated here and is not in plugins.toml. One that is listed and refused is not among them."""
    listed = {*registry.by_slug, *(plugin.slug for plugin in registry.quarantined)}
    conn = await asyncpg.connect(owner_url)
    try:
        gone = [row["app_name"] for row in await conn.fetch(_GONE, [CORE, *listed])]
        return [Leftover(slug, await _tables_of(conn, slug, {*listed, *gone})) for slug in gone]
    finally:
        await conn.close()


async def _tables_of(conn: asyncpg.Connection, slug: str, slugs: Collection[str]) -> tuple[str, ...]:
    """The tables whose names begin with this slug, and with no longer one."""
    longer = [f"{other}_" for other in slugs if other.startswith(f"{slug}_")]
    names = [row["relname"] for row in await conn.fetch(_TABLES, slug)]
    return tuple(name for name in names if not any(f"{name}_".startswith(prefix) for prefix in longer))


async def erase(conn: asyncpg.Connection, tenant_id: UUID, leftover: Leftover) -> None:
    """Empty its tables of one tenant, and forget the tenant's settings, secrets and tasks of it; in the tenant's transaction."""
    waiting = list(leftover.tables)
    while waiting:
        refused = [table for table in waiting if not await _emptied(conn, tenant_id, table)]
        if len(refused) == len(waiting):
            raise ConfigurationError(f"The rows of {', '.join(refused)} hold each other: erase them by hand.")
        waiting = refused
    await conn.execute("delete from outbox where tenant_id = $1 and plugin = $2", tenant_id, leftover.slug)
    await forget_state(conn, tenant_id, leftover.slug)


async def _emptied(conn: asyncpg.Connection, tenant_id: UUID, table: str) -> bool:
    """Delete the tenant's rows; False when other tables still point at them."""
    try:
        async with conn.transaction():
            await conn.execute(f'delete from "{table}" where tenant_id = $1', tenant_id)  # noqa: S608 – a table's own name
    except asyncpg.ForeignKeyViolationError:
        return False
    return True


async def drop(owner_url: str, leftover: Leftover) -> None:
    """Remove its tables with every tenant's rows, and that its migrations ever ran: they run anew when it comes back."""
    conn = await asyncpg.connect(owner_url)
    try:
        async with conn.transaction():
            if leftover.tables:
                await conn.execute(f"drop table {', '.join(map(_quoted, leftover.tables))}")
            await conn.execute("delete from migration where app_name = $1", leftover.slug)
    finally:
        await conn.close()


def _quoted(name: str) -> str:
    return f'"{name}"'
