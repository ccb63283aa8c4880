"""A whole installation loses its web process and its worker again and again under load: what was acknowledged is there once.

``COURSESIGNAL_FAULT_ROUNDS`` says how often each is killed.
"""

from __future__ import annotations

import asyncio
import os
import secrets
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


async def send_until_acknowledged(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> int:
    """Post the same body until it is answered with a 2xx; returns how often that took."""
    attempts = 0
    while True:
        attempts += 1
        try:
            answer = await http.post(path, json=body)
        except httpx.HTTPError:
            continue
        if answer.status_code < 300:
            return attempts
        assert answer.status_code == 503, answer.text


async def visit(http: httpx.AsyncClient, shop: Shop, stop: asyncio.Event) -> None:
    while not stop.is_set():
        ids = [uuid4() for _ in range(3)]
        events = [
            {"eventId": str(one), "type": "pageview", "url": "https://example.com/?utm_source=youtube"} for one in ids
        ]
        body = {"siteKey": shop.site_key, "visitorId": str(uuid4()), "events": events}
        shop.repeats += await send_until_acknowledged(http, "/api/tracking/event", body) - 1
        shop.events += ids


async def sell(http: httpx.AsyncClient, shop: Shop, stop: asyncio.Event, numbers: Iterator[int]) -> None:
    while not stop.is_set():
        number = next(numbers)
        shop.repeats += await send_until_acknowledged(http, shop.webhook, sale(number)) - 1
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


async def kill_again_and_again(server: ServerProcess, shop: Shop) -> None:
    """Kill the web process and the worker in turns, each time after more was acknowledged."""
    for number in range(2 * ROUNDS):
        role, since = ("web", "worker")[number % 2], shop.acknowledged

        async def ready(role: str = role, since: int = since) -> psutil.Process | None:
            return child(server, role) if shop.acknowledged >= since + BETWEEN_KILLS else None

        (await eventually(ready, 60, f"{BETWEEN_KILLS} more acknowledgements beside a live {role} process")).kill()


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
        await kill_again_and_again(server, shop)
        stop.set()
        await asyncio.wait(senders)
    assert shop.repeats > 0, "no request was ever cut off: the kills proved nothing"

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
        dead = await conn.fetchval(
            "select count(*) from outbox where tenant_id = $1 and status = 'dead'", shop.tenant_id
        )
        announced = await conn.fetchval(
            "select count(*) from outbox where tenant_id = $1 and kind = 'event' and name = 'purchase_recorded'",
            shop.tenant_id,
        )
    assert sorted(events) == sorted(shop.events)
    assert [tuple(row) for row in inbox] == [("done", len(shop.sales))]
    assert {(row["times"], row["amount"]) for row in charges} == {(1, 9900)}
    assert len(charges) == purchases == announced == len(shop.sales)
    assert touches == len(shop.events) // 3
    assert dead == 0
