"""Live numbers: the ledger at this moment, and a stream of events that tells changes, ends cleanly and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History
from coursesignal_launches import live

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
VISITORS, SALES = 60, 20


@pytest.fixture
async def running(client: httpx.AsyncClient, make_tenant: TenantMaker) -> tuple[ActingTenant, str]:
    """A tenant with a launch that runs: its id."""
    tenant = await make_tenant()
    body = {"title": "Now", "startsAt": (NOW - HOUR).isoformat(), "endsAt": (NOW + HOUR).isoformat()}
    made = await client.post("/api/launches", json=body, headers=tenant.headers)
    return tenant, made.json()["id"]


class Stream:
    """A request whose answer is read as it comes, and whose reader can go away."""

    def __init__(self, app: Any, path: str, headers: dict[str, str]) -> None:
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.asked = False
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "state": {},
            "headers": [(b"host", b"coursesignal.test"), *((k.encode(), v.encode()) for k, v in headers.items())],
            "client": ("127.0.0.1", 1), "server": ("coursesignal.test", 80),
        }  # fmt: skip
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        await self.sent.put(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.gone.set()

    async def start(self) -> int:
        return int((await self._next())["status"])

    async def event(self, name: str = "stats") -> Any:
        """The data of the next event of that name."""
        while True:
            body = (await self._next())["body"].decode()
            if f"event: {name}" in body:
                return msgspec.json.decode(body.partition("data: ")[2].splitlines()[0])

    async def _next(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.sent.get(), 20)

    async def leave(self) -> None:
        self.gone.set()
        await asyncio.wait_for(self.task, 20)


def app_of(client: httpx.AsyncClient) -> Any:
    return client._transport.app  # type: ignore[attr-defined]


async def test_a_stream_tells_the_numbers_now_and_each_sale_and_leaves_nothing_behind(
    client: httpx.AsyncClient, running: tuple[ActingTenant, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "EVERY_S", 0.05)
    tenant, launch = running
    before = asyncio.all_tasks()
    stream = Stream(app_of(client), f"/api/launches/{launch}/live-stats/stream", tenant.headers)
    assert await stream.start() == 200
    assert (await stream.event())["figures"]["purchases"] == 0
    await History(tenant).sale("a@example.com", 9_900, NOW - HOUR / 2)
    told = await stream.event()
    assert (told["figures"]["netRevenueMinor"], told["lastHour"]["purchases"]) == (9_900, 1)
    assert told["figures"] == (await live_stats(client, tenant, launch))["figures"]
    await stream.leave()
    assert asyncio.all_tasks() - before == set(), "a reader that goes away takes its tasks along"


async def live_stats(client: httpx.AsyncClient, tenant: ActingTenant, launch: str) -> Any:
    answer = await client.get(f"/api/launches/{launch}/live-stats", headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_stream_ends_by_itself_with_its_launch_and_after_a_while(
    client: httpx.AsyncClient, running: tuple[ActingTenant, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, launch = running
    monkeypatch.setattr(live, "EVERY_S", 0.05)
    path = f"/api/launches/{launch}/live-stats/stream"
    deleted = Stream(app_of(client), path, tenant.headers)
    assert await deleted.start() == 200
    await deleted.event()
    await client.delete(f"/api/launches/{launch}", headers=tenant.headers)
    assert await deleted.event("end") == {}
    await asyncio.wait_for(deleted.task, 20)

    body = {"title": "Again", "startsAt": (NOW - HOUR).isoformat(), "endsAt": (NOW + HOUR).isoformat()}
    again = (await client.post("/api/launches", json=body, headers=tenant.headers)).json()["id"]
    monkeypatch.setattr(live, "LASTS_S", 0.1)
    timed = Stream(app_of(client), f"/api/launches/{again}/live-stats/stream", tenant.headers)
    assert await timed.start() == 200
    assert await timed.event("end") == {}
    await asyncio.wait_for(timed.task, 20)


async def test_a_stream_is_the_tenants_alone(
    client: httpx.AsyncClient, running: tuple[ActingTenant, str], make_tenant: TenantMaker
) -> None:
    _, launch = running
    other = await make_tenant()
    for path in ("live-stats", "live-stats/stream"):
        theirs = await client.get(f"/api/launches/{launch}/{path}", headers=other.headers)
        absent = await client.get(f"/api/launches/{uuid4()}/{path}", headers=other.headers)
        assert theirs.status_code == absent.status_code == 404
        assert theirs.content == absent.content
        assert (await client.get(f"/api/launches/{launch}/{path}")).status_code == 401


async def test_a_launch_under_load_ends_with_the_numbers_of_the_ledger(
    client: httpx.AsyncClient, running: tuple[ActingTenant, str], run_jobs: Callable[[], Awaitable[None]]
) -> None:
    """Visitors through the front door and sales of some of them: live, final and reported numbers are the same."""
    tenant, launch = running
    agent = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"}

    async def visit(number: int) -> None:
        event = {
            "eventId": str(uuid4()), "type": "identify", "email": f"b{number}@example.com",
            "url": f"https://example.com/?utm_source={('youtube', 'newsletter', 'podcast')[number % 3]}",
        }  # fmt: skip
        body = {"siteKey": tenant.site_key, "visitorId": str(uuid4()), "events": [event]}
        assert (await client.post("/api/tracking/event", json=body, headers=agent)).json()["accepted"] == 1

    await asyncio.gather(*(visit(number) for number in range(VISITORS)))
    await run_jobs()
    past = History(tenant)
    async with tenant.transaction() as conn:
        people = await conn.fetch("select email, id from people where tenant_id = $1", tenant.id)
    past.people = {row["email"]: row["id"] for row in people}
    for number in range(SALES):
        sale = await past.sale(f"b{number}@example.com", 10_000 + number, datetime.now(UTC))
        if number % 5 == 0:
            await past.charge(sale, "refund", 500, datetime.now(UTC))
    await past.credit()
    found = await live_stats(client, tenant, launch)
    reported = (await client.get("/api/analytics/summary?range=7d", headers=tenant.headers)).json()
    names = ("revenueMinor", "refundedMinor", "netRevenueMinor", "purchases", "students", "visitors", "conversionRate")
    assert {name: found["figures"][name] for name in names} == {name: reported[name] for name in names}
    assert (found["figures"]["visitors"], found["figures"]["purchases"]) == (VISITORS, SALES)
    final = (await client.get(f"/api/launches/{launch}/analytics", headers=tenant.headers)).json()
    assert final["figures"] == found["figures"]
    assert sum(row["revenueMinor"] for row in final["attribution"]["rows"]) == reported["netRevenueMinor"]
