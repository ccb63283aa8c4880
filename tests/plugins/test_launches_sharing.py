"""A launch for people without a login: the link and its statuses, what it tells, and what tenants say in public."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from coursesignal.plugins.lifecycle import purge
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
BUYER = "secretive@example.com"
Jobs = Callable[[], Awaitable[None]]


@pytest.fixture
async def shop(make_tenant: TenantMaker, client: httpx.AsyncClient) -> tuple[ActingTenant, str]:
    """A tenant with a launch of two sales: its id."""
    tenant = await make_tenant()
    past = History(tenant)
    await past.visit("v", NOW - 4 * DAY, "youtube", email=BUYER)
    await past.sale(BUYER, 45_600, NOW - 3 * DAY, product="Secret course")
    await past.sale(None, 4_400, NOW - 3 * DAY)
    await past.credit()
    body = {
        "title": "Spring <b>", "startsAt": (NOW - 4 * DAY).isoformat(), "endsAt": (NOW + DAY).isoformat(),
        "revenueGoalMinor": 100_000,
    }  # fmt: skip
    made = await client.post("/api/launches", json=body, headers=tenant.headers)
    return tenant, made.json()["id"]


async def share(http: httpx.AsyncClient, tenant: ActingTenant, launch: str, **form: Any) -> Any:
    answer = await http.post(f"/api/launches/{launch}/enable-share", json=form, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_link_shows_sums_counts_views_and_ends_when_it_is_ended(
    client: httpx.AsyncClient, shop: tuple[ActingTenant, str]
) -> None:
    tenant, launch = shop
    link = await share(client, tenant, launch)
    assert len(link["shareToken"]) >= 43
    answer = await client.get(link["shareUrl"])
    assert answer.status_code == 200
    assert "noindex" in answer.headers["x-robots-tag"] and answer.headers["referrer-policy"] == "no-referrer"
    recap = answer.json()
    assert (recap["figures"]["netRevenueMinor"], recap["figures"]["students"]) == (50_000, 2)
    assert recap["sources"] == [{"source": "youtube", "share": 91.2}]
    for secret in (BUYER, "Secret course", launch, str(tenant.id)):
        assert secret not in answer.text
    page = await client.get(link["pageUrl"], headers={"accept": "text/html"})
    assert "Spring &lt;b&gt;" in page.text and "500.00 USD" in page.text and 'content="noindex' in page.text
    views = (await client.get(f"/api/launches/{launch}/views", headers=tenant.headers)).json()
    assert (views["shared"], views["views"], views["days"][0]["views"]) == (True, 2, 2)
    async with tenant.transaction() as conn:
        kept = await conn.fetchrow("select token_hash, password_hash from share_links where tenant_id = $1", tenant.id)
    assert link["shareToken"].encode() not in kept["token_hash"] and kept["password_hash"] is None

    ended = await client.post(f"/api/launches/{launch}/disable-share", headers=tenant.headers)
    assert (ended.status_code, ended.json()["shared"]) == (200, False)
    revoked, never = await client.get(link["shareUrl"]), await client.get("/api/public/launches/never-was")
    assert revoked.status_code == never.status_code == 404
    assert revoked.content == never.content


async def test_a_password_is_asked_for_held_and_not_guessed(
    client: httpx.AsyncClient, shop: tuple[ActingTenant, str]
) -> None:
    tenant, launch = shop
    too_short = await client.post(
        f"/api/launches/{launch}/enable-share", json={"password": "abc"}, headers=tenant.headers
    )
    assert (too_short.status_code, too_short.json()["errors"][0]["path"]) == (422, "password")
    link = await share(client, tenant, launch, password="open sesame")
    url = link["shareUrl"]
    asked = await client.get(url)
    assert (asked.status_code, asked.json()["type"].rpartition(":")[2]) == (401, "password-required")
    assert "Spring" not in asked.text
    for answer in (
        await client.get(url, headers={"x-share-password": "wrong"}),
        await client.post(url, json={"password": "wrong"}),
    ):
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, "password-wrong")
    assert (await client.get(url, headers={"x-share-password": "open sesame"})).status_code == 200
    assert (await client.post(url, json={"password": "open sesame"})).json()["title"] == "Spring <b>"
    page = link["pageUrl"]
    assert (await client.get(page)).status_code == 401
    assert "This is not the password" in (await client.post(page, data={"password": "wrong"})).text
    assert "Spring &lt;b&gt;" in (await client.post(page, data={"password": "open sesame"})).text
    guesses = [(await client.post(url, json={"password": f"guess {n}"})).status_code for n in range(11)]
    assert guesses[0] == 403 and guesses[-1] == 429
    async with tenant.transaction() as conn:
        stored = await conn.fetchval("select password_hash from share_links where tenant_id = $1", tenant.id)
    assert stored.startswith("$argon2id$")


async def test_an_expired_link_is_gone_and_a_new_one_ends_the_old(
    client: httpx.AsyncClient, shop: tuple[ActingTenant, str]
) -> None:
    tenant, launch = shop
    old = await share(client, tenant, launch)
    link = await share(client, tenant, launch, expiresAt=(NOW + DAY).isoformat())
    assert (await client.get(old["shareUrl"])).status_code == 404
    assert (await client.get(link["shareUrl"])).status_code == 200
    async with tenant.transaction() as conn:
        await conn.execute("update share_links set expires_at = now() where tenant_id = $1", tenant.id)
    gone = await client.get(link["shareUrl"])
    assert (gone.status_code, gone.json()["type"].rpartition(":")[2]) == (410, "share-expired")
    past = {"expiresAt": (NOW - DAY).isoformat()}
    refused = await client.post(f"/api/launches/{launch}/enable-share", json=past, headers=tenant.headers)
    assert refused.json()["errors"][0]["path"] == "expiresAt"


async def test_a_link_dies_with_its_launch_and_with_the_plugin(
    client: httpx.AsyncClient, shop: tuple[ActingTenant, str]
) -> None:
    tenant, launch = shop
    link = await share(client, tenant, launch)
    await client.put("/api/plugins/launches", json={"enabled": False}, headers=tenant.headers)
    assert (await client.get(link["shareUrl"])).status_code == 404
    await client.put("/api/plugins/launches", json={"enabled": True}, headers=tenant.headers)
    assert (await client.get(link["shareUrl"])).status_code == 200
    await client.delete(f"/api/launches/{launch}", headers=tenant.headers)
    assert (await client.get(link["shareUrl"])).status_code == 404


async def agree(http: httpx.AsyncClient, tenant: ActingTenant, run_jobs: Jobs, **settings: Any) -> None:
    answer = await http.put("/api/plugins/launches", json={"settings": settings}, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    await run_jobs()


async def recent(http: httpx.AsyncClient, tenant: ActingTenant) -> Any:
    answer = await http.get("/api/public/recent-launches", params={"site": tenant.site_key})
    return answer.json()["items"] if answer.status_code == 200 else answer.status_code


async def test_recent_launches_are_those_that_a_tenant_shares_and_agreed_to_show(
    client: httpx.AsyncClient, shop: tuple[ActingTenant, str], run_jobs: Jobs
) -> None:
    tenant, launch = shop
    await agree(client, tenant, run_jobs, recentLaunches="anonymous")
    assert await recent(client, tenant) == [], "it is not shared"
    await share(client, tenant, launch)
    await run_jobs()
    (shown,) = await recent(client, tenant)
    assert (shown["title"], shown["creator"], shown["netRevenueMinor"]) == (None, None, 50_000)
    assert (shown["topSource"], shown["students"]) == ("youtube", 0)
    everywhere = (await client.get("/api/public/recent-launches", params={"limit": 50})).json()["items"]
    assert shown in everywhere
    await agree(client, tenant, run_jobs, recentLaunches="named")
    (shown,) = await recent(client, tenant)
    assert (shown["title"], shown["creator"], shown["students"]) == ("Spring <b>", tenant.tenant.name, 2)
    await client.put("/api/plugins/launches", json={"enabled": False}, headers=tenant.headers)
    assert await recent(client, tenant) == 404
    assert "Spring" not in (await client.get("/api/public/recent-launches?limit=50")).text
    await client.put("/api/plugins/launches", json={"enabled": True}, headers=tenant.headers)
    await share(client, tenant, launch, password="open sesame")
    await run_jobs()
    assert await recent(client, tenant) == [], "what has a password is not for everybody"


async def test_a_purged_tenant_leaves_no_row_of_launches_links_or_notices(
    client: httpx.AsyncClient, shop: tuple[ActingTenant, str], run_jobs: Jobs
) -> None:
    tenant, launch = shop
    await agree(client, tenant, run_jobs, recentLaunches="named", publicStats=True)
    link = await share(client, tenant, launch)
    await client.get(link["shareUrl"])
    async with tenant.transaction() as conn:
        sale = await conn.fetchval("select id from purchases where tenant_id = $1 limit 1", tenant.id)
    pinned = await client.put(f"/api/launches/purchases/{sale}/pin", json={"launchId": launch}, headers=tenant.headers)
    assert pinned.status_code == 200
    await run_jobs()
    tables = ("launches_launches", "launches_pins", "share_links", "share_views", "notices")
    assert all([await rows(tenant, table) for table in tables])
    async with tenant.transaction() as conn:
        await purge(conn, tenant.id, tenant.runtime.registry.by_slug["launches"])
    await run_jobs()
    assert {table: await rows(tenant, table) for table in tables} == dict.fromkeys(tables, 0)


async def rows(tenant: ActingTenant, table: str) -> int:
    async with tenant.transaction() as conn:
        return int(await conn.fetchval(f"select count(*) from {table} where tenant_id = $1", tenant.id))


async def test_public_totals_are_of_ten_who_agreed_or_of_one_who_is_asked_for(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Jobs
) -> None:
    for path in ("match-rate-stats", "social-proof-metrics"):
        before = (await client.get(f"/api/public/{path}")).json()
        assert before["creators"] is None and "10 creators" in before["hint"]
    tenants = [await make_tenant() for _ in range(10)]
    for number, tenant in enumerate(tenants):
        past = History(tenant)
        await past.sale(f"b{number}@example.com", 1_000, NOW)
        if number % 2:
            await past.sale(None, 1_000, NOW)
        answer = await client.put(
            "/api/plugins/launches", json={"settings": {"publicStats": True}}, headers=tenant.headers
        )
        assert answer.status_code == 200
    await run_jobs()
    rate = (await client.get("/api/public/match-rate-stats")).json()
    assert rate == {"matchRate": 66.67, "purchases": 15, "creators": 10, "hint": None}
    proof = (await client.get("/api/public/social-proof-metrics")).json()
    assert (proof["creators"], proof["students"], proof["launches"]) == (10, 15, 0)
    one = (await client.get("/api/public/match-rate-stats", params={"site": tenants[1].site_key})).json()
    assert (one["matchRate"], one["creators"]) == (50.0, 1)
    await agree(client, tenants[0], run_jobs, publicStats=False)
    assert (await client.get("/api/public/match-rate-stats")).json()["matchRate"] is None
    assert (await client.get("/api/public/match-rate-stats?site=nobody")).status_code == 404
