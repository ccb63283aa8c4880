"""The job that joins what visits on two domains turned out to be: one browser."""

from __future__ import annotations

from uuid import UUID

from coursesignal.identity.service import join_browser
from coursesignal.jobs.tasks import Handler, TaskRun


def handlers() -> dict[str, Handler]:
    """The job by name."""
    return {"core.join_browser": _join_browser}


async def _join_browser(run: TaskRun) -> None:
    """A visitor's browser turned out to be known by another id too."""
    async with run.effects() as conn:
        await join_browser(conn, run.task.tenant_id, UUID(run.task.payload["visitorId"]))
