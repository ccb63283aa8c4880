"""A tenant's goals as it defines them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import UNSET

from coursesignal.analytics.goal_schemas import GoalChange, GoalIn, GoalOut
from coursesignal.auth.callers import Caller
from coursesignal.errors import Conflict, FieldError, Invalid, NotFound
from coursesignal.jobs.outbox import enqueue
from coursesignal.reports import GoalKind
from coursesignal.tenancy import audit
from coursesignal.tracking.goals import JOB

MOST = 50
NEEDS = {
    "path": "Write a path that begins with a slash, such as /thanks or /blog/*.",
    "event": "Write the name of the custom event.",
    "purchase": "Write the product's title or its id on the platform.",
}
_SELECT = "select id, name, kind, target, counted_at is null as counting, created_at from goals where tenant_id = $1"


async def listing(conn: asyncpg.Connection, tenant_id: UUID) -> Sequence[GoalOut]:
    """Every goal, in the order they were made."""
    rows = await conn.fetch(f"{_SELECT} order by created_at, id", tenant_id)
    return [GoalOut(**row) for row in rows]


async def read(conn: asyncpg.Connection, tenant_id: UUID, goal_id: UUID) -> GoalOut:
    """One goal; raises NotFound."""
    row = await conn.fetchrow(f"{_SELECT} and id = $2", tenant_id, goal_id)
    if row is None:
        raise NotFound
    return GoalOut(**row)


async def add(conn: asyncpg.Connection, caller: Caller, tenant_id: UUID, wanted: GoalIn) -> GoalOut:
    """A new goal, and its history to be counted; raises Invalid, Conflict beyond MOST."""
    name, target = _name(wanted.name), _target(wanted.kind, wanted.target)
    await conn.execute("select pg_advisory_xact_lock(hashtextextended('goals ' || $1::text, 0))", str(tenant_id))
    if await conn.fetchval("select count(*) from goals where tenant_id = $1", tenant_id) >= MOST:
        raise Conflict(f"A tenant has at most {MOST} goals. Delete one first.", kind="too-many-goals")
    goal_id: UUID = await conn.fetchval(
        "insert into goals (tenant_id, name, kind, target, pattern, counted_at) "
        "values ($1, $2, $3, $4, $5, case when $3 = 'purchase' then now() end) returning id",
        tenant_id, name, wanted.kind, target, _pattern(target),
    )  # fmt: skip
    await _count(conn, tenant_id, goal_id, wanted.kind)
    await audit.record(conn, tenant_id, caller, "goal.created", name, {"kind": wanted.kind, "target": target})
    return await read(conn, tenant_id, goal_id)


async def change(
    conn: asyncpg.Connection, caller: Caller, tenant_id: UUID, goal_id: UUID, wanted: GoalChange
) -> GoalOut:
    """Rename a goal, or aim it elsewhere and count its history anew; raises NotFound, Invalid."""
    before = await read(conn, tenant_id, goal_id)
    name = before.name if wanted.name is UNSET else _name(wanted.name)
    target = before.target if wanted.target is UNSET else _target(before.kind, wanted.target)
    await conn.execute("update goals set name = $3 where tenant_id = $1 and id = $2", tenant_id, goal_id, name)
    if target != before.target:
        await _aim(conn, tenant_id, before, target)
    detail = {
        field: {"from": was, "to": now}
        for field, was, now in (("name", before.name, name), ("target", before.target, target))
        if was != now
    }
    if detail:
        await audit.record(conn, tenant_id, caller, "goal.changed", name, detail)
    return await read(conn, tenant_id, goal_id)


async def _aim(conn: asyncpg.Connection, tenant_id: UUID, goal: GoalOut, target: str) -> None:
    await conn.execute("delete from goal_hits where tenant_id = $1 and goal_id = $2", tenant_id, goal.id)
    await conn.execute(
        "update goals set target = $3, pattern = $4, counted_at = case when kind = 'purchase' then now() end "
        "where tenant_id = $1 and id = $2",
        tenant_id, goal.id, target, _pattern(target),
    )  # fmt: skip
    await _count(conn, tenant_id, goal.id, goal.kind)


async def remove(conn: asyncpg.Connection, caller: Caller, tenant_id: UUID, goal_id: UUID) -> None:
    """Forget a goal and what was counted for it; raises NotFound."""
    goal = await read(conn, tenant_id, goal_id)
    await conn.execute("delete from goals where tenant_id = $1 and id = $2", tenant_id, goal_id)
    await audit.record(conn, tenant_id, caller, "goal.deleted", goal.name)


async def _count(conn: asyncpg.Connection, tenant_id: UUID, goal_id: UUID, kind: GoalKind) -> None:
    """Purchases are read as they are; for the other kinds the events are looked through once."""
    if kind != "purchase":
        await enqueue(conn, tenant_id, JOB, {"goalId": str(goal_id)})


def _name(given: str) -> str:
    name = " ".join(given.split())
    if not name or "\x00" in name:
        raise Invalid(errors=[FieldError("name", "Write a name.")])
    return name


def _target(kind: GoalKind, given: str) -> str:
    """The target as it is compared; raises Invalid for one that can never be reached."""
    target = given.strip()
    if "\x00" in target or (kind == "opt_in") != (target == ""):
        raise Invalid(errors=[FieldError("target", NEEDS.get(kind, "An opt-in has no target."))])
    if kind == "path":
        if not target.startswith(("/", "*")) or any(mark in target for mark in "?#"):
            raise Invalid(errors=[FieldError("target", NEEDS["path"])])
        return target.rstrip("/") or "/"
    return target


def _pattern(target: str) -> str:
    """The target for ``like``: a star is anything."""
    literal: Any = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_", "*": "%"})
    return target.translate(literal)
