"""A launch under load: visitors and sales through the front door, live numbers held against the database meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import msgspec

from coursesignal.benchmark.load import Measured, Target, run_load
from coursesignal.benchmark.shops import Shop, connect
from coursesignal.benchmark.traffic import bodies
from coursesignal.errors import ConfigurationError
from coursesignal.runtime import Runtime
from coursesignal.security.tokens import hash_token, new_token
from coursesignal.settings import Settings
from coursesignal.testing.platforms import FakeTeachable

AGENT = {"user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"}
LOOK_S, PATIENCE_S = 0.2, 120.0
SOURCES = ("youtube", "newsletter", "podcast")
SCOPES = ["analytics:read", "launches:read", "launches:write", "connections:write", "connections:read"]
_TRUTH = """
    select (select count(*) from purchases where tenant_id = $1 and charged_minor > 0) as purchases,
           (select count(distinct visitor_id) from sessions where tenant_id = $1) as visitors"""


@dataclass(slots=True)
class Timeline:
    """What was seen of two counts, and when."""

    seen: list[tuple[float, int, int]] = field(default_factory=list[tuple[float, int, int]])
    """Second, purchases, visitors."""

    def add(self, purchases: int, visitors: int, at: float | None = None) -> None:
        self.seen.append((time.monotonic() if at is None else at, purchases, visitors))


@dataclass(frozen=True, slots=True)
class Launched:
    """How a launch under load went."""

    visits: Measured
    visitors: int
    purchases: int
    lags_s: tuple[float, float]
    """The longest of purchases and of visitors between being on record and being told."""
    told: int
    """Events of the stream."""
    differences: tuple[str, ...]
    """Where final numbers are not those of the reports or of the platform."""


def longest_lag(truth: Timeline, told: Timeline, column: int) -> float:
    """The longest that a count was on record before a reader knew it; infinite for one never told."""
    worst, at = 0.0, 0
    for row in truth.seen:
        while at < len(told.seen) and told.seen[at][column] < row[column]:
            at += 1
        if at == len(told.seen):
            return float("inf")
        worst = max(worst, told.seen[at][0] - row[0])
    return worst


async def measure_launch(settings: Settings, shop: Shop, visitors: int, sales: int, seconds: float) -> Launched:
    """Run the launch for ``seconds`` of load; web process and workers run already."""
    async with Runtime.opened(settings) as runtime:
        site_key, api_key = await _keys(runtime, shop)
        headers = {"authorization": f"Bearer {api_key}"}
        url = f"http://127.0.0.1:{settings.port}"
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as http:
            hook = urlsplit(await connect(http, shop)).path
            launch = await _open(http)
            truth, told = Timeline(), Timeline()
            watching = [
                asyncio.create_task(_watch(runtime, shop, truth)),
                asyncio.create_task(_listen(http, launch, told)),
            ]
            try:
                visits, _ = await asyncio.gather(
                    _visit(settings, site_key, visitors, seconds), _sell(http, shop, site_key, hook, sales, seconds)
                )
                await _settled(http, launch, sales, truth, told)
            finally:
                for task in watching:
                    task.cancel()
                await asyncio.gather(*watching, return_exceptions=True)
            last = truth.seen[-1]
            lags = longest_lag(truth, told, 1), longest_lag(truth, told, 2)
            differences = await _differences(http, shop, launch)
    return Launched(visits, last[2], last[1], lags, len(told.seen), tuple(differences))


async def _keys(runtime: Runtime, shop: Shop) -> tuple[str, str]:
    key = new_token("csk_")
    async with runtime.database.tenant(shop.tenant_id) as conn:
        await conn.execute(
            "insert into api_keys (tenant_id, name, scopes, key_hash, prefix) values ($1, 'Launch', $2, $3, $4)",
            shop.tenant_id, SCOPES, hash_token(key), key[:8],
        )  # fmt: skip
        site_key = await conn.fetchval("select public_key from sites where tenant_id = $1 limit 1", shop.tenant_id)
    return str(site_key), key


async def _open(http: httpx.AsyncClient) -> str:
    now = datetime.now(UTC)
    times = {"startsAt": (now - timedelta(minutes=1)).isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}
    answer = await http.post("/api/launches", json={"title": "Under load", **times})
    answer.raise_for_status()
    return str(answer.json()["id"])


async def _visit(settings: Settings, site_key: str, visitors: int, seconds: float) -> Measured:
    target = Target("127.0.0.1", settings.port, "/api/tracking/event", 202, bodies(site_key, 1, visitors))
    return await run_load(
        target, connections=64, seconds=seconds, server_s=time.process_time, per_second=visitors / seconds
    )  # fmt: skip


async def _sell(http: httpx.AsyncClient, shop: Shop, site_key: str, hook: str, sales: int, seconds: float) -> None:
    """Buyers who come, say who they are and buy, one after the other at a steady rate."""
    assert isinstance(shop.platform, FakeTeachable)
    shop.platform.quirks.pushes = ("Transaction.created",)
    began = time.monotonic()
    for number in range(sales):
        await asyncio.sleep(max(0.0, began + number * seconds / sales - time.monotonic()))
        email, source = f"launch{number}@example.com", SOURCES[number % len(SOURCES)]
        event = {
            "eventId": str(uuid4()), "type": "identify", "email": email,
            "url": f"https://www.example.com/?utm_source={source}",
        }  # fmt: skip
        body = {"siteKey": site_key, "visitorId": str(uuid4()), "events": [event]}
        (await http.post("/api/tracking/event", json=body, headers=AGENT)).raise_for_status()
        shop.platform.pending.clear()
        shop.platform.sell(email, 10_000 + number, at=datetime.now(UTC))
        for delivery in shop.platform.pending:
            answer = await http.post(hook, content=delivery.body, headers={"content-type": "application/json"})
            answer.raise_for_status()


async def _watch(runtime: Runtime, shop: Shop, truth: Timeline) -> None:
    """What is on record; dated when the question was asked, so that no lag looks shorter than it was."""
    while True:
        asked = time.monotonic()
        async with runtime.database.tenant(shop.tenant_id) as conn:
            row = await conn.fetchrow(_TRUTH, shop.tenant_id)
        assert row is not None
        truth.add(row["purchases"], row["visitors"], asked)
        await asyncio.sleep(LOOK_S)


async def _listen(http: httpx.AsyncClient, launch: str, told: Timeline) -> None:
    """What a reader of the stream knows, reconnecting as a browser does."""
    while True:
        with contextlib.suppress(httpx.HTTPError):
            async with http.stream("GET", f"/api/launches/{launch}/live-stats/stream") as answer:
                answer.raise_for_status()
                async for line in answer.aiter_lines():
                    if line.startswith("data: {") and (stats := msgspec.json.decode(line[6:])).get("figures"):
                        told.add(stats["figures"]["purchases"], stats["figures"]["visitors"])
        await asyncio.sleep(0.25)


async def _settled(http: httpx.AsyncClient, launch: str, sales: int, truth: Timeline, told: Timeline) -> None:
    """Return once every sale is on record and told, and no visitor has come for two seconds."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        await asyncio.sleep(2)
        recent = [row for row in truth.seen if row[0] > time.monotonic() - 2]
        quiet = len({row[1:] for row in recent}) == 1 and recent[-1][1] == sales
        if quiet and told.seen and told.seen[-1][1:] == recent[-1][1:]:
            return
    raise ConfigurationError(f"Launch {launch}: not every sale was on record within {PATIENCE_S:.0f} s.")


async def _differences(http: httpx.AsyncClient, shop: Shop, launch: str) -> list[str]:
    """Close the cart, and hold its results against the reports and the platform's own books."""
    closed = await http.patch(f"/api/launches/{launch}", json={"endsAt": datetime.now(UTC).isoformat()})
    closed.raise_for_status()
    final = (await http.get(f"/api/launches/{launch}/analytics")).raise_for_status().json()
    summary = (await http.get("/api/analytics/summary?range=7d")).raise_for_status().json()
    figures, attribution = final["figures"], final["attribution"]
    compared: dict[str, tuple[Any, Any]] = {
        name: (figures[name], summary[name])
        for name in ("revenueMinor", "refundedMinor", "netRevenueMinor", "purchases", "students", "visitors")
    }
    credited = sum(row["revenueMinor"] for row in attribution["rows"]) + attribution["unattributed"]["revenueMinor"]
    compared["sources"] = credited, figures["netRevenueMinor"]
    compared["hours"] = sum(hour["netRevenueMinor"] for hour in final["hours"]), figures["netRevenueMinor"]
    compared["platform"] = figures["netRevenueMinor"], shop.platform.ledger()["USD"].net_minor
    return [f"{name}: {ours} here, {theirs} there" for name, (ours, theirs) in compared.items() if ours != theirs]
