"""Erasure and export over HTTP: what goes, what stays, and that nothing that comes later brings it back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import FakeTeachable, use_platform

RunJobs = Callable[[], Awaitable[None]]
AGENT = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"}
PAT, NAME = "pat@example.com", "Patience Example"
NAMES = {501: NAME, 502: "Bea Example"}
BEA = "bea@example.com"


class Shop:
    """A tenant with visitors and buyers that come through the front door."""

    def __init__(self, http: httpx.AsyncClient, tenant: ActingTenant, run_jobs: RunJobs) -> None:
        self.http, self.tenant, self.run_jobs = http, tenant, run_jobs
        self.hook = ""
        self.sales = 0

    async def connect(self) -> None:
        answer = await self.http.post(
            "/api/teachable/connect", json={"apiKey": "teachable-key"}, headers=self.tenant.headers
        )
        self.hook = answer.json()["webhookUrl"].removeprefix("http://coursesignal.test")

    async def visit(self, visitor: str, source: str, email: str | None = None, **props: str) -> None:
        url = f"https://courses.example.com/?utm_source={source}&gclid={source}Abc123"
        events: list[dict[str, Any]] = [{"eventId": str(uuid4()), "type": "pageview", "url": url}]
        if email:
            events.append({"eventId": str(uuid4()), "type": "identify", "email": email, "url": url})
        if props:
            events.append({"eventId": str(uuid4()), "type": "custom", "name": "signup", "props": props, "url": url})
        body = {"siteKey": self.tenant.site_key, "visitorId": visitor, "events": events}
        answer = await self.http.post("/api/tracking/event", json=body, headers=AGENT)
        assert answer.status_code == 202, answer.text

    async def sell(self, email: str, price: int, *, user_id: int = 501, sale: int = 0, refund: bool = False) -> int:
        """A sale told by webhook; returns its number."""
        self.sales += 1
        sale = sale or 60_000 + self.sales
        told = {
            "id": sale + 1000, "user_id": user_id, "user": {"id": user_id, "email": email, "name": NAMES[user_id]},
            "sale": {"id": sale, "product": {"id": 88, "name": "Course", "is_recurring": False}},
            "final_price": price, "currency": "USD", "status": "paid", "purchased_at": datetime.now(UTC).isoformat(),
            "amount_refunded": price if refund else 0,
        }  # fmt: skip
        kind = "Transaction.refunded" if refund else "Transaction.created"
        payload = {"type": kind, "id": sale + 1000, "livemode": True, "hook_event_id": self.sales, "object": told}
        answer = await self.http.post(self.hook, json=payload)
        assert answer.status_code == 202, answer.text
        return sale

    async def get(self, path: str, **params: str) -> Any:
        answer = await self.http.get(path, params=params, headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def erase(self, email: str) -> str:
        answer = await self.http.post("/api/privacy/erasures", json={"email": email}, headers=self.tenant.headers)
        assert answer.status_code == 202, answer.text
        await self.run_jobs()
        erasure = answer.json()["id"]
        assert (await self.get(f"/api/privacy/erasures/{erasure}"))["status"] == "done"
        return str(erasure)

    async def mentions(self, *texts: str) -> dict[str, int]:
        """How many rows of which table hold one of ``texts``, in any column that can."""
        async with self.tenant.transaction() as conn:
            tables = [
                row["name"]
                for row in await conn.fetch(
                    "select relname as name from pg_class c where relnamespace = 'public'::regnamespace "
                    "and relkind in ('r', 'p') and not relispartition and relrowsecurity"
                )
            ]
            found = {}
            for table in tables:
                rows = await conn.fetch(f'select * from "{table}" where tenant_id = $1', self.tenant.id)
                hits = [row for row in rows if any(text in _told(row).lower() for text in texts)]
                if hits:
                    found[table] = len(hits)
        return found

    async def books(self) -> tuple[int, int, int]:
        """Net, credited and difference of everything, of the reconciliation."""
        report = await self.get("/api/analytics/reconciliation", range="all")
        assert report["balanced"]
        rows = report["rows"]
        return (
            sum(row["chargesMinor"] - row["refundsMinor"] for row in rows),
            sum(row["creditedMinor"] for row in rows),
            sum(row["differenceMinor"] for row in rows),
        )


def _told(row: Any) -> str:
    return " ".join(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in row.values())


@pytest.fixture
async def shop(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: RunJobs, installation: Runtime
) -> AsyncIterator[Shop]:
    """Pat came by youtube and bought for 99, Bea by a podcast for 50."""
    async with FakeTeachable() as platform:
        use_platform(installation, platform)
        shop = Shop(client, await make_tenant(), run_jobs)
        await shop.connect()
        shop_visitors = {"pat": str(uuid4()), "bea": str(uuid4())}
        await shop.visit(shop_visitors["pat"], "youtube", PAT, mail=PAT.upper())
        await shop.visit(shop_visitors["bea"], "podcast", BEA)
        shop.pat = shop_visitors["pat"]  # type: ignore[attr-defined]
        shop.first = await shop.sell(PAT, 9_900)  # type: ignore[attr-defined]
        await shop.sell(BEA, 5_000, user_id=502)
        await run_jobs()
        yield shop


async def sources(shop: Shop) -> dict[str, tuple[int, int]]:
    rows = (await shop.get("/api/analytics/sources", range="all"))["rows"]
    return {row["source"]: (row["revenueMinor"], row["students"]) for row in rows if row["revenueMinor"]}


async def test_an_erased_person_is_in_no_row_and_every_number_stays(shop: Shop) -> None:
    before = (await sources(shop), await shop.books())
    assert before == ({"youtube": (9_900, 1), "podcast": (5_000, 1)}, (14_900, 14_900, 0))
    assert await shop.mentions(PAT) != {}
    await shop.erase("  PAT@Example.COM ")
    assert await shop.mentions(PAT, NAME.lower(), shop.pat, "youtubeabc123") == {}  # type: ignore[attr-defined]
    assert (await sources(shop), await shop.books()) == before
    assert {"purchases", "people", "events", "inbox"} <= set(await shop.mentions(BEA)), "others are not touched"


async def test_credits_stay_when_everything_is_credited_anew(shop: Shop) -> None:
    await shop.erase(PAT)
    answer = await shop.http.patch(
        f"/api/tenants/{shop.tenant.tenant.slug}", json={"lookbackDays": 30}, headers=shop.tenant.headers
    )
    assert answer.status_code == 200
    await shop.run_jobs()
    assert await sources(shop) == {"youtube": (9_900, 1), "podcast": (5_000, 1)}


async def test_late_webhooks_identifies_and_syncs_do_not_bring_anybody_back(shop: Shop) -> None:
    await shop.erase(PAT)
    await shop.sell(PAT, 9_900, sale=shop.first, refund=True)  # type: ignore[attr-defined]
    await shop.sell(PAT, 2_000)
    await shop.sell("new-address@example.com", 1_000, user_id=501)
    await shop.visit(shop.pat, "newsletter", PAT.upper(), mail="x " + PAT)  # type: ignore[attr-defined]
    await shop.run_jobs()
    assert await shop.mentions(PAT, NAME.lower(), "new-address@example.com") == {}
    net, _, difference = await shop.books()
    assert (net, difference) == (9_900 + 5_000 + 2_000 + 1_000, 0)
    async with shop.tenant.transaction() as conn:
        ties = await conn.fetchval(
            "select count(*) from visitors where tenant_id = $1 and id = $2 and person_id is not null",
            shop.tenant.id, shop.pat,  # type: ignore[attr-defined]
        )  # fmt: skip
    assert ties == 0
