"""Credentials that end are renewed before they do: by one at a time, and stored before anything else is done with them.

Whoever renews holds a lease on the connection's row. The old credentials stay stored until the new ones are, so that after a
crash in between the next one renews with them again, as platforms that rotate tokens allow for a client that never got an answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from coursesignal.connections import records
from coursesignal.connections.context import PlatformContext
from coursesignal.connections.house import House
from coursesignal.connections.records import ConnectionRow
from coursesignal.connections.vault import StoredCredentialsUnreadable, open_credentials, seal_credentials
from coursesignal.errors import Busy
from coursesignal.plugin import AuthFailed, Connector, Settings, Unavailable

log = logging.getLogger("coursesignal.connections")

MARGIN = timedelta(minutes=5)
"""How long before their end credentials are renewed."""
LEASE = timedelta(seconds=30)
POLL_S = 0.1
SAVE_ATTEMPTS, SAVE_PAUSE_S = 10, 0.5

_CLAIM = """
    update connections set refresh_token = $4, refresh_until = clock_timestamp() + $5
    where tenant_id = $1 and id = $2 and credentials = $3 and (refresh_until is null or refresh_until < clock_timestamp())
    returning 1"""
_SAVE = """
    update connections set credentials = $4, refresh_token = null, refresh_until = null
    where tenant_id = $1 and id = $2 and refresh_token = $3 and state <> 'disconnected'
    returning 1"""
_RELEASE = """
    update connections set refresh_token = null, refresh_until = null
    where tenant_id = $1 and id = $2 and refresh_token = $3"""

Contexts = Callable[[ConnectionRow], PlatformContext]


def renews(connector: Connector[Any]) -> bool:
    """Whether this connector's credentials can be renewed."""
    return type(connector).refresh is not Connector.refresh


async def fresh(
    house: House, connector: Connector[Any], row: ConnectionRow, context: Contexts, *, force: bool = False
) -> ConnectionRow:
    """The connection with credentials that last a while; ``force`` renews ones the platform refuses before their time.

    Raises AuthFailed in the platform's words when it does not renew them, Unavailable when it cannot be asked and they ended.
    """
    if not renews(connector) or row.credentials is None:
        return row
    left = _left(house, connector, row)
    if not force and (left is None or left > MARGIN):
        return row
    while True:
        token = uuid4()
        if await _claim(house, row, token):
            return await _renew_safely(
                house, connector, row, context, token, must=force or left is None or left <= timedelta()
            )
        now = await _read(house, row)
        if now.credentials != row.credentials:
            return now
        if not force and left is not None and left > timedelta():
            return row  # somebody renews them; these are still good
        await asyncio.sleep(POLL_S)


def _left(house: House, connector: Connector[Any], row: ConnectionRow) -> timedelta | None:
    assert row.credentials is not None
    try:
        credentials = open_credentials(house.keys.box, row.tenant_id, row.id, row.credentials, connector.credentials)
    except StoredCredentialsUnreadable as error:
        raise AuthFailed(f"The stored credentials do not fit {connector.name} any more. Connect again.") from error
    until = connector.expires_at(credentials)
    return None if until is None else until - datetime.now(UTC)


async def _claim(house: House, row: ConnectionRow, token: UUID) -> bool:
    async with house.db.tenant(row.tenant_id) as conn:
        return bool(await conn.fetchval(_CLAIM, row.tenant_id, row.id, row.credentials, token, LEASE))


async def _read(house: House, row: ConnectionRow) -> ConnectionRow:
    async with house.db.tenant(row.tenant_id) as conn:
        now = await records.find(conn, row.tenant_id, row.id)
    if now is None or now.credentials is None:
        raise AuthFailed("It was disconnected.")
    return now


async def _renew_safely(
    house: House, connector: Connector[Any], row: ConnectionRow, context: Contexts, token: UUID, *, must: bool
) -> ConnectionRow:
    """Renew in a task of its own: a worker that is stopped meanwhile still stores what it got."""
    renewing = asyncio.create_task(_renew(house, connector, row, context, token))
    try:
        return await asyncio.shield(renewing)
    except Unavailable:
        if must:
            raise
        return row


async def _renew(
    house: House, connector: Connector[Any], row: ConnectionRow, context: Contexts, token: UUID
) -> ConnectionRow:
    try:
        async with asyncio.timeout(LEASE.total_seconds() * 0.8):
            renewed = await connector.refresh(context(row))
    except TimeoutError as error:
        await _release(house, row, token)
        raise Unavailable(f"{connector.name} does not answer.") from error
    except BaseException:
        await _release(house, row, token)
        raise
    await _save(house, row, token, renewed)
    return await _read(house, row)


async def _save(house: House, row: ConnectionRow, token: UUID, renewed: Settings) -> None:
    """Store them, however long the database needs: the platform may not give them again."""
    sealed = seal_credentials(house.keys.box, row.tenant_id, row.id, renewed)
    for attempt in range(SAVE_ATTEMPTS):
        try:
            async with house.db.tenant(row.tenant_id) as conn:
                if not await conn.fetchval(_SAVE, row.tenant_id, row.id, token, sealed):
                    log.info("refresh.obsolete connection=%s", row.id)
                return
        except (Busy, OSError) as error:
            log.warning("refresh.unsaved connection=%s attempt=%d %s", row.id, attempt + 1, type(error).__name__)
            await asyncio.sleep(SAVE_PAUSE_S)
    raise Unavailable("The database does not answer.")


async def _release(house: House, row: ConnectionRow, token: UUID) -> None:
    async with house.db.tenant(row.tenant_id) as conn:
        await conn.execute(_RELEASE, row.tenant_id, row.id, token)
