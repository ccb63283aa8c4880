"""From a site key to its site, remembered for a few seconds: unknown keys too.

Keys in use are read again before they are forgotten, and all that are wanted at a time in one query: of a thousand sites some
hundred would otherwise be looked up one by one each second, with their visitors waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import asyncpg

from coursesignal.db.engine import Database
from coursesignal.errors import Busy
from coursesignal.tracking.commit import CONNECTION_LOST
from coursesignal.tracking.intake import Site

TTL_S = 5.0
"""A revoked or rotated key works this long at most."""
REFRESH_AFTER_S = 2.0
MAX_ENTRIES = 50_000
LOOKUP_TIMEOUT_S = 3.0
MAX_KEYS = 1000
"""Per query."""
_LOOK_UP = "select k.key, s.* from unnest($1::text[]) as k (key) cross join lateral door_site(k.key) s"


class _Entry(NamedTuple):
    read_at: float
    site: Site | None


Answer = asyncio.Future["Site | None"]


class SiteCache:
    """Looks sites up on the ingest role's connections, through the definer function that shows it nothing else."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, _Entry] = {}
        self._waiting: dict[str, Answer] = {}
        self._running: dict[str, Answer] = {}
        self._worker: asyncio.Task[None] | None = None

    async def find(self, key: str) -> Site | None:
        """The site of an active key of an active tenant; raises Busy when the database does not answer."""
        entry = self._known.get(key)
        age_s = asyncio.get_running_loop().time() - entry.read_at if entry is not None else TTL_S
        if entry is None or age_s >= TTL_S:
            return await asyncio.shield(self._ask(key))
        if age_s >= REFRESH_AFTER_S:
            self._ask(key)
        return entry.site

    def _ask(self, key: str) -> Answer:
        """The answer that comes with the next query, or with the one under way."""
        answer = self._running.get(key) or self._waiting.get(key)
        if answer is None:
            answer = self._waiting[key] = asyncio.get_running_loop().create_future()
            answer.add_done_callback(Answer.exception)  # of a refresh nobody else asks how it went
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return answer

    async def _work(self) -> None:
        """Query until nobody waits."""
        try:
            while self._waiting:
                keys = list(self._waiting)[:MAX_KEYS]
                self._running = {key: self._waiting.pop(key) for key in keys}
                await self._answer(self._running)
        finally:
            self._worker = None

    async def _answer(self, asked: Mapping[str, Answer]) -> None:
        try:
            found = await self._look_up(list(asked))
        except Exception as error:  # every waiter must hear of it
            for answer in asked.values():
                answer.set_exception(error)
        else:
            for key, answer in asked.items():
                answer.set_result(found.get(key))
        finally:
            self._running = {}

    async def _look_up(self, keys: list[str]) -> Mapping[str, Site]:
        """The sites by their keys; unknown keys are remembered as such."""
        read_at = asyncio.get_running_loop().time()
        possible = [
            key for key in keys if key.isascii() and key.isprintable()
        ]  # nobody's odd key spoils the query for others
        try:
            async with self._database.ingest.acquire(timeout=LOOKUP_TIMEOUT_S) as connection:
                rows = await connection.fetch(_LOOK_UP, possible, timeout=LOOKUP_TIMEOUT_S)
        except (asyncpg.PostgresError, *CONNECTION_LOST) as error:
            raise Busy(retry_after_s=2) from error
        found = {row["key"]: _site(row) for row in rows}
        if len(self._known) >= MAX_ENTRIES:
            self._known.clear()
        self._known.update({key: _Entry(read_at, found.get(key)) for key in keys})
        return found


def _site(row: asyncpg.Record) -> Site:
    return Site(row["tenant_id"], row["id"], tuple(row["allowed_hosts"]), tuple(row["linked_hosts"]), row["cookieless"])
