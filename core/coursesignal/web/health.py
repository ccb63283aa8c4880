"""Whether this process lives, and whether it can do its work."""

from __future__ import annotations

import asyncio
import logging

import asyncpg
import msgspec
from litestar import Response, get
from litestar.di import NamedDependency

from coursesignal.db.engine import Database
from coursesignal.errors import Busy
from coursesignal.web.access import public

log = logging.getLogger(__name__)
READY_TIMEOUT_S = 2.0


class Health(msgspec.Struct, frozen=True):
    """``ok`` or ``unavailable``, and the same of each part."""

    status: str
    checks: dict[str, str]


@get("/health/live", opt=public(), summary="Whether the process answers", operation_id="live", tags=["Operation"])
async def live() -> Health:
    return Health("ok", {})


@get(
    "/health/ready", opt=public(), summary="Whether the process can serve: 503 while not", operation_id="ready",
    tags=["Operation"],
)  # fmt: skip
async def ready(db: NamedDependency[Database]) -> Response[Health]:
    state = "ok" if await _database_answers(db) else "unavailable"
    headers = {} if state == "ok" else {"Retry-After": "2"}
    return Response(Health(state, {"database": state}), status_code=200 if state == "ok" else 503, headers=headers)


async def _database_answers(db: Database) -> bool:
    try:
        async with asyncio.timeout(READY_TIMEOUT_S), db.control() as conn:
            return bool(await conn.fetchval("select 1") == 1)
    except (TimeoutError, OSError, Busy, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        log.warning("not ready: the database does not answer (%s)", type(error).__name__)
        return False


ROUTES = [live, ready]
