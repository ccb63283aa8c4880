"""What buyers say of where they came from: taken in four ways, shown apart from what was tracked, reported beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

RunJobs = Callable[[], Awaitable[None]]
AGENT = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"}
NOW = datetime.now(UTC).replace(microsecond=0)
HOSTILE = ['=hyperlink("http://evil.test","x")', "<script>alert(1)</script>", "\u202egnp.exe"]


class Shop:
    """Ann came by youtube and paid 100 with a coupon; Bea came from nowhere known and paid 50; Cid by youtube, 30."""

    def __init__(self, http: httpx.AsyncClient, tenant: ActingTenant, run_jobs: RunJobs) -> None:
        self.http, self.tenant, self.run_jobs = http, tenant, run_jobs
        self.past = History(tenant)

    async def sell(self, name: str, amount_minor: int, hints: dict[str, str] | None = None) -> UUID:
        sale = await self.past.sale(f"{name}@example.com", amount_minor, NOW - timedelta(hours=1))
        async with self.tenant.transaction() as conn:
            await conn.execute(
                "update purchases set hints = $3 where tenant_id = $1 and id = $2", self.tenant.id, sale, hints or {}
            )
        return sale

    async def call(self, method: str, path: str, body: Any = None, status: int = 200, query: Any = None) -> Any:
        answer = await self.http.request(method, path, json=body, params=query, headers=self.tenant.headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def say(self, name: str, source: str) -> Any:
        body = {"email": f"{name}@example.com", "source": source, "at": (NOW - timedelta(days=1)).isoformat()}
        return await self.call("POST", "/api/people/self-reported", body, 202)

    async def map(self, **codes: str) -> Any:
        listed = [{"code": code, "source": source} for code, source in codes.items()]
        return await self.call("PUT", "/api/analytics/coupon-sources", {"codes": listed})

    async def report(self, **params: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.call("GET", "/api/analytics/self-reported", query=params)
        return found

    async def rows(self) -> dict[str, dict[str, Any]]:
        return {row["source"]: row for row in (await self.report())["rows"]}

    async def claims(self, sale: UUID) -> list[tuple[str, str, str]]:
        detail = await self.call("GET", f"/api/analytics/purchases/{sale}")
        return [(claim["kind"], claim["source"], claim["evidence"]) for claim in detail["claims"]]


@pytest.fixture
async def shop(client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: RunJobs) -> Shop:
    shop = Shop(client, await make_tenant(), run_jobs)
    for name in ("ann", "cid"):
        await shop.past.visit(name, NOW - timedelta(days=2), "youtube", email=f"{name}@example.com")
    shop.ann = await shop.sell("ann", 10_000, {"coupon": " Pod10 "})  # type: ignore[attr-defined]
    shop.bea = await shop.sell("bea", 5_000, {"source": "Webinar"})  # type: ignore[attr-defined]
    shop.cid = await shop.sell("cid", 3_000)  # type: ignore[attr-defined]
    await shop.past.credit()
    return shop


async def test_each_claim_stands_beside_what_the_model_credits(shop: Shop) -> None:
    await shop.map(pod10="Podcast")
    await shop.say("cid", "  YouTube ")
    await shop.say("bea", "A  Friend")
    report = await shop.report()
    rows = {row["source"]: row for row in report["rows"]}
    assert list(rows) == ["podcast", "a friend", "webinar", "youtube"]
    assert rows["podcast"] == {
        "source": "podcast", "kinds": {"survey": 0, "coupon": 1, "platform": 0}, "buyers": 1, "purchases": 1,
        "revenueMinor": 10_000, "trackedMinor": 0, "attributed": 1, "agreeing": 0, "agreementRate": 0.0, "explainsMinor": 0,
        "explainsPurchases": 0,
    }  # fmt: skip
    assert (rows["youtube"]["trackedMinor"], rows["youtube"]["agreementRate"]) == (13_000, 100.0)
    assert (rows["webinar"]["explainsMinor"], rows["webinar"]["agreementRate"]) == (5_000, None)
    assert (report["purchases"], report["buyers"], report["revenueMinor"]) == (3, 3, 18_000)
    assert (report["explainsMinor"], report["unattributedMinor"]) == (5_000, 5_000), "two claims explain it once"
    assert (report["explainsPurchases"], rows["webinar"]["explainsPurchases"]) == (1, 1)


async def test_a_claim_is_its_own_kind_in_the_journey_and_credits_nothing(shop: Shop) -> None:
    before = await shop.call("GET", "/api/analytics/sources")
    await shop.map(pod10="Podcast")
    await shop.say("ann", "A friend")
    assert await shop.claims(shop.ann) == [("survey", "a friend", "api"), ("coupon", "podcast", "coupon")]  # type: ignore[attr-defined]
    assert await shop.claims(shop.bea) == [("platform", "webinar", "teachable")]  # type: ignore[attr-defined]
    detail = await shop.call("GET", f"/api/analytics/purchases/{shop.ann}")  # type: ignore[attr-defined]
    assert [touch["source"] for touch in detail["path"]] == ["youtube"]
    await shop.past.credit()
    after = await shop.call("GET", "/api/analytics/sources")
    assert (after["rows"], after["totals"]) == (before["rows"], before["totals"])


async def test_an_answer_on_the_website_is_its_visitors(shop: Shop) -> None:
    visitor = str(uuid4())
    events = [
        {"eventId": str(uuid4()), "type": "custom", "name": "self_reported", "props": {"source": "TikTok"}},
        {"eventId": str(uuid4()), "type": "custom", "name": "self_reported", "props": {"other": 1}},
        {"eventId": str(uuid4()), "type": "identify", "email": "bea@example.com"},
    ]
    body = {"siteKey": shop.tenant.site_key, "visitorId": visitor, "events": events}
    assert (await shop.http.post("/api/tracking/event", json=body, headers=AGENT)).json()["accepted"] == 3
    await shop.run_jobs()
    assert ("survey", "tiktok", "event") in await shop.claims(shop.bea)  # type: ignore[attr-defined]
    assert (await shop.rows())["tiktok"]["kinds"]["survey"] == 1


async def test_an_answer_the_platform_delivers_with_the_purchase_is_a_survey(shop: Shop) -> None:
    sale = await shop.sell("dan", 700, {"self_reported": " My  Sister ", "coupon": "none"})
    assert await shop.claims(sale) == [("survey", "my sister", "teachable")]


async def test_the_same_answer_twice_is_kept_once_and_history_follows_the_mapping(shop: Shop) -> None:
    for _ in range(2):
        assert await shop.say("cid", "Podcast") == {"accepted": True}
    assert len(await shop.claims(shop.cid)) == 1  # type: ignore[attr-defined]
    mapped = await shop.map(pod10="Podcast", summer="Newsletter")
    assert mapped["codes"] == [
        {"code": "pod10", "source": "podcast", "purchases": 1}, {"code": "summer", "source": "newsletter", "purchases": 0},
    ]  # fmt: skip
    assert (await shop.rows())["podcast"]["purchases"] == 2
    unmapped = await shop.map()
    assert unmapped == {"codes": [], "unmapped": [{"code": "pod10", "source": None, "purchases": 1}]}
    assert (await shop.rows())["podcast"]["purchases"] == 1
    [change, *_] = (await shop.call("GET", "/api/audit"))["items"]
    assert (change["action"], change["detail"]) == ("coupon_sources.changed", {"codes": ["pod10", "summer"]})


async def test_refunds_and_other_periods_count_as_in_every_report(shop: Shop) -> None:
    await shop.say("cid", "podcast")
    await shop.past.charge(shop.cid, "refund", 1_000, NOW - timedelta(minutes=5))  # type: ignore[attr-defined]
    await shop.past.credit()
    assert (await shop.rows())["podcast"]["revenueMinor"] == 2_000
    old = await shop.report(**{"from": "2020-01-01", "to": "2020-01-31"})
    assert (old["rows"], old["purchases"], old["explainsMinor"]) == ([], 0, 0)


@pytest.mark.parametrize("body", [
    {"email": "nobody", "source": "x"}, {"email": "pat@example.com", "source": "  "}, {"email": "pat@example.com"},
    {"email": "pat@example.com", "source": "x" * 4096}, {"email": "pat@example.com", "source": "a\x00b"},
    {"email": "pat@example.com", "source": "x", "at": "2199-01-01T00:00:00Z"},
    {"email": "pat@example.com", "source": "x", "at": "2026-01-01T00:00:00"},
    {"email": "pat@example.com", "source": "x", "tenantId": "y"},
])  # fmt: skip
async def test_what_is_no_answer_is_refused_with_its_field(shop: Shop, body: dict[str, str]) -> None:
    answer = await shop.http.post("/api/people/self-reported", json=body, headers=shop.tenant.headers)
    assert answer.status_code in (400, 422)
    assert answer.json()["errors"]


async def test_what_is_no_mapping_is_refused_with_its_place(shop: Shop) -> None:
    codes = [{"code": "a", "source": "x"}, {"code": " A ", "source": "y"}, {"code": " ", "source": " "}]
    answer = await shop.http.put("/api/analytics/coupon-sources", json={"codes": codes}, headers=shop.tenant.headers)
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == ["codes.1.code", "codes.2.code", "codes.2.source"]


@pytest.mark.parametrize("code", ["x" * 4096, "", "a\x00b", "\x00"])
async def test_a_code_that_is_none_is_refused(shop: Shop, code: str) -> None:
    body = {"codes": [{"code": code, "source": "podcast"}]}
    answer = await shop.http.put("/api/analytics/coupon-sources", json=body, headers=shop.tenant.headers)
    assert answer.status_code in (400, 422)
    assert answer.json()["errors"]


async def test_hostile_texts_stay_texts(shop: Shop) -> None:
    for text in HOSTILE:
        await shop.say("ann", text)
    await shop.map(**{"=1+1": HOSTILE[0]})
    assert set(HOSTILE) <= set(await shop.rows())
    csv = await shop.http.get("/api/analytics/export", params={"report": "self-reported"}, headers=shop.tenant.headers)
    assert csv.status_code == 200, csv.text
    lines = csv.text.splitlines()
    assert any(line.startswith("\"'=hyperlink") for line in lines)
    assert not any(line.startswith(("=", '"=')) for line in lines)
