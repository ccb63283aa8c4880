"""Nothing raw is kept longer than the tenant says; what was shown stays.

Raw events, visits, touches that no sale was credited to, and webhooks' bodies go. Touches with credits stay, without the parts
that could lead to a person, so that every amount ever reported stays what it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.analytics.counting import close
from coursesignal.db.engine import Database
from coursesignal.privacy.schemas import PrivacyOut, RetentionRun

BATCH = 2000
"""Rows per transaction, so that nothing else waits long."""
SHOWN = 30
_BARE = "split_part(split_part({0}, '?', 1), '#', 1)"

# $2 is the cutoff, $3 how many at most. Each finds fewer rows every time, until there are none.
STEPS = {
    "events": """
        delete from events e using (
            select event_id, occurred_at from events
            where tenant_id = $1 and occurred_at < $2 and processed_at is not null order by occurred_at limit $3
        ) old where e.tenant_id = $1 and e.event_id = old.event_id and e.occurred_at = old.occurred_at""",
    "touches": """
        delete from touches where tenant_id = $1 and id in (
            select t.id from touches t where t.tenant_id = $1 and t.occurred_at < $2
                and not exists (select from credits k where k.tenant_id = $1 and k.touch_id = t.id)
            order by t.occurred_at limit $3
        )""",
    "strippedTouches": f"""
        update touches set click_id = '', landing_url = {_BARE.format("landing_url")}, referrer = {_BARE.format("referrer")}
        where tenant_id = $1 and id in (
            select id from touches where tenant_id = $1 and occurred_at < $2
                and (click_id <> '' or landing_url ~ '[?#]' or referrer ~ '[?#]') limit $3
        )""",  # noqa: S608 – of constants
    # A visit that still has a touch carries credits with it.
    "sessions": """
        delete from sessions where tenant_id = $1 and id in (
            select s.id from sessions s where s.tenant_id = $1 and s.ended_at < $2
                and not exists (select from touches t where t.tenant_id = $1 and t.session_id = s.id)
            order by s.started_at limit $3
        )""",
    "strippedSessions": f"""
        update sessions set landing_url = {_BARE.format("landing_url")} where tenant_id = $1 and id in (
            select id from sessions where tenant_id = $1 and started_at < $2 and landing_url ~ '[?#]' limit $3
        )""",  # noqa: S608 – of constants
    # Whoever bought stays tied to the browser they bought with: it is what a sale is matched by.
    "visitors": """
        delete from visitors where tenant_id = $1 and id in (
            select v.id from visitors v where v.tenant_id = $1 and v.last_seen_at < $2 and v.person_id is null
                and not exists (select from sessions s where s.tenant_id = $1 and s.visitor_id = v.id)
                and not exists (select from goal_hits h where h.tenant_id = $1 and h.visitor_id = v.id)
                and not exists (select from touches t where t.tenant_id = $1 and t.visitor_id = v.id) limit $3
        )""",
    "visitorLinks": """
        delete from visitor_links where tenant_id = $1 and (from_visitor_id, to_visitor_id) in (
            select from_visitor_id, to_visitor_id from visitor_links where tenant_id = $1 and linked_at < $2 limit $3
        )""",
    "webhooks": """
        update inbox set body = ''::bytea, headers = '{}', query = '{}', redacted_at = now() where tenant_id = $1 and id in (
            select id from inbox where tenant_id = $1 and received_at < $2 and status <> 'received' and redacted_at is null
            limit $3
        )""",
}
"""What goes, in an order in which nothing is left without what it belongs to."""


async def clear(db: Database, tenant_id: UUID, cutoff: datetime, *, batch: int = BATCH) -> Counter[str]:
    """Remove what is older than ``cutoff``, a batch per transaction; safe to repeat and to run twice at once.

    Before it goes, it is counted: the figures of the days that lose rows stay as they are from then on.
    """
    await close(db, tenant_id, cutoff)
    counts: Counter[str] = Counter()
    for name, sql in STEPS.items():
        while True:
            async with db.tenant(tenant_id) as conn:
                done = int((await conn.execute(sql, tenant_id, cutoff, batch)).rpartition(" ")[2])
            counts[name] += done
            if done < batch:
                break
    return counts


async def cutoff_of(conn: asyncpg.Connection, tenant_id: UUID) -> datetime | None:
    """Where the tenant's retention ends now; None when everything is kept."""
    cutoff: datetime | None = await conn.fetchval(
        "select date_trunc('day', now() at time zone 'UTC') at time zone 'UTC' - make_interval(days => retention_days) "
        "from tenants where id = $1",
        tenant_id,
    )
    return cutoff


async def note(
    conn: asyncpg.Connection, tenant_id: UUID, cutoff: datetime, started: datetime, counts: Counter[str]
) -> None:
    """Put a finished run on record."""
    await conn.execute(
        "insert into retention_runs (tenant_id, cutoff, started_at, finished_at, counts) "
        "values ($1, $2, $3, clock_timestamp(), $4)",
        tenant_id, cutoff, started, dict(counts),
    )  # fmt: skip


async def overview(conn: asyncpg.Connection, tenant_id: UUID) -> PrivacyOut:
    """The setting, the last runs, the erasures by status."""
    rows: Sequence[Any] = await conn.fetch(
        "select cutoff, started_at, finished_at, counts from retention_runs where tenant_id = $1 "
        "order by started_at desc limit $2",
        tenant_id,
        SHOWN,
    )
    erasures = await conn.fetch(
        "select status, count(*) as n from erasures where tenant_id = $1 group by status", tenant_id
    )
    runs = [RetentionRun(**row) for row in rows]
    return PrivacyOut(
        retention_days=await conn.fetchval("select retention_days from tenants where id = $1", tenant_id),
        last_run=runs[0] if runs else None,
        runs=runs,
        erasures={"pending": 0, "done": 0, "lifted": 0} | {row["status"]: row["n"] for row in erasures},
    )
