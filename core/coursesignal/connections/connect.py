"""Connecting and disconnecting a platform: test the credentials, find the account, keep its history, start the first sync."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.auth.callers import Caller
from coursesignal.connections import records, runs, switch
from coursesignal.connections.context import Place, PlatformContext, platform_context, stored_context
from coursesignal.connections.house import House
from coursesignal.connections.schemas import ConnectedAnswer
from coursesignal.connections.vault import new_webhook_key, open_webhook_key, seal_credentials, webhook_url
from coursesignal.db.ids import uuid7
from coursesignal.errors import Busy, Conflict, FieldError, Invalid
from coursesignal.events import ConnectionLost, ConnectionOpened
from coursesignal.jobs.outbox import publish
from coursesignal.plugin import (
    Account,
    AuthFailed,
    Connected,
    Connector,
    CredentialsRejected,
    Settings,
    Tenant,
    Unavailable,
)
from coursesignal.tenancy import audit

log = logging.getLogger("coursesignal.connections")


@dataclass(frozen=True, slots=True)
class Slot:
    """A row to connect into; its webhook key is stored before the platform is told of it."""

    id: UUID
    key: str
    memo: Mapping[str, Any] = field(default_factory=dict)
    """What its connector remembers."""


async def connect(
    house: House,
    caller: Caller,
    tenant: Tenant,
    connector: Connector[Any],
    credentials: Settings,
    *,
    whole_history: bool = False,
) -> ConnectedAnswer:
    """Connect with these credentials, and turn the plugin on.

    The same account again is the same connection: nothing is lost or doubled. The first sync reaches back 30 days, or over the
    whole history.

    Raises Invalid with the field path and the platform's own words, Busy when the platform does not answer.
    """
    slot = await _new_slot(house, tenant, connector.slug)
    try:
        connected = await ask(house, connector, _into(house, tenant, connector, credentials, slot))
        known = await _slot_of_account(house, tenant, connector.slug, connected.account.id)
        if known is not None:
            await _undo(house, tenant, connector, credentials, slot, connected)
            connected = await ask(house, connector, _into(house, tenant, connector, credentials, known))
        run_id = await _store(
            house, caller, tenant, connector, credentials, known or slot, connected, whole_history=whole_history
        )
    finally:
        await _drop_unused(house, tenant, slot)
    return ConnectedAnswer(
        account=connected.account,
        webhook_url=webhook_url(house.settings.base_url, connector.slug, (known or slot).key),
        webhooks=connected.webhooks,
        webhook_help=connector.webhook_help if connected.webhooks == "manual" else "",
        sync_run_id=run_id,
    )


async def _new_slot(house: House, tenant: Tenant, platform: str) -> Slot:
    """A connection in the making. It is no known account's, so undoing what its address got at the platform harms none."""
    connection_id = uuid7()
    key = new_webhook_key(house.keys.box, tenant.id, connection_id)
    async with house.db.tenant(tenant.id) as conn:
        await records.insert(conn, tenant.id, connection_id, platform, key)
    return Slot(connection_id, key.plain)


async def _drop_unused(house: House, tenant: Tenant, slot: Slot) -> None:
    """Forget the slot unless it became the connection."""
    async with house.db.tenant(tenant.id) as conn:
        await records.forget(conn, tenant.id, slot.id)


async def test(house: House, tenant: Tenant, connector: Connector[Any], credentials: Settings) -> Account:
    """The account these credentials open; what trying them set up at the platform is taken back. Raises Invalid, Busy."""
    slot = await _new_slot(house, tenant, connector.slug)
    try:
        connected = await ask(house, connector, _into(house, tenant, connector, credentials, slot))
        await _undo(house, tenant, connector, credentials, slot, connected)
    finally:
        await _drop_unused(house, tenant, slot)
    return connected.account


def _into(
    house: House,
    tenant: Tenant,
    connector: Connector[Any],
    credentials: Settings,
    slot: Slot,
    memo: Mapping[str, Any] | None = None,
) -> PlatformContext:
    return platform_context(house, tenant, Place(connector, slot.key, slot.memo if memo is None else memo), credentials)


async def ask(house: House, connector: Connector[Any], ctx: PlatformContext) -> Connected:
    """The connector's answer; its refusals in words for the person who entered the credentials."""
    try:
        return await connector.connect(ctx)
    except CredentialsRejected as error:
        raise Invalid(str(error), kind="credentials-rejected", errors=error.errors) from error
    except AuthFailed as error:
        raise Invalid(str(error), kind="credentials-rejected", errors=[FieldError("", str(error))]) from error
    except Unavailable as error:
        wait = int(error.retry_after.total_seconds()) if error.retry_after else 30
        raise Busy(f"{connector.name} cannot be reached now.", detail=str(error), retry_after_s=wait) from error
    except Exception as error:
        log.exception("connect.failed platform=%s tenant=%s", connector.slug, ctx.tenant.id)
        detail = f"{connector.name} answered with something we did not expect. Nothing was stored; try again later."
        raise Busy(f"{connector.name} could not be connected.", detail=detail, retry_after_s=60) from error


async def _slot_of_account(house: House, tenant: Tenant, platform: str, account_id: str) -> Slot | None:
    """The connection this account already has, live or not."""
    async with house.db.tenant(tenant.id) as conn:
        rows = await records.of_platform(conn, tenant.id, platform)
    row = next((row for row in rows if row.account_id == account_id), None)
    if row is None:
        return None
    return Slot(row.id, open_webhook_key(house.keys.box, tenant.id, row.id, row.sealed_key), row.memo)


async def _undo(
    house: House, tenant: Tenant, connector: Connector[Any], credentials: Settings, slot: Slot, connected: Connected
) -> None:
    """Take back what connecting into ``slot`` set up at the platform, best effort."""
    with best_effort(connector, tenant):
        await connector.disconnect(_into(house, tenant, connector, credentials, slot, connected.memo))


@contextlib.contextmanager
def best_effort(connector: Connector[Any], tenant: Tenant) -> Iterator[None]:
    """What the platform makes of this is not waited for: a failure is only logged."""
    try:
        yield
    except Exception as error:
        log.warning("disconnect.incomplete platform=%s tenant=%s %s", connector.slug, tenant.id, type(error).__name__)


async def _store(
    house: House,
    caller: Caller,
    tenant: Tenant,
    connector: Connector[Any],
    credentials: Settings,
    slot: Slot,
    connected: Connected,
    *,
    whole_history: bool,
) -> UUID:
    """Store the connection, turn the plugin on, begin the first sync, tell the plugins: all or nothing."""
    sealed = seal_credentials(house.keys.box, tenant.id, slot.id, credentials)
    try:
        async with house.db.tenant(tenant.id) as conn:
            await records.mark_ready(conn, tenant.id, slot.id, connected, sealed)
            await switch.turn_on(conn, tenant.id, connector.slug)
            run_id = await runs.start(conn, tenant.id, slot.id, "first", whole_history=whole_history)
            detail = {"connectionId": str(slot.id), "account": connected.account.name}
            await audit.record(conn, tenant.id, caller, "connection.connected", connector.slug, detail)
            await publish(
                conn,
                ConnectionOpened(
                    id=uuid7(), tenant_id=tenant.id, occurred_at=datetime.now(UTC), connection_id=slot.id,
                    platform=connector.slug,
                ),
            )  # fmt: skip
            return run_id
    except asyncpg.UniqueViolationError as error:
        raise Conflict("This account was connected by someone else a moment ago. Look at its status.") from error


async def disconnect(
    house: House, caller: Caller, tenant: Tenant, connector: Connector[Any], connection_id: UUID | None = None
) -> UUID:
    """Remove our hooks at the platform, erase the credentials, keep the history; returns the connection. Raises NotFound."""
    async with house.db.tenant(tenant.id) as conn:
        row = await records.current(conn, tenant.id, connector.slug, connection_id)
    with best_effort(connector, tenant):
        await connector.disconnect(stored_context(house, tenant, connector, row))
    async with house.db.tenant(tenant.id) as conn:
        await records.mark_disconnected(conn, tenant.id, row.id)
        detail = {"connectionId": str(row.id), "account": row.account_name}
        await audit.record(conn, tenant.id, caller, "connection.disconnected", connector.slug, detail)
        await publish(
            conn,
            ConnectionLost(
                id=uuid7(), tenant_id=tenant.id, occurred_at=datetime.now(UTC), connection_id=row.id,
                platform=connector.slug, reason="Disconnected by a member of the team.",
            ),
        )  # fmt: skip
    return row.id
