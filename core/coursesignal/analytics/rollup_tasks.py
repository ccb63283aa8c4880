"""The schedule on which changed days are counted again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from coursesignal.analytics.counting import clock, refresh, waiting
from coursesignal.db.engine import Database
from coursesignal.jobs.crons import Cron

log = logging.getLogger(__name__)

_TENANTS = "select id from tenants where status = 'active' order by id"
# Notes about a day are dealt with ten minutes after it is over.
_FORGOTTEN = """
    select exists (select from stale_spans where tenant_id = $1 and from_at < $2 and marked_at < now() - interval '30 hours')"""


def crons(db: Database) -> Sequence[Cron]:
    """Every ten minutes; until then a changed day is read from the tables."""
    return (Cron("core.rollups", "*/10 * * * *", partial(_refresh_all, db)),)


async def backlog(db: Database) -> tuple[int, int]:
    """How many days wait to be counted, of all tenants; and how many tenants have some that should not wait any more."""
    async with db.control() as conn:
        rows = await conn.fetch(_TENANTS)
    days = forgotten = 0
    for row in rows:
        async with db.tenant(row["id"]) as conn:
            days += await waiting(conn, row["id"])
            today_at = (await clock(conn, row["id"])).today_at
            forgotten += bool(await conn.fetchval(_FORGOTTEN, row["id"], today_at))
    return days, forgotten


async def _refresh_all(db: Database, due: datetime) -> None:
    """One tenant's failure is raised after the others had their turn."""
    async with db.control() as conn:
        rows = await conn.fetch(_TENANTS)
    failure: Exception | None = None
    for row in rows:
        try:
            await refresh(db, row["id"])
        except Exception as error:
            log.exception("days of tenant %s could not be counted; reports read them from the tables", row["id"])
            failure = error
    if failure is not None:
        raise failure
