"""Jobs on people: what visits on two domains turned out to be, and what a tenant's setting makes of aliases."""

from __future__ import annotations

from uuid import UUID

from coursesignal.identity.service import join_browser
from coursesignal.identity.switching import switch_aliases
from coursesignal.jobs.tasks import Handler, TaskRun
from coursesignal.tenancy.tenants import EMAIL_ALIASES


def handlers() -> dict[str, Handler]:
    """The jobs by name."""
    return {"core.join_browser": _join_browser, EMAIL_ALIASES: switch_aliases}


async def _join_browser(run: TaskRun) -> None:
    """A visitor's browser turned out to be known by another id too."""
    async with run.effects() as conn:
        await join_browser(conn, run.task.tenant_id, UUID(run.task.payload["visitorId"]))
