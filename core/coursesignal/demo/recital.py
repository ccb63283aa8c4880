"""A shop's whole history of sales as its platform tells it, read through the connector as every sync reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from coursesignal.connections import records
from coursesignal.connections.context import PlatformContext, stored_context
from coursesignal.connections.house import house
from coursesignal.demo.plan import Plan, Sale
from coursesignal.plugin import Charge, Connector, PlatformEvent, PurchaseFacts, Tenant
from coursesignal.runtime import Runtime

MARGIN = timedelta(days=1)


async def recited(runtime: Runtime, tenant_id: UUID, connection_id: UUID, plan: Plan) -> Sequence[PlatformEvent]:
    """Every event of ``plan``'s sales, oldest first; to whom something was given no platform tells, so the story does."""
    parts = house(runtime)
    async with runtime.database.tenant(tenant_id) as conn:
        who = await conn.fetchrow("select id, slug, name, currency, time_zone from tenants where id = $1", tenant_id)
        row = await records.find(conn, tenant_id, connection_id)
    assert who is not None and row is not None
    connector = parts.connectors[row.platform]
    ctx = stored_context(parts, Tenant(**who), connector, row)
    events = [event async for event in _all(connector, ctx, plan.since - MARGIN)]
    events += [gift for sale in plan.sales if sale.gift_for is not None for gift in _gift(sale, events)]
    return sorted(events, key=lambda event: event.occurred_at)


async def _all(connector: Connector[Any], ctx: PlatformContext, since: datetime) -> AsyncIterator[PlatformEvent]:
    """Every page of every stream."""
    for stream in connector.streams:
        cursor = None
        while True:
            page = await connector.sync_page(ctx, stream, cursor, since)
            for event in page.events:
                yield event
            if (cursor := page.cursor) is None:
                break


def _gift(sale: Sale, events: Sequence[PlatformEvent]) -> Iterator[PurchaseFacts]:
    """That ``sale`` was for somebody else, under the platform's own keys of it."""
    for event in events:
        if isinstance(event, Charge) and event.occurred_at == sale.at and event.contact.email == sale.email:
            yield PurchaseFacts(
                purchase_keys=event.purchase_keys, occurred_at=sale.at, contact=event.contact, gift_recipient=sale.gift_for
            )  # fmt: skip
