"""Ninety days of one tenant's past, made by SQL: events, sessions, touches, buyers, purchases, and credits by every model."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from coursesignal.attribution.service import credit
from coursesignal.benchmark.place import BenchTenant
from coursesignal.runtime import Runtime

DAYS_S = 89 * 86_400
CHUNK = 50_000
EVENTS_PER_SESSION = 4
EVENTS_PER_VISITOR = 5
EVENTS_PER_PURCHASE = 100

_PEOPLE = """
insert into people (tenant_id, id, email, first_seen_at)
select $1, md5('person' || n)::uuid, 'buyer' || n || '@example.com', now() - interval '89 days'
from generate_series($2::int, $3) n
"""
_VISITORS = """
insert into visitors (tenant_id, id, first_seen_at, last_seen_at, person_id, events)
select $1, md5('visitor' || n)::uuid, now() - interval '89 days', now(),
    case when n <= $4::int then md5('person' || n)::uuid end, 5
from generate_series($2::int, $3) n
"""
_MOMENT = f"now() - make_interval(secs => (n::bigint * 104729) % {DAYS_S})"
_SESSIONS = f"""
insert into sessions (tenant_id, id, visitor_id, site_id, started_at, ended_at, landing_url, pageviews, events)
select $1, md5('session' || n)::uuid, md5('visitor' || 1 + (n::bigint * 7919) % $4::int)::uuid, $5, {_MOMENT},
    {_MOMENT} + interval '3 minutes', 'https://www.example.com/', 4, 4
from generate_series($2::int, $3) n
"""  # noqa: S608 – of constants
_TOUCHES = f"""
insert into touches (tenant_id, id, event_id, visitor_id, session_id, occurred_at, channel, source, medium, campaign,
    is_direct)
select $1, md5('touch' || n)::uuid, md5('touch' || n)::uuid, md5('visitor' || 1 + (n::bigint * 7919) % $4::int)::uuid,
    md5('session' || n)::uuid, {_MOMENT},
    (array['Organic Video', 'Direct', 'Organic Search', 'Email', 'Paid Social', 'Organic Social', 'Referral'])[1 + n % 7],
    (array['youtube', 'direct', 'google', 'newsletter', 'facebook', 'instagram', 'partner-' || n % 40 || '.test'])[1 + n % 7],
    (array['video', '', 'organic', 'email', 'paid', 'social', 'referral'])[1 + n % 7],
    case when n % 7 in (0, 3, 4) then 'campaign ' || n % 30 else '' end, n % 7 = 1
from generate_series($2::int, $3) n
"""  # noqa: S608 – of constants
_EVENTS = """
insert into events (tenant_id, event_id, occurred_at, site_id, visitor_id, type, url, user_agent, ip_hash, processed_at,
    session_id, verdict)
select $1, md5('event' || n)::uuid, now() - make_interval(secs => (n::bigint * 104729) % $5::int), $4,
    md5('visitor' || 1 + n % $6::int)::uuid, 'pageview', 'https://www.example.com/page-' || n % 500,
    'Mozilla/5.0', '', now(), null, 'ok'
from generate_series($2::int, $3) n
"""
_PURCHASES = f"""
insert into purchases (tenant_id, id, platform, connection_id, person_id, currency, purchased_at, charged_minor, paid_charges,
    product, email, match)
select $1, md5('purchase' || n)::uuid, 'teachable', $4, case when n % 10 > 0 then md5('person' || n)::uuid end, 'USD', {_MOMENT},
    4900 + n % 7 * 5000, 1, 'Course ' || n % 12, 'buyer' || n || '@example.com',
    case when n % 10 > 0 then 'email' else 'unmatched' end
from generate_series($2::int, $3) n
"""  # noqa: S608 – of constants
_CHARGES = """
insert into charges (tenant_id, purchase_id, connection_id, external_id, kind, amount_minor, currency, occurred_at)
select $1, md5('purchase' || n)::uuid, p.connection_id, kind || n, kind,
    case kind when 'sale' then 1 else -1 end * p.charged_minor, 'USD',
    p.purchased_at + case kind when 'sale' then interval '0' else interval '1 hour' end
from generate_series($2::int, $3) n
join purchases p on p.tenant_id = $1 and p.id = md5('purchase' || n)::uuid
cross join lateral unnest(case when n % 20 = 0 then array['sale', 'refund'] else array['sale'] end) kind
"""
_CONNECTION = """
insert into connections (tenant_id, platform, key_hash, sealed_key, account_id, account_name, state)
values ($1, 'teachable', 'bench', '', 'bench', 'Bench School', 'ready') returning id
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much history: the rest follows from the number of events."""

    events: int

    @property
    def sessions(self) -> int:
        return self.events // EVENTS_PER_SESSION

    @property
    def visitors(self) -> int:
        return self.events // EVENTS_PER_VISITOR

    @property
    def purchases(self) -> int:
        return self.events // EVENTS_PER_PURCHASE


async def write_history(runtime: Runtime, tenant: BenchTenant, size: Size) -> None:
    """Write it all, credit every purchase under every model, and bring the planner's statistics up to date."""
    await _in_chunks(runtime, tenant, _PEOPLE, size.purchases)
    await _in_chunks(runtime, tenant, _VISITORS, size.visitors, size.purchases)
    await _in_chunks(runtime, tenant, _SESSIONS, size.sessions, size.visitors, tenant.site_id)
    await _in_chunks(runtime, tenant, _TOUCHES, size.sessions, size.visitors)
    for first in range(1, size.events + 1, CHUNK):
        async with runtime.database.ingest.acquire() as conn:
            last = min(first + CHUNK - 1, size.events)
            await conn.execute(_EVENTS, tenant.id, first, last, tenant.site_id, DAYS_S, size.visitors)
    await _write_sales(runtime, tenant, size)
    await _analyse(runtime)


async def _in_chunks(runtime: Runtime, tenant: BenchTenant, statement: str, rows: int, *arguments: object) -> None:
    for first in range(1, rows + 1, CHUNK):
        async with runtime.database.tenant(tenant.id) as conn:
            await conn.execute(statement, tenant.id, first, min(first + CHUNK - 1, rows), *arguments)


async def _write_sales(runtime: Runtime, tenant: BenchTenant, size: Size) -> None:
    async with runtime.database.tenant(tenant.id) as conn:
        connection_id = await conn.fetchval(_CONNECTION, tenant.id)
    await _in_chunks(runtime, tenant, _PURCHASES, size.purchases, connection_id)
    await _in_chunks(runtime, tenant, _CHARGES, size.purchases)
    async with runtime.database.tenant(tenant.id) as conn:
        rows = await conn.fetch("select id from purchases where tenant_id = $1 order by id", tenant.id)
    ids = [row["id"] for row in rows]
    for start in range(0, len(ids), 1000):
        async with runtime.database.tenant(tenant.id) as conn:
            await credit(conn, tenant.id, ids[start : start + 1000], runtime.registry.models)


async def _analyse(runtime: Runtime) -> None:
    """What autovacuum does within minutes of such an import."""
    owner = await asyncpg.connect(runtime.where.owner)
    try:
        await owner.execute("vacuum analyze")
    finally:
        await owner.close()
