"""The job that reads purchases again, when who is who was decided anew."""

from __future__ import annotations

from uuid import UUID

from coursesignal.commerce.service import refold
from coursesignal.identity.switching import REFOLD, retie
from coursesignal.jobs.tasks import Handler, TaskRun


def handlers() -> dict[str, Handler]:
    """The job by name."""
    return {REFOLD: _refold_people}


async def _refold_people(run: TaskRun) -> None:
    people = [UUID(value) for value in run.task.payload["personIds"]]
    async with run.effects() as conn:
        rows = await conn.fetch(
            "select id from purchases where tenant_id = $1 and person_id = any($2) order by id",
            run.task.tenant_id,
            people,
        )
        await refold(conn, run.task.tenant_id, [row["id"] for row in rows])
        await retie(conn, run.task.tenant_id, people)
