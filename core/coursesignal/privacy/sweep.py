"""The second half of an erasure: every text of the tenant that mentions an erased address, wherever it is, plugins' tables too.

Tables and columns are read from the database's catalogue, so that none is forgotten. One table is one transaction.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.connections import inbox
from coursesignal.connections.house import House
from coursesignal.db import stale
from coursesignal.db.locks import lock_rollups
from coursesignal.identity import tombstones
from coursesignal.identity.tombstones import PSEUDONYM, Tombstones
from coursesignal.jobs.mail import Letter
from coursesignal.security.box import aad

CHUNK = 500
KEPT = frozenset({"plugin_states", "connections", "sites", "api_keys", "erasures", "erased_keys"})
"""What the tenant's own people set up, which is about themselves."""
COPIES = "daily_sources"
"""Counted from touches, of days that may be closed for good meanwhile: swept last, while nobody counts."""
_TEXTS = """
    select c.relname as name,
        array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            and a.attgenerated = '' and a.atttypid in ('text'::regtype, 'varchar'::regtype, 'jsonb'::regtype, 'text[]'::regtype)
            and a.attnum <> all(k.conkey) and has_column_privilege(c.oid, a.attnum, 'update') order by a.attnum) as columns,
        array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum = any(k.conkey)) as key
    from pg_class c join pg_constraint k on k.conrelid = c.oid and k.contype = 'p'
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and c.relrowsecurity
    order by c.relname"""


@dataclass(frozen=True, slots=True)
class Texts:
    """A table's columns that may mention an address, and its key."""

    name: str
    columns: Sequence[str]
    key: Sequence[str]

    @property
    def select(self) -> str:
        """Rows with anything like an address in them; $1 is the tenant."""
        said = ", ".join(f'"{column}"::text' for column in self.columns)
        wanted = ", ".join(f'"{column}"' for column in (*self.key, *self.columns))
        return (
            f'select {wanted} from "{self.name}" where tenant_id = $1 '  # noqa: S608 – names from the catalogue
            f"and concat_ws(' ', {said}) ~* '@|%40|u0040'"
        )

    @property
    def update(self) -> str:
        """Every column anew; the key comes first."""
        sets = ", ".join(f'"{column}" = ${n}' for n, column in enumerate(self.columns, len(self.key) + 1))
        match = " and ".join(f'"{column}" = ${n}' for n, column in enumerate(self.key, 1))
        return f'update "{self.name}" set {sets} where {match}'  # noqa: S608 – names from the catalogue


async def sweep(house: House, tenant_id: UUID) -> Counter[str]:
    """Put a pseudonym for each mention of an erased address, and empty webhooks that mention one; returns rows by table."""
    async with house.db.tenant(tenant_id) as conn:
        erased = await tombstones.of_tenant(conn, tenant_id)
        tables = [Texts(**row) for row in await conn.fetch(_TEXTS) if row["name"] not in KEPT and row["columns"]]
    tables.sort(key=lambda table: table.name == COPIES)
    counts: Counter[str] = Counter()
    if not erased.hashes:
        return counts
    for table in tables:
        async with house.db.tenant(tenant_id) as conn:
            counts[table.name] += await _sweep_table(conn, erased, table)
    counts["webhooks"] = await _sweep_inbox(house, erased)
    counts["mails"] = await _sweep_mails(house, erased)
    return counts


async def _sweep_table(conn: asyncpg.Connection, erased: Tombstones, table: Texts) -> int:
    changed: list[tuple[Any, ...]] = []
    if table.name == COPIES:
        await lock_rollups(conn, erased.tenant_id)
    async for row in conn.cursor(table.select, erased.tenant_id, prefetch=CHUNK):
        key, values = tuple(row)[: len(table.key)], tuple(row)[len(table.key) :]
        redacted = tuple(_redacted(value, erased) for value in values)
        if redacted != values:
            changed.append((*key, *redacted))
    for row in changed:
        await _write(conn, table, row)
    if changed and table.name == "touches":  # where visits came from, as it is kept per day, has to follow
        await stale.mark_all(conn, erased.tenant_id, "visits")
    return len(changed)


async def _write(conn: asyncpg.Connection, table: Texts, row: tuple[Any, ...]) -> None:
    """Where two spellings of one address are to be unique, each gets a pseudonym of its own."""
    try:
        async with conn.transaction():
            await conn.execute(table.update, *row)
    except asyncpg.UniqueViolationError:
        own = f"-{secrets.token_hex(4)}"
        marked = [f"{v}{own}" if isinstance(v, str) and PSEUDONYM in v else v for v in row[len(table.key) :]]
        await conn.execute(table.update, *row[: len(table.key)], *marked)


def _redacted(value: Any, erased: Tombstones) -> Any:
    """``value`` with pseudonyms, at any depth."""
    if isinstance(value, str):
        return erased.redact(value) if erased.named_in(value) else value
    if isinstance(value, list):
        return [_redacted(item, erased) for item in value]
    if isinstance(value, dict):
        return {_redacted(key, erased): _redacted(item, erased) for key, item in value.items()}
    return value


async def _sweep_inbox(house: House, erased: Tombstones) -> int:
    """Webhooks that were processed and name somebody erased; the others are looked at when they are processed."""
    async with house.db.tenant(erased.tenant_id) as conn:
        rows = conn.cursor(
            "select i.id, i.tenant_id, i.connection_id, i.body, i.headers, i.query, i.received_at, c.platform "
            "from inbox i join connections c on c.tenant_id = i.tenant_id and c.id = i.connection_id "
            "where i.tenant_id = $1 and i.status <> 'received' and i.redacted_at is null",
            erased.tenant_id, prefetch=CHUNK,
        )  # fmt: skip
        naming = [row["id"] async for row in rows if inbox.names(house, row, erased)]
        await inbox.empty(conn, erased.tenant_id, naming)
    return len(naming)


async def _sweep_mails(house: House, erased: Tombstones) -> int:
    """Mails that wait: to the erased are never sent, about them are sent without the address."""
    box, changed = house.keys.box, 0
    async with house.db.tenant(erased.tenant_id) as conn:
        rows = await conn.fetch(
            "select id, sealed from mails where tenant_id = $1 and sealed <> ''::bytea for update", erased.tenant_id
        )
        for row in rows:
            bound = aad(erased.tenant_id, "mails", "sealed", row["id"])
            letter = msgspec.json.decode(box.open(row["sealed"], bound), type=Letter)
            if erased.named_in(letter.to):
                await conn.execute("delete from mails where id = $1", row["id"])
            elif (about := _redacted(msgspec.to_builtins(letter), erased)) != msgspec.to_builtins(letter):
                sealed = box.seal(msgspec.json.encode(about), bound)
                await conn.execute("update mails set sealed = $2 where id = $1", row["id"], sealed)
            else:
                continue
            changed += 1
    return changed
