"""Everything a tenant has of one person: by their address, by what else they are known by, and by their visitors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from coursesignal.connections import inbox
from coursesignal.connections.house import House
from coursesignal.identity.tombstones import Tombstones

Section = Sequence[Mapping[str, Any]]
SHOWN_BYTES = 256 * 1024
CHUNK = 200

_PEOPLE = """
    with named as (select person_id from person_identifiers where tenant_id = $1 and kind = 'email' and value_key = $2)
    select id from people
    where tenant_id = $1 and (id in (select person_id from named) or merged_into in (select person_id from named))"""
# $2 are the people, $3 their visitors, $4 their purchases, $5 the address.
_SECTIONS = {
    "person": "select id, email, name, first_seen_at, merged_into from people where tenant_id = $1 and id = any($2)",
    "identifiers": "select person_id, kind, value_key as value, evidence, confidence, first_seen_at from person_identifiers "
    "where tenant_id = $1 and person_id = any($2) order by first_seen_at",
    "visitors": "select id, first_seen_at, last_seen_at, events from visitors where tenant_id = $1 and id = any($3)",
    "sessions": "select id, visitor_id, started_at, ended_at, landing_url, pageviews, events from sessions "
    "where tenant_id = $1 and visitor_id = any($3) order by started_at",
    "events": "select event_id, visitor_id, occurred_at, received_at, type, name, url, referrer, title, email, props, "
    "user_agent from events where tenant_id = $1 and visitor_id = any($3) order by occurred_at",
    "touches": "select id, visitor_id, session_id, occurred_at, channel, source, medium, campaign, content, term, "
    "click_id_name, click_id, referrer, landing_url from touches where tenant_id = $1 and visitor_id = any($3) "
    "order by occurred_at",
    "purchases": "select id, platform, purchased_at, currency, charged_minor, refunded_minor, product, email, "
    "corrected_email, gift_recipient, hints, cancelled_at from purchases where tenant_id = $1 and id = any($4) "
    "order by purchased_at",
    "items": "select purchase_id, external_id, title, quantity, amount_minor from purchase_items "
    "where tenant_id = $1 and purchase_id = any($4) order by purchase_id, external_id",
    "charges": "select purchase_id, external_id, kind, amount_minor, currency, occurred_at from charges "
    "where tenant_id = $1 and purchase_id = any($4) order by occurred_at",
    "facts": "select purchase_id, occurred_at, facts from purchase_facts "
    "where tenant_id = $1 and purchase_id = any($4) order by occurred_at",
    "credits": "select k.purchase_id, k.model, t.source, t.channel, sum(k.amount_minor)::bigint as amount_minor "
    "from credits k join touches t on t.tenant_id = $1 and t.id = k.touch_id "
    "where k.tenant_id = $1 and k.purchase_id = any($4) group by 1, 2, 3, 4 order by 1, 2, 3",
    "claims": "select source, answer, evidence, occurred_at from claims "
    "where tenant_id = $1 and (email_key = $5 or visitor_id = any($3)) order by occurred_at",
}


async def collect(house: House, tenant_id: UUID, email: str) -> dict[str, Section]:
    """The sections of an export, each a list of rows as they are stored; one consistent state but for the webhooks."""
    async with house.db.tenant(tenant_id) as conn:
        await conn.execute("set transaction isolation level repeatable read read only")
        values = await _whose(conn, tenant_id, email)
        found: dict[str, Section] = {
            name: [dict(row) for row in await _rows(conn, sql, (tenant_id, *values))] for name, sql in _SECTIONS.items()
        }
    known = {("email", email)} | {(row["kind"], row["value"]) for row in found["identifiers"]}
    found["webhooks"] = await _webhooks(house, tenant_id, known)
    return found


async def _whose(conn: asyncpg.Connection, tenant_id: UUID, email: str) -> tuple[Any, ...]:
    """People, visitors and purchases of the address."""
    people = [row["id"] for row in await conn.fetch(_PEOPLE, tenant_id, email)]
    visitors = await conn.fetch(
        "select id from visitors where tenant_id = $1 and person_id = any($2)", tenant_id, people
    )
    purchases = await conn.fetch(
        "select id from purchases where tenant_id = $1 and (person_id = any($2) or lower(email) = $3 or "
        "lower(gift_recipient) = $3)",
        tenant_id, people, email,
    )  # fmt: skip
    return people, [row["id"] for row in visitors], [row["id"] for row in purchases], email


async def _rows(conn: asyncpg.Connection, sql: str, values: tuple[Any, ...]) -> Sequence[Any]:
    """The query may name any of $1 to $5; those it does not name are not sent."""
    used = [n for n in range(1, len(values) + 1) if f"${n}" in sql]
    for place, n in enumerate(used, 1):
        sql = sql.replace(f"${n}", f"${place}")
    rows: Sequence[Any] = await conn.fetch(sql, *(values[n - 1] for n in used))
    return rows


async def _webhooks(house: House, tenant_id: UUID, known: Collection[tuple[str, str]]) -> Section:
    """Stored webhooks that name the person by anything they are known by, with what they said."""
    async with house.db.tenant(tenant_id) as conn:
        wanted = Tombstones.of_known(tenant_id, known)
        rows = conn.cursor(
            "select i.id, i.connection_id, i.body, i.headers, i.query, i.received_at, i.status, c.platform "
            "from inbox i join connections c on c.tenant_id = i.tenant_id and c.id = i.connection_id "
            "where i.tenant_id = $1 and i.redacted_at is null",
            tenant_id, prefetch=CHUNK,
        )  # fmt: skip
        return [
            {
                "id": row["id"], "platform": row["platform"], "received_at": row["received_at"], "status": row["status"],
                "body": row["body"][:SHOWN_BYTES].decode("utf-8", "replace").replace("\x00", ""),
            }
            async for row in rows
            if inbox.names(house, row, wanted)
        ]  # fmt: skip
