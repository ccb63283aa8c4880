"""A line to a connection's platform: calls of its connector with fresh credentials, within limits, behind a circuit breaker."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from coursesignal.connections.context import PlatformContext, stored_context
from coursesignal.connections.house import House
from coursesignal.connections.meter import Held, Limits, Meter
from coursesignal.connections.records import ConnectionRow
from coursesignal.connections.refreshing import fresh, renews
from coursesignal.plugin import AuthFailed, Connector, Tenant, Unavailable

T = TypeVar("T")


def limits_of(connector: Connector[Any], row: ConnectionRow) -> Limits:
    """The tenant's limits, else the connector's."""
    return Limits(
        row.requests_per_minute or connector.requests_per_minute, row.monthly_requests or connector.monthly_requests
    )


class Line:
    """An open line; every call counts for the limits and the breaker."""

    def __init__(
        self, house: House, tenant: Tenant, connector: Connector[Any], row: ConnectionRow, meter: Meter
    ) -> None:
        self._house, self._tenant, self._connector, self._row = house, tenant, connector, row
        self._meter = meter

    async def call(self, what: Callable[[PlatformContext], Awaitable[T]]) -> T:
        """What the connector answers. Raises AuthFailed, Unavailable (Held when it was not asked at all)."""
        try:
            answer = await self._renewing(what)
        except Held:
            raise
        except Unavailable:
            await self._meter.failed()
            raise
        await self._meter.worked()
        return answer

    async def _renewing(self, what: Callable[[PlatformContext], Awaitable[T]]) -> T:
        """Credentials that ended early, as when somebody else renewed them, are renewed and the call made once more."""
        self._row = await fresh(self._house, self._connector, self._row, self._context)
        try:
            return await what(self._context(self._row))
        except AuthFailed:
            if not renews(self._connector):
                raise
        self._row = await fresh(self._house, self._connector, self._row, self._context, force=True)
        return await what(self._context(self._row))

    def _context(self, row: ConnectionRow) -> PlatformContext:
        ctx = stored_context(self._house, self._tenant, self._connector, row)
        ctx.http.event_hooks = {"request": [self._meter.take], "response": [self._meter.heed]}
        return ctx


@contextlib.asynccontextmanager
async def open_line(house: House, tenant: Tenant, connector: Connector[Any], row: ConnectionRow) -> AsyncIterator[Line]:
    """A line for a stretch of work, not inside of a transaction; raises Held while the breaker is open."""
    meter = Meter(house.db, row.tenant_id, row.id, connector.name, limits_of(connector, row))
    await meter.require_closed()
    try:
        yield Line(house, tenant, connector, row, meter)
    finally:
        await meter.settle()
