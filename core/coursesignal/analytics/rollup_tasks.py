"""The schedule on which changed days are counted again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from coursesignal.analytics.counting import refresh
from coursesignal.db.engine import Database
from coursesignal.jobs.crons import Cron

log = logging.getLogger(__name__)


def crons(db: Database) -> Sequence[Cron]:
    """Every ten minutes; until then a changed day is read from the tables."""
    return (Cron("core.rollups", "*/10 * * * *", partial(_refresh_all, db)),)


async def _refresh_all(db: Database, due: datetime) -> None:
    """One tenant's failure is raised after the others had their turn."""
    async with db.control() as conn:
        rows = await conn.fetch("select id from tenants where status = 'active' order by id")
    failure: Exception | None = None
    for row in rows:
        try:
            await refresh(db, row["id"])
        except Exception as error:
            log.exception("days of tenant %s could not be counted; reports read them from the tables", row["id"])
            failure = error
    if failure is not None:
        raise failure
