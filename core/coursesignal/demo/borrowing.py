"""The embedded database server for as long as the demo needs it: the demo leaves no process behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg

from coursesignal.db.embedded import EmbeddedServer
from coursesignal.demo.api import until
from coursesignal.settings import Settings

PARTING_S = 3.0
"""How long the connections of processes that just ended may linger."""


@contextlib.asynccontextmanager
async def borrowed(settings: Settings) -> AsyncIterator[EmbeddedServer | None]:
    """The installation's embedded server, running; stopped at the end unless others use it. None with DATABASE_URL."""
    if settings.database_url:
        yield None
        return
    server = await asyncio.to_thread(EmbeddedServer(settings.home).start)
    try:
        yield server
    finally:
        await _give_back(server)


async def _give_back(server: EmbeddedServer) -> None:
    async def alone() -> bool:
        return not await _others(server)

    with contextlib.suppress(OSError, asyncpg.PostgresError):  # somebody else stopped it
        if await until(alone, PARTING_S):
            await asyncio.to_thread(server.stop)


async def _others(server: EmbeddedServer) -> int:
    """How many connections there are besides the one that asks."""
    connection = await asyncpg.connect(server.url())
    try:
        count: int = await connection.fetchval(
            "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()
    return count
