"""The life of a connection: one table of what may happen in each state, and where it leads.

"off" is no row at all, or a plugin that is turned off. What is not in the table has no effect: a sync that ends after its
connection was disconnected changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args
from uuid import UUID

import asyncpg
import msgspec

State = Literal["off", "connecting", "ready", "needs_reauth", "failing", "disconnected"]
Happening = Literal["begun", "abandoned", "connected", "worked", "refused", "gave_up", "disconnected"]
"""``refused``: the platform does not take our credentials. ``gave_up``: it failed for long. ``worked``: a sync ended well."""

TRANSITIONS: Mapping[tuple[State, Happening], State] = {
    ("off", "begun"): "connecting",
    ("connecting", "abandoned"): "off",
    ("connecting", "connected"): "ready",
    ("ready", "connected"): "ready",
    ("ready", "worked"): "ready",
    ("ready", "refused"): "needs_reauth",
    ("ready", "gave_up"): "failing",
    ("ready", "disconnected"): "disconnected",
    ("needs_reauth", "connected"): "ready",
    ("needs_reauth", "worked"): "ready",
    ("needs_reauth", "refused"): "needs_reauth",
    ("needs_reauth", "disconnected"): "disconnected",
    ("failing", "connected"): "ready",
    ("failing", "worked"): "ready",
    ("failing", "refused"): "needs_reauth",
    ("failing", "gave_up"): "failing",
    ("failing", "disconnected"): "disconnected",
    ("disconnected", "connected"): "ready",
}
STATES: tuple[State, ...] = get_args(State)
LIVE: frozenset[State] = frozenset({"ready", "needs_reauth", "failing"})
"""Connected, as far as a person is concerned: there are credentials and a webhook address."""
TROUBLED: frozenset[State] = frozenset({"needs_reauth", "failing"})
"""The states that have a reason, in the platform's own words."""


class Moved(msgspec.Struct, frozen=True):
    """What a happening did to a connection."""

    before: State
    after: State

    @property
    def entered(self) -> bool:
        """Whether the connection was in another state before."""
        return self.before != self.after


def after(state: State, happening: Happening) -> State:
    """The state that follows; the same where the happening means nothing."""
    return TRANSITIONS.get((state, happening), state)


async def move(
    conn: asyncpg.Connection, tenant_id: UUID, connection_id: UUID, happening: Happening, reason: str | None = None
) -> Moved | None:
    """Note what happened to a stored connection, in the caller's transaction; None when there is no such connection.

    Each change of state, and each new reason, is a line of its journal.
    """
    row = await conn.fetchrow(
        "select state, problem from connections where tenant_id = $1 and id = $2 for update", tenant_id, connection_id
    )
    if row is None:
        return None
    moved = Moved(row["state"], after(row["state"], happening))
    possible = (moved.before, happening) in TRANSITIONS
    problem = reason if possible and moved.after in TROUBLED else row["problem"] if not possible else None
    if moved.entered or problem != row["problem"]:
        await _keep(conn, tenant_id, connection_id, moved, happening, problem, reason if possible else None)
    return moved


async def _keep(
    conn: asyncpg.Connection,
    tenant_id: UUID,
    connection_id: UUID,
    moved: Moved,
    happening: Happening,
    problem: str | None,
    reason: str | None,
) -> None:
    await conn.execute(
        "update connections set state = $3, problem = $4, "
        "state_changed_at = case when state = $3 then state_changed_at else now() end "
        "where tenant_id = $1 and id = $2",
        tenant_id, connection_id, moved.after, problem,
    )  # fmt: skip
    await conn.execute(
        "insert into connection_changes (tenant_id, connection_id, happened, from_state, to_state, reason) "
        "values ($1, $2, $3, $4, $5, $6)",
        tenant_id, connection_id, happening, moved.before, moved.after, reason,
    )  # fmt: skip
