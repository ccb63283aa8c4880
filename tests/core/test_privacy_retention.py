"""Retention: what is older than the tenant says goes every night, and every amount that was ever shown stays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from coursesignal.privacy import retention
from coursesignal.privacy.tasks import crons
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import FakeTeachable, use_platform

RunJobs = Callable[[], Awaitable[None]]
AGENT = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"}
OLD = timedelta(days=100)
TIMES = {
    "events": ("occurred_at", "received_at"), "sessions": ("started_at", "ended_at"), "touches": ("occurred_at",),
    "visitors": ("first_seen_at", "last_seen_at"), "purchases": ("purchased_at",), "charges": ("occurred_at",),
    "inbox": ("received_at",),
}  # fmt: skip

OF_VISITORS = {"visitors", "conversionRate", "revenuePerVisitorMinor"}


class Shop:
    """Pat came by youtube, then bought; somebody looked in from instagram. All of it 100 days ago; a visit today."""

    def __init__(self, http: httpx.AsyncClient, tenant: ActingTenant, run_jobs: RunJobs, runtime: Runtime) -> None:
        self.http, self.tenant, self.run_jobs, self.runtime = http, tenant, run_jobs, runtime

    async def visit(self, source: str, email: str | None = None) -> None:
        url = f"https://courses.example.com/start?utm_source={source}&gclid={source}Abc123&x=private"
        events: list[dict[str, Any]] = [{"eventId": str(uuid4()), "type": "pageview", "url": url}]
        if email:
            events.append({"eventId": str(uuid4()), "type": "identify", "email": email, "url": url})
        body = {"siteKey": self.tenant.site_key, "visitorId": str(uuid4()), "events": events}
        assert (await self.http.post("/api/tracking/event", json=body, headers=AGENT)).status_code == 202

    async def sell(self, school: FakeTeachable) -> None:
        connected = await self.http.post(
            "/api/teachable/connect", json={"apiKey": "teachable-key"}, headers=self.tenant.headers
        )
        hook = connected.json()["webhookUrl"].removeprefix("http://coursesignal.test")
        told = {
            "id": 71001, "user_id": 501, "user": {"id": 501, "email": "pat@example.com", "name": "Pat"},
            "sale": {"id": 60001, "product": {"id": 88, "name": "Course", "is_recurring": False}},
            "final_price": 9_900, "currency": "USD", "status": "paid", "purchased_at": datetime.now(UTC).isoformat(),
        }  # fmt: skip
        payload = {"type": "Transaction.created", "id": 71001, "livemode": True, "hook_event_id": 9, "object": told}
        assert (await self.http.post(hook, json=payload)).status_code == 202

    async def age(self) -> None:
        async with self.tenant.transaction() as conn:
            for table, columns in TIMES.items():
                sets = ", ".join(f"{column} = {column} - $2::interval" for column in columns)
                await conn.execute(f"update {table} set {sets} where tenant_id = $1", self.tenant.id, OLD)

    async def get(self, path: str, **params: str) -> Any:
        answer = await self.http.get(path, params=params, headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def keep(self, days: object) -> httpx.Response:
        return await self.http.put("/api/privacy", json={"retentionDays": days}, headers=self.tenant.headers)

    async def night(self) -> dict[str, Any]:
        """The nightly schedule and what follows; returns what the tenant is shown of it."""
        nightly = next(cron for cron in crons(self.runtime.database) if cron.name == "core.retention")
        await nightly.run(datetime.now(UTC))
        await self.run_jobs()
        shown: dict[str, Any] = await self.get("/api/privacy")
        return shown

    async def count(self, table: str, where: str = "true") -> int:
        async with self.tenant.transaction() as conn:
            found: int = await conn.fetchval(
                f"select count(*) from {table} where tenant_id = $1 and {where}", self.tenant.id
            )
        return found


@pytest.fixture
async def shop(client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: RunJobs, installation: Runtime) -> Shop:
    async with FakeTeachable() as school:
        use_platform(installation, school)
        shop = Shop(client, await make_tenant(), run_jobs, installation)
        await shop.visit("youtube", "pat@example.com")
        await shop.visit("instagram")
        await shop.sell(school)
        await run_jobs()
        await shop.age()
        await shop.visit("podcast")
        await run_jobs()
    return shop


async def money(shop: Shop) -> tuple[Any, ...]:
    """Every row with money, entire, what is unattributed, the totals' money, the ledger and whether it balances."""
    report = await shop.get("/api/analytics/sources", range="all")
    ledger = await shop.get("/api/analytics/ledger", range="all")
    return (
        [row for row in report["rows"] if row["purchases"]],
        report["unattributed"],
        {name: value for name, value in report["totals"].items() if name not in OF_VISITORS},
        [(line["id"], line["creditedMinor"], line["credits"]) for line in ledger["items"]],
        (await shop.get("/api/analytics/reconciliation", range="all"))["balanced"],
    )  # fmt: skip


async def test_old_raw_data_goes_and_every_amount_stays(shop: Shop) -> None:
    before = await money(shop)
    assert before[0][0]["revenueMinor"] == 9_900
    assert (await shop.keep(30)).json()["retentionDays"] == 30
    shown = await shop.night()
    counts = shown["lastRun"]["counts"]
    assert {name: counts[name] for name in ("events", "touches", "strippedTouches", "sessions", "visitors", "webhooks")} == {
        "events": 3, "touches": 1, "strippedTouches": 1, "sessions": 1, "visitors": 1, "webhooks": 1,
    }  # fmt: skip
    assert await money(shop) == before
    assert [await shop.count(table) for table in ("events", "touches", "sessions")] == [1, 2, 2]
    assert await shop.count("inbox", "body = ''::bytea and headers = '{}'") == 1
    kept = "source = 'youtube' and click_id = '' and landing_url = 'https://courses.example.com/start'"
    assert await shop.count("touches", kept) == 1
    assert await shop.count("touches", "source = 'podcast' and click_id <> ''") == 1, "today's is whole"


async def test_numbers_stay_when_everything_is_credited_anew_after_it(shop: Shop) -> None:
    before = await money(shop)
    await shop.keep(30)
    await shop.night()
    url = f"/api/tenants/{shop.tenant.tenant.slug}"
    await shop.http.patch(url, json={"lookbackDays": 60}, headers=shop.tenant.headers)
    await shop.run_jobs()
    assert await money(shop) == before


async def test_a_second_night_finds_nothing_more(shop: Shop) -> None:
    await shop.keep(30)
    await shop.night()
    shown = await shop.night()
    assert set(shown["lastRun"]["counts"].values()) == {0}
    assert len(shown["runs"]) == 2


async def test_small_batches_remove_the_same(shop: Shop) -> None:
    cutoff = datetime.now(UTC) - timedelta(days=30)
    counts = await retention.clear(shop.runtime.database, shop.tenant.id, cutoff, batch=1)
    assert (counts["events"], await shop.count("events")) == (3, 1)


async def test_without_a_limit_everything_is_kept(shop: Shop) -> None:
    assert (await shop.night())["lastRun"] is None
    await shop.keep(99)
    await shop.keep(None)
    assert (await shop.night())["lastRun"] is None
    assert await shop.count("events") == 4
    changes = [
        entry["detail"] for entry in (await shop.get("/api/audit"))["items"] if entry["action"] == "privacy.changed"
    ]
    assert changes == [{"retention_days": {"from": 99, "to": None}}, {"retention_days": {"from": None, "to": 99}}]


@pytest.mark.parametrize("days", [29, 0, -1, 2**70, "thirty", 30.5, [], True])
async def test_what_is_no_number_of_days_is_refused(shop: Shop, days: object) -> None:
    answer = await shop.keep(days)
    assert answer.status_code in (400, 422)
    assert [error["path"] for error in answer.json()["errors"]] == ["retentionDays"]
