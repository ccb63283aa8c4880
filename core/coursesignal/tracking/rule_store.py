"""A tenant's channel rules as stored: every version is kept, the highest is in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from coursesignal.auth.callers import Caller
from coursesignal.db.locks import lock_tracking
from coursesignal.errors import NotFound
from coursesignal.jobs.outbox import enqueue
from coursesignal.plugin import ChannelRule
from coursesignal.tenancy import audit
from coursesignal.tracking.batch import Connection
from coursesignal.tracking.own_rules import OwnRule, channel_rules

APPLY = "core.apply_channel_rules"
"""The job that applies the rules in force to history."""

Status = Literal["none", "pending", "running", "completed", "superseded"]


@dataclass(frozen=True, slots=True)
class InForce:
    """What the pipeline needs of the version in force; version 0 is a tenant that never wrote any."""

    version: int = 0
    channel_rules: tuple[ChannelRule, ...] = ()
    excluded_referrers: tuple[str, ...] = ()
    counted_referrers: frozenset[str] = frozenset()


class Application(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far a version has been applied to the touches of the past; ``changed`` is how many moved."""

    status: Status = "none"
    total: int = 0
    processed: int = 0
    changed: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None


class RuleSet(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One version; ``version`` 0 is what holds before the first is written: no rules of one's own."""

    version: int = 0
    rules: list[OwnRule] = []
    excluded_referrers: list[str] = []
    counted_referrers: list[str] = []
    created_at: datetime | None = None
    created_by: str | None = None
    application: Application = Application()


_LATEST = "select * from channel_rules where tenant_id = $1 order by version desc limit $2"


async def rules_in_force(conn: Connection, tenant_id: UUID) -> InForce:
    """The tenant's rules, ready to be asked."""
    row = await conn.fetchrow(
        "select version, rules, excluded_referrers, counted_referrers from channel_rules "
        "where tenant_id = $1 order by version desc limit 1",
        tenant_id,
    )
    if row is None:
        return InForce()
    rules = msgspec.convert(row["rules"], list[OwnRule])
    return InForce(
        row["version"], channel_rules(rules), tuple(row["excluded_referrers"]), frozenset(row["counted_referrers"])
    )


async def versions(conn: Connection, tenant_id: UUID, limit: int) -> list[RuleSet]:
    """The tenant's versions, the one in force first."""
    return [_rule_set(row) for row in await conn.fetch(_LATEST, tenant_id, limit)]


async def in_force(conn: Connection, tenant_id: UUID) -> RuleSet:
    """The version in force."""
    found = await versions(conn, tenant_id, 1)
    return found[0] if found else RuleSet()


async def put(
    conn: Connection,
    tenant_id: UUID,
    caller: Caller,
    rules: Sequence[OwnRule],
    excluded: Sequence[str],
    counted: Sequence[str],
) -> RuleSet:
    """Write the next version, unless it says what the one in force says, and have it applied to history."""
    await lock_tracking(conn, tenant_id)
    before = await in_force(conn, tenant_id)
    if (before.rules, before.excluded_referrers, before.counted_referrers) == (
        list(rules),
        list(excluded),
        list(counted),
    ):
        return before
    version = before.version + 1
    await conn.execute(
        "insert into channel_rules (tenant_id, version, rules, excluded_referrers, counted_referrers, created_by) "
        "values ($1, $2, $3, $4, $5, $6)",
        tenant_id, version, msgspec.to_builtins(list(rules)), list(excluded), list(counted), caller.name,
    )  # fmt: skip
    detail = {
        "version": version,
        "rules": len(rules),
        "excludedReferrers": list(excluded),
        "countedReferrers": list(counted),
    }
    await audit.record(conn, tenant_id, caller, "channel-rules.changed", f"version {version}", detail)
    await start(conn, tenant_id, version)
    return await in_force(conn, tenant_id)


async def apply_again(conn: Connection, tenant_id: UUID, caller: Caller) -> RuleSet:
    """Apply the version in force to history once more, after a plugin's rules changed for example; raises NotFound for none."""
    await lock_tracking(conn, tenant_id)
    now = await in_force(conn, tenant_id)
    if not now.version:
        raise NotFound
    await audit.record(conn, tenant_id, caller, "channel-rules.applied", f"version {now.version}")
    await start(conn, tenant_id, now.version)
    return await in_force(conn, tenant_id)


async def start(conn: Connection, tenant_id: UUID, version: int) -> None:
    """Begin the application of ``version``; what an earlier one had not done yet is not done any more."""
    await conn.execute(
        "update channel_rules set status = 'superseded', finished_at = now() "
        "where tenant_id = $1 and version < $2 and status in ('pending', 'running')",
        tenant_id,
        version,
    )
    await conn.execute(
        "update channel_rules set status = 'pending', total = null, processed = 0, changed = 0, position = null, "
        "started_at = null, finished_at = null where tenant_id = $1 and version = $2",
        tenant_id,
        version,
    )
    await enqueue(conn, tenant_id, APPLY, {"version": version})


def _rule_set(row: Any) -> RuleSet:
    return RuleSet(
        version=row["version"],
        rules=msgspec.convert(row["rules"], list[OwnRule]),
        excluded_referrers=list(row["excluded_referrers"]),
        counted_referrers=list(row["counted_referrers"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
        application=Application(
            status=row["status"], total=row["total"] or 0, processed=row["processed"], changed=row["changed"],
            started_at=row["started_at"], finished_at=row["finished_at"],
        ),
    )  # fmt: skip
