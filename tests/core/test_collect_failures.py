"""When the database is slow, gone or stopping: stored, or 503 and send again; nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
import pytest

from coursesignal.errors import Busy
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.tracking.collect import CollectApp
from coursesignal.tracking.commit import GroupCommit
from coursesignal.tracking.pipeline import drain

PATH = "/api/tracking/event"


@pytest.fixture(scope="module")
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


class Nothing:
    """An application behind the collect endpoint that nobody calls."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError(scope["path"])

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        yield


@contextlib.asynccontextmanager
async def collecting(installation: Runtime, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A collect endpoint of its own, stopped gracefully at the end."""
    app = CollectApp(
        Nothing(), installation.database, installation.keys, msgspec.structs.replace(installation.settings, **settings)
    )
    async with (
        app.lifespan(),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://coursesignal.test", timeout=30
        ) as http,  # type: ignore[arg-type]
    ):
        yield http


@contextlib.asynccontextmanager
async def events_locked(installation: Runtime) -> AsyncIterator[None]:
    """Nobody else can write an event meanwhile."""
    owner = await asyncpg.connect(installation.where.owner)
    try:
        async with owner.transaction():
            await owner.execute("lock table events in access exclusive mode")
            yield
    finally:
        await owner.close()


def submission(tenant: ActingTenant, at: datetime | None = None) -> dict[str, Any]:
    event = {"eventId": str(uuid4()), "type": "pageview", "at": (at or datetime.now(UTC)).isoformat()}
    return {"siteKey": tenant.site_key, "visitorId": str(uuid4()), "events": [event]}


async def count(tenant: ActingTenant, bodies: list[dict[str, Any]]) -> int:
    ids = [UUID(body["events"][0]["eventId"]) for body in bodies]
    async with tenant.transaction() as conn:
        found: int = await conn.fetchval(
            "select count(*) from events where tenant_id = $1 and event_id = any($2)", tenant.id, ids
        )
    return found


async def test_a_database_that_does_not_answer_is_a_503_within_seconds_and_heals(
    installation: Runtime, tenant: ActingTenant
) -> None:
    async with collecting(installation) as http:
        body = submission(tenant)
        async with events_locked(installation), asyncio.timeout(10):
            answer = await http.post(PATH, json=body)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["content-type"] == "application/problem+json"
        again = await http.post(PATH, json=body)
        assert again.status_code == 202
        assert await count(tenant, [body]) == 1


async def test_cut_connections_lose_nothing_that_was_acknowledged(installation: Runtime, tenant: ActingTenant) -> None:
    owner = await asyncpg.connect(installation.where.admin)
    bodies = [submission(tenant) for _ in range(400)]
    refused = 0

    async def send(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
        nonlocal refused
        while (answer := await http.post(PATH, json=body)).status_code != 202:
            assert answer.status_code == 503
            refused += 1

    async def cut() -> None:
        for _ in range(30):
            await owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'cs_ingest'")
            await asyncio.sleep(0)

    try:
        async with collecting(installation) as http, asyncio.timeout(60):
            await asyncio.gather(cut(), *(send(http, body) for body in bodies))
    finally:
        await owner.close()
    assert await count(tenant, bodies) == len(bodies)


async def test_a_graceful_stop_stores_what_is_under_way_and_refuses_the_rest(
    installation: Runtime, tenant: ActingTenant
) -> None:
    commit = GroupCommit(installation.database)
    bodies = [submission(tenant) for _ in range(50)]
    rows = [_row(tenant, UUID(body["events"][0]["eventId"])) for body in bodies]
    waiting = [asyncio.ensure_future(commit.store([row], [])) for row in rows]
    await asyncio.sleep(0)
    await commit.close()
    await asyncio.gather(*waiting)
    assert await count(tenant, bodies) == 50
    with pytest.raises(Busy):
        await commit.store([rows[0]], [])


async def test_more_than_can_be_held_is_refused_at_once(installation: Runtime, tenant: ActingTenant) -> None:
    commit = GroupCommit(installation.database, max_pending_rows=5)
    async with events_locked(installation):
        stores = [asyncio.ensure_future(commit.store([_row(tenant, uuid4())], [])) for _ in range(50)]
        refused, waiting = await asyncio.wait(stores, timeout=0.5)
        assert len(waiting) >= 5
        assert {type(store.exception()) for store in refused} == {Busy}
    await asyncio.gather(*waiting)
    await commit.close()


async def test_a_flood_on_one_key_is_told_to_wait_counted_and_does_not_touch_another(
    installation: Runtime, make_tenant: TenantMaker
) -> None:
    flooded, neighbour = await make_tenant(), await make_tenant()
    async with collecting(installation, collect_rate=2) as http:
        answers = [await http.post(PATH, json=submission(flooded)) for _ in range(10)]
        calm = await http.post(PATH, json=submission(neighbour))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers[:4]] == [202] * 4
    assert 4 <= len(refused) <= 6
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert calm.status_code == 202
    await drain(installation.database, flooded.id, ())
    async with flooded.transaction() as conn:
        counted = await conn.fetch("select reason, hits from drop_counts where tenant_id = $1", flooded.id)
    assert [tuple(row) for row in counted] == [("rate-limited", len(refused))]


async def test_the_ingest_role_can_append_events_and_nothing_else(installation: Runtime, tenant: ActingTenant) -> None:
    async with installation.database.ingest.acquire() as conn:
        for statement in (
            "select * from events",
            "delete from events",
            "update events set url = ''",
            "select * from sites",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)


def _row(tenant: ActingTenant, event_id: UUID) -> Any:
    now = datetime.now(UTC)
    return (tenant.id, event_id, now, tenant.site_id, uuid4(), "pageview", *([None] * 6), "", b"", None, None)
