"""``coursesignal demo --check``: a small month over HTTP, as untidy as real networks are, and every total against the ledger.

It runs in a database of its own on the installation's server (on DATABASE_URL: in two fresh tenants), so it disturbs nothing that
is there and nothing there disturbs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import msgspec

from coursesignal.db.embedded import EmbeddedServer
from coursesignal.db.engine import Database
from coursesignal.demo import console, story, traffic
from coursesignal.demo.api import Api, DemoFailed, client, until
from coursesignal.demo.borrowing import borrowed
from coursesignal.demo.compare import Line, compare
from coursesignal.demo.ledger import totals
from coursesignal.demo.notebook import Notebook, new
from coursesignal.demo.plan import Plan
from coursesignal.demo.platforms import Platforms, sell, started
from coursesignal.demo.ports import free_port
from coursesignal.demo.reported import read
from coursesignal.demo.shops import SHOPS, Shop
from coursesignal.demo.world import Premises, prepare
from coursesignal.runtime import Runtime
from coursesignal.serve import ServerProcess
from coursesignal.settings import Settings
from coursesignal.testing.platforms import FakePlatform

DEADLINE_S = 60.0
"""How long a sync, or the pipeline after the last request, may take."""
CALM_S = 4.0
"""How long numbers that differ may still change after the last work was done."""
COPIES = 2
"""How often each webhook is posted."""


@dataclass(slots=True)
class Checked:
    """One shop's numbers, and what it took to bring them in."""

    shop: Shop
    lines: Sequence[Line]
    posts: int = 0
    webhooks: int = 0
    left: str = ""
    """What was still waiting to be processed when the time was up."""

    @property
    def wrong(self) -> int:
        return sum(1 for line in self.lines if line.difference)


@dataclass(slots=True)
class Party:
    """One shop in the check: its story, its platform, and how to ask about it."""

    premises: Premises
    plan: Plan
    platform: FakePlatform
    api: Api
    rng: random.Random
    posts: list[traffic.Post] = field(default_factory=list)
    webhooks: int = 0

    @property
    def shop(self) -> Shop:
        return self.premises.shop


async def check(settings: Settings, *, visitors: int = 200, sales: int = 40, seed: int = story.SEED) -> bool:
    """Play and compare; prints the tables and returns whether every number is right."""
    began = time.monotonic()
    console.step(f"Checking with {visitors} visitors and {sales} sales in each of {len(SHOPS)} tenants.")
    async with _own_place(settings) as (own, suffix), started() as platforms:
        own = msgspec.structs.replace(own, platform_urls=platforms.urls)
        notebook = new()
        async with Runtime.opened(own) as runtime:
            premises = await prepare(runtime, platforms, notebook, suffix=suffix)
            with ServerProcess(own, quiet=True) as server:
                async with client(server.url) as http:
                    parties = await _gather(http, platforms, premises, notebook, visitors, sales, seed)
                    console.step(
                        "Playing: events in any order, some twice; webhooks twice, shuffled, some before the visit."
                    )
                    await asyncio.gather(*(_play(party, http) for party in parties))
                    console.step("Waiting for the pipeline.")
                    checked = [await _settled(party, runtime.database) for party in parties]
    for found in checked:
        console.table(found.shop, found.lines)
    return _verdict(checked, time.monotonic() - began)


@contextlib.asynccontextmanager
async def _own_place(settings: Settings) -> AsyncIterator[tuple[Settings, str]]:
    """Settings of a migrated place to check in, and what to put behind names there."""
    port = free_port()
    settings = msgspec.structs.replace(settings, port=port, base_url=f"http://{settings.host}:{port}")
    tag = secrets.token_hex(4)
    async with borrowed(settings) as server:
        if server is None:
            await Runtime.prepare(settings).migrate()
            yield settings, f"-check-{tag}"
            return
        name = f"coursesignal_check_{tag}"
        await _as_admin(server, f"create database {name}")
        try:
            own = msgspec.structs.replace(settings, database_url=server.url(name))
            await Runtime.prepare(own).migrate()
            yield own, ""
        finally:
            await _as_admin(server, f"drop database {name} with (force)")


async def _as_admin(server: EmbeddedServer, statement: str) -> None:
    connection = await asyncpg.connect(server.url("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _gather(
    http: httpx.AsyncClient,
    platforms: Platforms,
    premises: Sequence[Premises],
    notebook: Notebook,
    visitors: int,
    sales: int,
    seed: int,
) -> Sequence[Party]:
    """Everything each shop needs, its first sync done."""
    until_at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    parties = []
    for place in premises:
        plan = story.sample(place.shop, until_at, seed=seed, visitors=visitors, sales=sales)
        api = await Api(http).login(place.owner, notebook.password, tenant=place.slug)
        rng = random.Random(f"{seed}/{place.shop.slug}/mess")  # noqa: S311 – a story, not a secret
        party = Party(place, plan, platforms.by_shop[place.shop.slug], api, rng)
        party.posts = list(traffic.messy(plan.visitors, place.shop.site, place.site_key, rng))
        await _synced(party)
        parties.append(party)
    return parties


async def _play(party: Party, http: httpx.AsyncClient) -> None:
    """Visitors and webhooks at once; what the platform does not push, such as refunds, comes with a sync."""
    for sale in party.plan.sales:
        sell(party.platform, sale)
    await asyncio.gather(traffic.send_all(http, party.posts), _push(party, http))
    await party.api.post(f"/api/{party.shop.platform}/sync")
    await _synced(party)


async def _push(party: Party, http: httpx.AsyncClient) -> None:
    answers = await party.platform.deliver(http=http, copies=COPIES, rng=party.rng)
    refused = [answer.status_code for answer in answers if not answer.is_success]
    if refused:
        raise DemoFailed(f"{len(refused)} webhooks of {party.shop.platform} were refused, with {sorted(set(refused))}.")
    party.webhooks = len(answers)


async def _synced(party: Party) -> None:
    """Wait for the sync under way."""
    path = f"/api/{party.shop.platform}/sync-status"

    async def done() -> bool:
        status = await party.api.get(path)
        if status["status"] == "failed":
            raise DemoFailed(f"The sync with {party.shop.platform} failed: {status.get('error')}")
        return bool(status["status"] == "completed")

    if not await until(done, DEADLINE_S):
        raise DemoFailed(f"The sync with {party.shop.platform} did not end within {DEADLINE_S:.0f} s.")


async def _settled(party: Party, database: Database) -> Checked:
    """Wait until nothing is left to do, then compare; numbers that differ are read again until they are calm."""
    loop = asyncio.get_running_loop()
    expected = totals(party.plan, party.shop.currency)
    found = Checked(party.shop, (), len(party.posts), party.webhooks)
    calm_at = loop.time() + DEADLINE_S

    async def over() -> bool:
        nonlocal calm_at
        found.left = await _work_left(database, party.premises)
        if found.left:
            calm_at = loop.time() + CALM_S
            return False
        calm_at = min(calm_at, loop.time() + CALM_S)
        found.lines = compare(expected, await read(party.api))
        return not found.wrong or loop.time() >= calm_at

    if not await until(over, DEADLINE_S):
        found.lines = compare(expected, await read(party.api))
    return found


async def _work_left(database: Database, premises: Premises) -> str:
    """The events, webhooks and tasks of core's own that are waiting, in words; empty when there are none."""
    async with database.tenant(premises.place.tenant_id) as conn:
        row = await conn.fetchrow(
            """
            select (select count(*) from event_batches where tenant_id = $1) as "batches of events",
                (select count(*) from inbox where tenant_id = $1 and status = 'received') as webhooks,
                (select count(*) from outbox where tenant_id = $1 and status = 'pending' and name like 'core.%') as tasks
            """,
            premises.place.tenant_id,
        )
    return ", ".join(f"{count} {what}" for what, count in row.items() if count)


def _verdict(checked: Sequence[Checked], took_s: float) -> bool:
    numbers = sum(len(found.lines) for found in checked)
    wrong = sum(found.wrong for found in checked)
    console.heading("Result")
    sent = ", ".join(f"{found.shop.name}: {found.posts} requests and {found.webhooks} webhooks" for found in checked)
    console.say(f"  {sent}, in {took_s:.0f} s.")
    for found in checked:
        if found.left:
            console.say(
                f"  {found.shop.name}: still waiting after {DEADLINE_S:.0f} s: {found.left}. Does a worker run?"
            )
    if wrong:
        console.say(f"  {wrong} of {numbers} numbers differ from the ledger.")
    else:
        console.say(f"  All {numbers} numbers in {len(checked)} tenants equal the ledger's, to the cent: difference 0.")
    return not wrong
