"""Jobs that credit again: when people's journeys change, when purchases change, when a model or setting changes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from uuid import UUID

from coursesignal.attribution.fitting import journeys_of, keep, learn, learnable
from coursesignal.attribution.recompute import Recompute
from coursesignal.attribution.service import credit, purchases_of
from coursesignal.commerce.matching import match
from coursesignal.db.locks import lock_ledger
from coursesignal.identity.checkouts import MATCH
from coursesignal.jobs.outbox import enqueue
from coursesignal.jobs.tasks import Handler, TaskRun
from coursesignal.plugin import AttributionModel

Models = Mapping[str, AttributionModel]


def handlers(models: Models) -> dict[str, Handler]:
    """The jobs by name."""
    return {
        "core.attribute_people": partial(_attribute_people, models),
        "core.attribute_purchases": partial(_attribute_purchases, models),
        MATCH: partial(_match_purchases, models),
        "core.recredit": partial(_recredit, models),
        "core.learn": partial(_learn, models),
    }


async def _attribute_people(models: Models, run: TaskRun) -> None:
    people = [UUID(value) for value in run.task.payload["personIds"]]
    async with run.effects() as conn:
        await lock_ledger(conn, run.task.tenant_id)
        found = await purchases_of(conn, run.task.tenant_id, people)
        await match(conn, run.task.tenant_id, found)
        await credit(conn, run.task.tenant_id, found, models)


async def _attribute_purchases(models: Models, run: TaskRun) -> None:
    purchases = [UUID(value) for value in run.task.payload["purchaseIds"]]
    async with run.effects() as conn:
        await credit(conn, run.task.tenant_id, purchases, models)


async def _match_purchases(models: Models, run: TaskRun) -> None:
    purchases = [UUID(value) for value in run.task.payload["purchaseIds"]]
    async with run.effects() as conn:
        await lock_ledger(conn, run.task.tenant_id)
        await match(conn, run.task.tenant_id, purchases)
        await credit(conn, run.task.tenant_id, purchases, models)


async def _recredit(models: Models, run: TaskRun) -> None:
    await Recompute(models, run).everything()


async def _learn(models: Models, run: TaskRun) -> None:
    """Have the learning models learn from the tenant's journeys; those that know something new credit the history again."""
    tenant_id = run.task.tenant_id
    async with run.db.tenant(tenant_id) as conn:
        journeys = await journeys_of(conn, tenant_id)
    learnt = await learn(learnable(models), journeys)
    async with run.effects() as conn:
        if changed := await keep(conn, tenant_id, learnt):
            await enqueue(conn, tenant_id, "core.recredit", {"models": changed})
