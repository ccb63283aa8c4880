"""From a site key to its site, remembered for a few seconds: unknown keys too, and never asked twice at once."""

from __future__ import annotations

import asyncio

import asyncpg

from coursesignal.db.engine import Database
from coursesignal.errors import Busy
from coursesignal.tracking.commit import CONNECTION_LOST
from coursesignal.tracking.intake import Site

TTL_S = 5.0
"""A revoked or rotated key works this long at most."""
MAX_ENTRIES = 50_000
LOOKUP_TIMEOUT_S = 3.0


class SiteCache:
    """Looks sites up on the ingest role's connections, through the definer function that shows it nothing else."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, Site | None]] = {}
        self._running: dict[str, asyncio.Task[Site | None]] = {}

    async def find(self, key: str) -> Site | None:
        """The site of an active key of an active tenant; raises Busy when the database does not answer."""
        entry = self._known.get(key)
        if entry is not None and entry[0] > asyncio.get_running_loop().time():
            return entry[1]
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.create_task(self._look_up(key))
        return await asyncio.shield(running)

    async def _look_up(self, key: str) -> Site | None:
        try:
            async with self._database.ingest.acquire(timeout=LOOKUP_TIMEOUT_S) as connection:
                row = await connection.fetchrow("select * from door_site($1)", key, timeout=LOOKUP_TIMEOUT_S)
        except (asyncpg.PostgresError, *CONNECTION_LOST) as error:
            raise Busy(retry_after_s=2) from error
        finally:
            self._running.pop(key, None)
        site = None if row is None else _site(row)
        if len(self._known) >= MAX_ENTRIES:
            self._known.clear()
        self._known[key] = (asyncio.get_running_loop().time() + TTL_S, site)
        return site


def _site(row: asyncpg.Record) -> Site:
    return Site(row["tenant_id"], row["id"], tuple(row["allowed_hosts"]), tuple(row["linked_hosts"]), row["cookieless"])
