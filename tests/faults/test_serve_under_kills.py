"""A whole installation loses its web process and its worker again and again under load: what was acknowledged is there once.

``COURSESIGNAL_FAULT_ROUNDS`` says how often each is killed. A kill counts when it hit: a request was cut off, or a
task was under way.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import pytest

from coursesignal.db.embedded import EmbeddedServer
from coursesignal.db.engine import Database
from coursesignal.db.roles import APP, DATABASE, INGEST
from coursesignal.security.tokens import hash_token
from coursesignal.serve import ServerProcess
from coursesignal.testing.live import live_server
from coursesignal.testing.waiting import eventually

pytestmark = pytest.mark.faults

ROUNDS = int(os.environ.get("COURSESIGNAL_FAULT_ROUNDS", "4"))
BETWEEN_KILLS = 40
"""Acknowledged requests."""
SENDERS, SELLERS = 6, 3
UNDER_WAY = """
    select lease_token from outbox
    where tenant_id = $1 and status = 'pending' and attempts > 0 and lease_until > clock_timestamp()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with live_server(tmp_path_factory.mktemp("kills")) as process:
        yield process


@pytest.fixture(scope="module")
async def database(anyio_backend: str, server: ServerProcess) -> AsyncIterator[Database]:
    embedded = EmbeddedServer(server.settings.home)
    database = await Database.open(embedded.url(DATABASE, APP), embedded.url(DATABASE, INGEST))
    yield database
    await database.close()


@dataclass
class Shop:
    """A tenant's addresses, and what was acknowledged there."""

    tenant_id: UUID
    site_key: str
    webhook: str
    events: list[UUID] = field(default_factory=list)
    sales: list[int] = field(default_factory=list)
    repeats: int = 0
    """Requests that were sent again because nobody answered them."""
    orphans: set[UUID] = field(default_factory=set)
    """Leases of tasks whose worker was killed."""
    recoveries_s: list[float] = field(default_factory=list)
    """From a kill of the web process to the next acknowledgement."""

    @property
    def acknowledged(self) -> int:
        return len(self.events) + len(self.sales)


@pytest.fixture
async def shop(database: Database) -> Shop:
    site_key, key = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    async with database.control() as conn:
        tenant_id = await conn.fetchval(
            "insert into tenants (slug, name) values ($1, 'Kills') returning id", f"kills-{secrets.token_hex(4)}"
        )
    async with database.tenant(tenant_id) as conn:
        await conn.execute(
            "insert into sites (tenant_id, public_key, name) values ($1, $2, 'Site')", tenant_id, site_key
        )
        await conn.execute(
            "insert into plugin_states (tenant_id, plugin, granted, enabled) values ($1, 'teachable', true, true)",
            tenant_id,
        )
        await conn.execute(
            "insert into connections (tenant_id, platform, key_hash, sealed_key, account_id, state) "
            "values ($1, 'teachable', $2, ''::bytea, 'school', 'ready')", tenant_id, hash_token(key),
        )  # fmt: skip
    return Shop(tenant_id, site_key, f"/api/webhooks/teachable/{key}")


async def send_until_acknowledged(http: httpx.AsyncClient, shop: Shop, path: str, body: dict[str, Any]) -> None:
    """Post the same body until it is answered with a 2xx."""
    while True:
        try:
            answer = await http.post(path, json=body)
        except httpx.HTTPError:
            shop.repeats += 1
            continue
        if answer.status_code < 300:
            return
        assert answer.status_code == 503, answer.text


async def visit(http: httpx.AsyncClient, shop: Shop, stop: asyncio.Event) -> None:
    while not stop.is_set():
        ids = [uuid4() for _ in range(3)]
        events = [
            {"eventId": str(one), "type": "pageview", "url": "https://example.com/?utm_source=youtube"} for one in ids
        ]
        body = {"siteKey": shop.site_key, "visitorId": str(uuid4()), "events": events}
        await send_until_acknowledged(http, shop, "/api/tracking/event", body)
        shop.events += ids


async def sell(http: httpx.AsyncClient, shop: Shop, stop: asyncio.Event, numbers: Iterator[int]) -> None:
    while not stop.is_set():
        number = next(numbers)
        await send_until_acknowledged(http, shop, shop.webhook, sale(number))
        shop.sales.append(number)


def sale(number: int) -> dict[str, Any]:
    return {
        "type": "Transaction.created", "id": number, "livemode": True, "created": "2026-03-01T12:00:00Z", "hook_event_id": number,
        "object": {
            "id": number, "user_id": number, "user": {"id": number, "email": f"buyer{number}@example.com", "name": "Pat Example"},
            "sale": {"id": number, "product": {"id": 88, "name": "Full price", "is_recurring": False}},
            "final_price": 9900, "currency": "USD", "status": "paid",
            "purchased_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }  # fmt: skip


def child(server: ServerProcess, role: str) -> psutil.Process | None:
    """The supervisor's process of that role, if it is alive."""
    for process in psutil.Process(server.pid).children():
        try:
            if role in process.cmdline():
                return process
        except psutil.NoSuchProcess:
            continue
    return None


async def ready_to_be_killed(server: ServerProcess, shop: Shop, role: str) -> psutil.Process:
    """The living process of that role, once more was acknowledged beside it."""
    since = shop.acknowledged

    async def ready() -> psutil.Process | None:
        return child(server, role) if shop.acknowledged >= since + BETWEEN_KILLS else None

    return await eventually(ready, 60, f"{BETWEEN_KILLS} more acknowledgements beside a live {role} process")


async def kill_web(server: ServerProcess, shop: Shop) -> bool:
    """Kill the web process; returns whether requests were cut off."""
    process = await ready_to_be_killed(server, shop, "web")
    cut_before, acknowledged_before, began = shop.repeats, shop.acknowledged, time.monotonic()
    process.kill()
    process.wait()

    async def answers_again() -> bool:
        return shop.acknowledged > acknowledged_before + SENDERS + SELLERS

    await eventually(answers_again, 60, "an answer after a kill")
    shop.recoveries_s.append(time.monotonic() - began)
    return shop.repeats > cut_before


async def kill_worker(server: ServerProcess, shop: Shop, database: Database) -> bool:
    """Kill the workers while one runs tasks; returns whether one of those had no chance to end."""

    async def under_way() -> set[UUID]:
        async with database.tenant(shop.tenant_id) as conn:
            rows = await conn.fetch(UNDER_WAY, shop.tenant_id)
        return {row["lease_token"] for row in rows} - shop.orphans

    process = await ready_to_be_killed(server, shop, "tasks")
    await eventually(under_way, 60, "a task under way")
    for each in (process, child(server, "events")):
        if each is not None:
            each.kill()
            each.wait()
    hit = await under_way()
    shop.orphans |= hit
    return bool(hit)


async def kill_again_and_again(server: ServerProcess, shop: Shop, database: Database) -> None:
    """Kill the web process and the worker in turns, until each was hit in ROUNDS kills."""
    hits = {"web": 0, "worker": 0}
    for _ in range(5 * ROUNDS):
        if hits["web"] < ROUNDS:
            hits["web"] += await kill_web(server, shop)
        if hits["worker"] < ROUNDS:
            hits["worker"] += await kill_worker(server, shop, database)
    assert hits == {"web": ROUNDS, "worker": ROUNDS}, "a kill that hits nothing proves nothing"


@pytest.mark.timeout(900)
async def test_everything_acknowledged_is_there_exactly_once(
    server: ServerProcess, database: Database, shop: Shop
) -> None:
    stop = asyncio.Event()
    numbers = iter(range(1, 10**9))
    async with (
        httpx.AsyncClient(base_url=server.settings.base_url, timeout=10) as http,
        asyncio.TaskGroup() as group,
    ):
        senders = [group.create_task(visit(http, shop, stop)) for _ in range(SENDERS)]
        senders += [group.create_task(sell(http, shop, stop, numbers)) for _ in range(SELLERS)]
        await kill_again_and_again(server, shop, database)
        stop.set()
        await asyncio.wait(senders)

    async def settled() -> bool:
        async with database.tenant(shop.tenant_id) as conn:
            left: int = await conn.fetchval(
                "select (select count(*) from event_batches where tenant_id = $1) + "
                "(select count(*) from outbox where tenant_id = $1 and status = 'pending')", shop.tenant_id,
            )  # fmt: skip
        return left == 0

    await eventually(settled, 240, "the end of all work")
    async with database.tenant(shop.tenant_id) as conn:
        events = [
            row["event_id"]
            for row in await conn.fetch("select event_id from events where tenant_id = $1", shop.tenant_id)
        ]
        inbox = await conn.fetch(
            "select status, count(*) from inbox where tenant_id = $1 group by status", shop.tenant_id
        )
        charges = await conn.fetch(
            "select external_id, count(*) as times, sum(amount_minor)::int as amount from charges where tenant_id = $1 "
            "group by external_id", shop.tenant_id,
        )  # fmt: skip
        purchases = await conn.fetchval("select count(*) from purchases where tenant_id = $1", shop.tenant_id)
        touches = await conn.fetchval("select count(*) from touches where tenant_id = $1", shop.tenant_id)
        dead = await conn.fetch(
            "select name, attempts, last_error from outbox where tenant_id = $1 and status = 'dead'", shop.tenant_id
        )
        most_attempts = await conn.fetchval("select max(attempts) from outbox where tenant_id = $1", shop.tenant_id)
        announced = await conn.fetchval(
            "select count(*) from outbox where tenant_id = $1 and kind = 'event' and name = 'purchase_recorded'",
            shop.tenant_id,
        )
    assert [dict(row) for row in dead] == []
    assert sorted(events) == sorted(shop.events)
    assert [tuple(row) for row in inbox] == [("done", len(shop.sales))]
    assert {(row["times"], row["amount"]) for row in charges} == {(1, 9900)}
    assert len(charges) == purchases == announced == len(shop.sales)
    assert touches == len(shop.events) // 3
    print(
        f"{ROUNDS} kills each of web and worker: {len(events)} events and {len(charges)} sales acknowledged, "
        f"{shop.repeats} requests cut off, {len(shop.orphans)} tasks interrupted (one {most_attempts - 1} times), "
        f"0 lost, 0 twice; answers again after {statistics.median(shop.recoveries_s):.1f} s, "
        f"at most {max(shop.recoveries_s):.1f} s"
    )
