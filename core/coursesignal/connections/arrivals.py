"""Webhooks that arrive together are committed together: one transaction of a tenant takes in what came while the last one ran.

Each is verified by itself, and each is answered only after the commit that stores it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import asyncpg

from coursesignal.db.engine import Database
from coursesignal.errors import Refused
from coursesignal.plugin import Connector, WebhookRequest

AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Door:
    """The connection a webhook address leads to."""

    tenant_id: UUID
    connection_id: UUID
    platform: str
    key_hash: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """A webhook that waits to be stored; ``stored`` becomes whether it is new, or why it is refused."""

    door: Door
    connector: Connector[Any]
    request: WebhookRequest
    stored: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


Outcome = bool | Refused
Commit = Callable[[asyncpg.Connection, Sequence[Arrival]], Awaitable[Sequence[Outcome]]]
"""Stores arrivals of one tenant in its transaction: for each whether it is new, or why it is refused."""

_waiting: WeakKeyDictionary[Database, defaultdict[UUID, list[Arrival]]] = WeakKeyDictionary()
_lanes: set[asyncio.Task[None]] = set()


async def stored(db: Database, arrival: Arrival, commit: Commit) -> bool:
    """Store an arrival with those of its tenant that come at the same time. Raises why it is refused, Busy."""
    lanes = _waiting.setdefault(db, defaultdict(list))
    tenant_id = arrival.door.tenant_id
    runs = tenant_id in lanes
    lanes[tenant_id].append(arrival)
    if not runs:
        lane = asyncio.create_task(_run(db, lanes, tenant_id, commit))
        _lanes.add(lane)
        lane.add_done_callback(_lanes.discard)
    return await arrival.stored


async def _run(db: Database, lanes: defaultdict[UUID, list[Arrival]], tenant_id: UUID, commit: Commit) -> None:
    """Commit what waits until nothing does; then the lane is gone, and the next arrival opens another."""
    while batch := lanes[tenant_id][:AT_ONCE]:
        del lanes[tenant_id][:AT_ONCE]
        await _settle(db, tenant_id, batch, commit)
    del lanes[tenant_id]


async def _settle(db: Database, tenant_id: UUID, batch: Sequence[Arrival], commit: Commit) -> None:
    """Commit a batch and answer it; one that spoils a batch is left alone with its error."""
    try:
        async with db.tenant(tenant_id) as conn:
            outcomes = await commit(conn, batch)
    except asyncpg.DataError as error:
        if len(batch) == 1:
            _fail(batch, error)
        for one in batch if len(batch) > 1 else ():
            await _settle(db, tenant_id, [one], commit)
    except BaseException as error:
        _fail(batch, error)
    else:
        for arrival, outcome in zip(batch, outcomes, strict=True):
            _answer(arrival, outcome)


def _answer(arrival: Arrival, outcome: Outcome) -> None:
    if arrival.stored.done():  # whoever sent it hung up
        return
    if isinstance(outcome, Refused):
        arrival.stored.set_exception(outcome)
    else:
        arrival.stored.set_result(outcome)


def _fail(batch: Sequence[Arrival], error: BaseException) -> None:
    for arrival in batch:
        if not arrival.stored.done():
            arrival.stored.set_exception(error)
