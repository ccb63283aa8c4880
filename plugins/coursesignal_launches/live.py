"""A running launch at this moment, and as a stream of events that ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import anyio
import msgspec
from litestar.response import ServerSentEvent, ServerSentEventMessage

from coursesignal.plugin import NotFound
from coursesignal_launches import breakdown, launches
from coursesignal_launches.orders import MINE, MONEY
from coursesignal_launches.pace import goals
from coursesignal_launches.schemas import Figures, LastHour, Launch, LiveStats
from coursesignal_launches.settings import Ctx

EVERY_S = 0.5
"""How often a stream looks."""
LASTS_S, RETRY_MS = 15.0, 250
"""After so long a stream ends; a browser asks again by itself so soon, and is let in again or not."""

_SALES = f"""
    with {MINE}, {MONEY}
    select coalesce(sum(charged), 0)::bigint as charged, coalesce(sum(refunded), 0)::bigint as refunded,
        coalesce(sum(later), 0)::bigint as later, count(*) filter (where charged > 0) as purchases,
        count(distinct student) filter (where charged > 0) as students,
        count(*) filter (where charged > 0 and purchased_at > $4) as last_purchases,
        coalesce(sum(charged - refunded) filter (where purchased_at > $4), 0)::bigint as last_net
    from money where currency = $3"""  # noqa: S608 – of constants
_VISITS = """
    select count(distinct visitor_id) as visitors, count(distinct visitor_id) filter (where ended_at > $4) as now
    from sessions where tenant_id = $1 and started_at >= $2 and started_at < $3"""


async def stats(ctx: Ctx, launch: Launch) -> LiveStats:
    """The launch as the ledger has it now."""
    now = datetime.now(UTC)
    async with ctx.db.transaction() as conn:
        sales = await conn.fetchrow(_SALES, ctx.tenant.id, launch.id, ctx.tenant.currency, now - timedelta(hours=1))
        visits = await conn.fetchrow(
            _VISITS, ctx.tenant.id, launch.starts_at, launch.ends_at, now - timedelta(minutes=5)
        )
    net = sales["charged"] - sales["refunded"]
    return LiveStats(
        launch_id=launch.id,
        status=launch.status,
        phase=launch.phase,
        as_of=now,
        seconds_left=max(0, int((launch.ends_at - now).total_seconds())),
        figures=Figures(
            currency=ctx.tenant.currency,
            revenue_minor=sales["charged"],
            refunded_minor=sales["refunded"],
            net_revenue_minor=net,
            later_minor=sales["later"],
            purchases=sales["purchases"],
            students=sales["students"],
            average_order_minor=breakdown.average(sales["charged"], sales["purchases"]),
            visitors=visits["visitors"],
            conversion_rate=breakdown.percent(sales["purchases"], visits["visitors"]),
        ),
        last_hour=LastHour(
            purchases=sales["last_purchases"], net_revenue_minor=sales["last_net"], visitors_now=visits["now"]
        ),
        goals=goals(launch, net, sales["purchases"], now),
    )


def stream(ctx: Ctx, launch: Launch) -> ServerSentEvent:
    """An event ``stats`` at once and whenever a number changes; a comment in between, so that a gone reader is noticed."""
    return ServerSentEvent(_events(ctx, launch.id), headers={"cache-control": "no-store"})


async def _events(ctx: Ctx, launch_id: UUID) -> AsyncIterator[ServerSentEventMessage]:
    """Ends with the launch, when it is deleted, and after LASTS_S; holds no connection between looks."""
    ends, before = time.monotonic() + LASTS_S, None
    yield ServerSentEventMessage(data=None, retry=RETRY_MS, comment="live")
    while time.monotonic() < ends:
        found = await _look(ctx, launch_id)
        if found is None:
            break
        told = (found.status, found.phase, found.figures, found.last_hour)
        if told != before:
            before = told
            yield ServerSentEventMessage(event="stats", data=msgspec.json.encode(found).decode())
        else:
            yield ServerSentEventMessage(data=None, comment="same")
        if found.status == "completed":
            break
        await asyncio.sleep(EVERY_S)
    yield ServerSentEventMessage(event="end", data="{}")


async def _look(ctx: Ctx, launch_id: UUID) -> LiveStats | None:
    """The numbers now; None when the launch is gone. A reader who leaves meanwhile cuts no transaction short."""
    found = None
    with anyio.CancelScope(shield=True), contextlib.suppress(NotFound):
        found = await stats(ctx, await launches.get(ctx, launch_id))
    return found
