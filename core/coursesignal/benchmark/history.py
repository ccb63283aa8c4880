"""Ninety days of one tenant's past, made by SQL: events, sessions, touches, buyers, purchases, and credits by every model.

Rows come in the order of time, with ids in that order where the pipeline makes such ids. Written as the database's superuser, who
may leave out the checks of foreign keys; what an application does to such rows, crediting them, is done as always.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from coursesignal.attribution.service import credit
from coursesignal.benchmark.place import BenchTenant
from coursesignal.runtime import Runtime

EVENTS_PER_SESSION = 4
EVENTS_PER_VISITOR = 5
EVENTS_PER_PURCHASE = 100
CREDIT_AT_ONCE = 500

# Pieces of the statements; :rows, :buyers and :others are filled in when the size is known, :tenant is digits of $1, $2 is now.
# No two tenants share an id: the planner would take what is a key for something that many rows have.
# Every fifth session is a buyer's, so that a buyer has five touches; all others' visitors come once or twice.
_GUEST = (
    "case when n % 5 = 0 then 1 + (n::bigint / 5 * 7919) % :buyers else 1 + :buyers + (n::bigint * 7919) % :others end"
)
_VISITOR, _OF_GUEST = "md5('visitor :tenant ' || n)::uuid", f"md5('visitor :tenant ' || {_GUEST})::uuid"
_BUYER = "1 + (n::bigint * 4099) % :rows"


def _id(table: int, n: str) -> str:
    """The id of row ``n``: in order at its head, all over the place at its tail, as the ids are that the application makes."""
    tail = f"lpad(to_hex(({n}) * 151 % 256), 2, '0')"
    return f"(lpad(to_hex({n}), 8, '0') || '-0000-7000-8000-:tenant{table}' || {tail})::uuid"


_PERSON, _SESSION, _TOUCH, _PURCHASE = (_id(table, "n") for table in (1, 2, 3, 4))
_OF_BUYER = _id(1, _BUYER)
_START = "$2::timestamptz - interval '89 days'"
_AT = f"{_START} + interval '89 days' * (n::float / :rows)"
_PRICE = "4900 + n % 7 * 5000"

_PEOPLE = f"""
insert into people (tenant_id, id, email, first_seen_at)
select $1, {_PERSON}, 'buyer' || n || '@example.com', {_START} from generate_series(1, :rows) n
"""  # noqa: S608 – of constants
_VISITORS = f"""
insert into visitors (tenant_id, id, first_seen_at, last_seen_at, person_id, events)
select $1, {_VISITOR}, {_START}, $2, case when n <= :buyers then {_PERSON} end, {EVENTS_PER_VISITOR}
from generate_series(1, :rows) n
"""  # noqa: S608 – of constants
_SESSIONS = f"""
insert into sessions (tenant_id, id, visitor_id, site_id, started_at, ended_at, landing_url, pageviews, events)
select $1, {_SESSION}, {_OF_GUEST}, $3, {_AT}, {_AT} + interval '3 minutes', 'https://www.example.com/',
    {EVENTS_PER_SESSION}, {EVENTS_PER_SESSION}
from generate_series(1, :rows) n
"""  # noqa: S608 – of constants
_TOUCHES = f"""
insert into touches (tenant_id, id, event_id, visitor_id, session_id, occurred_at, channel, source, medium, campaign, is_direct)
select $1, {_TOUCH}, md5('touch :tenant ' || n)::uuid, {_OF_GUEST}, {_SESSION}, {_AT},
    (array['Organic Video', 'Direct', 'Organic Search', 'Email', 'Paid Social', 'Organic Social', 'Referral'])[1 + n % 7],
    (array['youtube', 'direct', 'google', 'newsletter', 'facebook', 'instagram', 'partner-' || n % 40 || '.test'])[1 + n % 7],
    (array['video', '', 'organic', 'email', 'paid', 'social', 'referral'])[1 + n % 7],
    case when n % 7 in (0, 3, 4) then 'campaign ' || n % 30 else '' end, n % 7 = 1
from generate_series(1, :rows) n
"""  # noqa: S608 – of constants
_EVENTS = f"""
insert into events (tenant_id, event_id, occurred_at, site_id, visitor_id, type, url, user_agent, ip_hash, processed_at,
    session_id, verdict)
select $1, md5('event :tenant ' || n || '.' || page)::uuid, {_AT} + page * interval '40 seconds', $3, {_OF_GUEST}, 'pageview',
    'https://www.example.com/page-' || (n * 7 + page) % 500, 'Mozilla/5.0', '', $2, {_SESSION}, 'ok'
from generate_series(1, :rows) n cross join generate_series(0, {EVENTS_PER_SESSION - 1}) page
"""  # noqa: S608 – of constants
_PURCHASES = f"""
insert into purchases (tenant_id, id, platform, connection_id, person_id, currency, purchased_at, charged_minor,
    refunded_minor, paid_charges, product, email, match)
select $1, {_PURCHASE}, 'teachable', $3, case when n % 10 > 0 then {_OF_BUYER} end, 'USD', {_AT}, {_PRICE},
    case when n % 20 = 0 then {_PRICE} else 0 end, 1, 'Course ' || n % 12, 'buyer' || {_BUYER} || '@example.com',
    case when n % 10 > 0 then 'email' else 'unmatched' end
from generate_series(1, :rows) n
"""  # noqa: S608 – of constants
_CHARGES = f"""
insert into charges (tenant_id, purchase_id, connection_id, external_id, kind, amount_minor, currency, occurred_at)
select $1, {_PURCHASE}, $3, kind || n, kind, case kind when 'sale' then 1 else -1 end * ({_PRICE}), 'USD',
    {_AT} + case kind when 'sale' then interval '0' else interval '1 hour' end
from generate_series(1, :rows) n
cross join lateral unnest(case when n % 20 = 0 then array['sale', 'refund'] else array['sale'] end) kind
"""  # noqa: S608 – of constants
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
        """As many as buyers; most buy once, at some time between their visits."""
        return self.events // EVENTS_PER_PURCHASE


async def write_history(runtime: Runtime, tenant: BenchTenant, size: Size) -> None:
    """Write it all, credit every purchase under every model, and bring the planner's statistics up to date."""
    async with superuser(runtime) as one, superuser(runtime) as other:
        now = datetime.now(UTC)
        await asyncio.gather(write_events(one, tenant, size, now), write_people(other, tenant, size, now))
    await vacuum(runtime)
    await credit_all(runtime, tenant)
    await vacuum(runtime)


async def write_events(conn: asyncpg.Connection, tenant: BenchTenant, size: Size, now: datetime) -> None:
    """What the tracker sent."""
    await _write(conn, tenant, size, _EVENTS, size.sessions, now, tenant.site_id)


async def write_people(conn: asyncpg.Connection, tenant: BenchTenant, size: Size, now: datetime) -> None:
    """What became of it, and what was bought."""
    connection_id = await conn.fetchval(_CONNECTION, tenant.id)
    await _write(conn, tenant, size, _PEOPLE, size.purchases, now)
    await _write(conn, tenant, size, _VISITORS, size.visitors, now)
    await _write(conn, tenant, size, _SESSIONS, size.sessions, now, tenant.site_id)
    await _write(conn, tenant, size, _TOUCHES, size.sessions, now)
    await _write(conn, tenant, size, _PURCHASES, size.purchases, now, connection_id)
    await _write(conn, tenant, size, _CHARGES, size.purchases, now, connection_id)


async def _write(
    conn: asyncpg.Connection, tenant: BenchTenant, size: Size, statement: str, rows: int, *arguments: UUID | datetime
) -> None:
    facts = {":rows": rows, ":buyers": size.purchases, ":others": size.visitors - size.purchases}
    for name, value in {**facts, ":tenant": tenant.id.hex[-9:]}.items():
        statement = statement.replace(name, str(value))
    await conn.execute(statement, tenant.id, *arguments)


async def credit_all(runtime: Runtime, tenant: BenchTenant) -> None:
    """Credit every purchase of the tenant under every model."""
    async with runtime.database.tenant(tenant.id) as conn:
        rows = await conn.fetch("select id from purchases where tenant_id = $1 order by id", tenant.id)
    ids = [row["id"] for row in rows]
    for start in range(0, len(ids), CREDIT_AT_ONCE):
        async with runtime.database.tenant(tenant.id) as conn:
            await credit(conn, tenant.id, ids[start : start + CREDIT_AT_ONCE], runtime.registry.models)


async def vacuum(runtime: Runtime) -> None:
    """What autovacuum does within minutes of such an import, and the checkpoint that would follow it."""
    async with superuser(runtime) as conn:
        await conn.execute("vacuum analyze")
        await conn.execute("checkpoint")


@contextlib.asynccontextmanager
async def superuser(runtime: Runtime) -> AsyncIterator[asyncpg.Connection]:
    """A connection that no row-level security binds, and that leaves out the checks of foreign keys."""
    async with runtime.database.control() as ours:
        database = await ours.fetchval("select current_database()")
    conn = await asyncpg.connect(runtime.where.admin, database=database)
    try:
        await conn.execute("set session_replication_role = replica")
        yield conn
    finally:
        await conn.close()
