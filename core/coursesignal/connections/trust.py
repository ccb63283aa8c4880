"""Which money is verified. What a signed webhook or the platform's API tells is; what only an unsigned one told is not yet.

Such money counts, and shows as unverified wherever a connection is shown, until a sync reads it back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.commerce.money import money_in
from coursesignal.connections.schemas import Unverified
from coursesignal.plugin import Connector, PlatformEvent, RefundTotal

_CONFIRM = "update charges set verified = true where tenant_id = $1 and connection_id = $2 and not verified and "


def ids_of(events: Sequence[PlatformEvent]) -> list[str]:
    """Our ids of the money that events tell of."""
    return [money.external_id for event in events if (money := money_in(event)) is not None]


def is_doubtful(connector: Connector[Any] | None, *, signed: bool) -> bool:
    """Whether a webhook's word alone is not enough: it is unsigned, and there is an API to ask."""
    return connector is not None and not signed and bool(connector.streams)


async def known(conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, ids: Collection[str]) -> set[str]:
    """Those of ``ids`` that are booked already."""
    rows = await conn.fetch(
        "select external_id from charges where tenant_id = $1 and connection_id = $2 and external_id = any($3)",
        tenant_id, connection_id, list(ids),
    )  # fmt: skip
    return {row["external_id"] for row in rows}


async def doubt(conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, ids: Collection[str]) -> None:
    """Money that was booked on the word of an unsigned webhook."""
    await conn.execute(
        "update charges set verified = false where tenant_id = $1 and connection_id = $2 and external_id = any($3)",
        tenant_id, connection_id, list(ids),
    )  # fmt: skip


async def confirm(
    conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, events: Sequence[PlatformEvent]
) -> None:
    """The platform's API tells of this money; a refund total confirms every smaller one of its charge."""
    await conn.execute(f"{_CONFIRM} external_id = any($3)", tenant_id, connection_id, ids_of(events))
    totals = [event for event in events if isinstance(event, RefundTotal)]
    if totals:
        await conn.execute(
            f"{_CONFIRM} exists (select from unnest($3::text[], $4::bigint[]) told (charge, total) "
            "where told.charge = charges.refund_of and charges.refund_total <= told.total)",
            tenant_id, connection_id, [one.charge_external_id for one in totals], [one.total_minor for one in totals],
        )  # fmt: skip


async def unverified(conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID) -> list[Unverified]:
    """What only unsigned webhooks told of so far, by currency."""
    rows = await conn.fetch(
        "select currency, count(*) as charges, sum(amount_minor)::bigint as amount_minor from charges "
        "where tenant_id = $1 and connection_id = $2 and not verified group by currency order by currency",
        tenant_id, connection_id,
    )  # fmt: skip
    return [Unverified(**row) for row in rows]
