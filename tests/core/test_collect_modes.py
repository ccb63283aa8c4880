"""What a site's settings change about collecting: cookieless visitors, and visitors carried from one domain to another."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from coursesignal.app import create_app
from coursesignal.jobs.upkeep import core_crons
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.tracking.cookieless import DailyVisitors
from coursesignal.tracking.links import LinkSigner, hosts_pattern, without

PATH = "/api/tracking/event"
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
SHOP, CHECKOUT = "https://www.shop.test/course", "https://pay.checkout.test/buy"

Run = Callable[[], Awaitable[None]]


def event(url: str = SHOP, **fields: Any) -> dict[str, Any]:
    return {"eventId": str(uuid4()), "type": "pageview", "url": url, **fields}


async def send(
    http: httpx.AsyncClient,
    key: str,
    *events: dict[str, Any],
    visitor: UUID | None = None,
    agent: str = CHROME,
) -> dict[str, Any]:
    body = {"siteKey": key, "visitorId": str(visitor or uuid4()), "events": list(events)}
    answer = await http.post(PATH, json=body, headers={"user-agent": agent})
    assert answer.status_code == 202
    found: dict[str, Any] = answer.json()
    return found


async def rows(tenant: ActingTenant, *events: dict[str, Any]) -> list[Any]:
    """The stored events, in the order they are asked for."""
    async with tenant.transaction() as conn:
        found = await conn.fetch("select * from events where tenant_id = $1", tenant.id)
    by_id = {str(row["event_id"]): row for row in found}
    return [by_id[each["eventId"]] for each in events]


async def site_of(client: httpx.AsyncClient, tenant: ActingTenant, **settings: Any) -> str:
    """The key of a new site of the tenant with these settings."""
    answer = await client.post("/api/tracking/sites", json={"name": "Another", **settings}, headers=tenant.headers)
    assert answer.status_code == 201, answer.text
    key: str = answer.json()["siteKey"]
    return key


@pytest.fixture(scope="module")
async def elsewhere(installation: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """A client at another address of the network."""
    app = create_app(installation, manage_runtime=False)
    transport = httpx.ASGITransport(app=app, client=("203.0.113.9", 4711))  # type: ignore[arg-type]
    async with (
        app.lifespan(),  # type: ignore[attr-defined]
        httpx.AsyncClient(transport=transport, base_url="http://coursesignal.test") as http,
    ):
        yield http


async def test_a_cookieless_visitor_is_the_same_browser_at_the_same_address_whatever_id_it_says(
    client: httpx.AsyncClient, elsewhere: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    key, other_key = [await site_of(client, tenant, cookieless=True) for _ in range(2)]
    first, again, browser, address, site = (event() for _ in range(5))
    said = uuid4()
    assert await send(client, key, first, visitor=said) == {"accepted": 1, "dropped": []}
    await send(client, key, again)
    await send(client, key, browser, agent=FIREFOX)
    await send(elsewhere, key, address)
    await send(client, other_key, site)
    one, same, *others = await rows(tenant, first, again, browser, address, site)
    assert one["visitor_id"] == same["visitor_id"] != said
    assert len({row["visitor_id"] for row in (one, *others)}) == 4
    assert [row["ip_hash"] for row in (one, same, *others)] == [None] * 5


async def test_a_cookieless_visitor_who_says_an_address_that_day_is_joined_as_usual(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Run
) -> None:
    tenant = await make_tenant()
    key = await site_of(client, tenant, cookieless=True)
    visit = event(f"{SHOP}?utm_source=youtube")
    await send(client, key, visit)
    await send(client, key, event(type="identify", email="pat@example.com"))
    await run_jobs()
    (row,) = await rows(tenant, visit)
    async with tenant.transaction() as conn:
        email = await conn.fetchval(
            "select p.email from visitors v join people p on p.tenant_id = $1 and p.id = v.person_id "
            "where v.tenant_id = $1 and v.id = $2", tenant.id, row["visitor_id"],
        )  # fmt: skip
    assert email == "pat@example.com"


async def test_a_day_later_nothing_leads_to_yesterdays_visitor_and_the_salt_is_gone(installation: Runtime) -> None:
    site, today = uuid4(), datetime.now(UTC)
    yesterday = today - timedelta(days=1)
    async with installation.database.control() as conn:
        await conn.execute(
            "insert into cookieless_salts (day, salt) values ($1, 'old')", (today - timedelta(days=2)).date()
        )

    async def visitor(process: DailyVisitors, now: datetime) -> UUID:
        return await process.visitor_id(site, "203.0.113.9", CHROME, now)

    one, other = DailyVisitors(installation.database), DailyVisitors(installation.database)
    then = await visitor(one, yesterday)
    assert await visitor(other, yesterday) == then
    assert await visitor(one, today) == await visitor(other, today) != then
    assert await salts(installation) == [yesterday.date(), today.date()]
    (spent,) = [cron for cron in core_crons(installation.database) if cron.name == "core.spent"]
    await spent.run(today)
    kept = (today - timedelta(hours=1)).date()
    assert await salts(installation) == [day for day in (yesterday.date(), today.date()) if day >= kept]


async def salts(installation: Runtime) -> list[Any]:
    async with installation.database.control() as conn:
        return [row["day"] for row in await conn.fetch("select day from cookieless_salts order by day")]


async def test_a_link_to_another_domain_carries_the_visitor_there(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    key = await site_of(client, tenant, linkedHosts=["checkout.test"])
    visitor, fresh = uuid4(), uuid4()
    told = await send(client, key, event(), visitor=visitor)
    assert "visitorId" not in told
    assert re.search(told["hosts"], "pay.checkout.test")
    assert not re.search(told["hosts"], "notcheckout.test")
    arrival = event(f"{CHECKOUT}?plan=a&cs_link={told['link']}#top", referrer=f"{SHOP}?cs_link={told['link']}")
    answer = await send(client, key, arrival, visitor=fresh)
    assert (answer["accepted"], answer["visitorId"]) == (1, str(visitor))
    (row,) = await rows(tenant, arrival)
    assert (row["visitor_id"], row["url"], row["referrer"]) == (visitor, f"{CHECKOUT}?plan=a#top", SHOP)
    assert await links(tenant) == []


async def test_that_the_browser_was_known_there_by_another_id_is_written_down(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    key = await site_of(client, tenant, linkedHosts=["checkout.test"])
    visitor, known = uuid4(), uuid4()
    await send(client, key, event(CHECKOUT), visitor=known)
    told = await send(client, key, event(), visitor=visitor)
    for _ in range(2):
        await send(client, key, event(f"{CHECKOUT}?cs_link={told['link']}"), visitor=known)
    assert await links(tenant) == [(known, visitor)]


async def links(tenant: ActingTenant) -> list[Any]:
    async with tenant.transaction() as conn:
        found = await conn.fetch(
            "select from_visitor_id, to_visitor_id from visitor_links where tenant_id = $1", tenant.id
        )
    return [tuple(row) for row in found]


async def test_a_parameter_that_is_forged_expired_or_anothers_is_counted_and_changes_nothing(
    client: httpx.AsyncClient, installation: Runtime, make_tenant: TenantMaker, run_jobs: Run
) -> None:
    tenant, other = await make_tenant(), await make_tenant()
    signer, visitor, now = LinkSigner(installation.keys), uuid4(), datetime.now(UTC)
    good = signer.sign(visitor, tenant.id, now)
    forged = ["", "x", "%00", good[:-4], ("A" if good[0] != "A" else "B") + good[1:], good + "AAAA", "A" * 3000]
    foreign = signer.sign(visitor, other.id, now)
    expired = [signer.sign(visitor, tenant.id, now + by) for by in (-timedelta(hours=3), timedelta(minutes=10))]
    for value in (*forged, foreign, *expired):
        arrival, own = event(f"{CHECKOUT}?cs_link={value}"), uuid4()
        assert await send(client, tenant.site_key, arrival, visitor=own) == {"accepted": 1, "dropped": []}
        (row,) = await rows(tenant, arrival)
        assert (row["visitor_id"], row["url"]) == (own, CHECKOUT)
    await run_jobs()
    info = (await client.get("/api/script/info", headers=tenant.headers)).json()
    assert info["ignoredLinks"] == {"link-expired": 2, "link-foreign": 1, "link-forged": len(forged)}
    assert info["dropped"] == {}


async def test_the_parameter_is_taken_out_of_an_address_and_nothing_else_of_it() -> None:
    for address, left in (
        ("https://a.test/?cs_link=x", "https://a.test/"),
        ("https://a.test/?cs_link=x&b=%20+c#d?e=1", "https://a.test/?b=%20+c#d?e=1"),
        ("https://a.test/?b=1&cs_link=x#d", "https://a.test/?b=1#d"),
        ("https://a.test/?b=1&cs_link=x&c=2", "https://a.test/?b=1&c=2"),
        ("https://a.test/?not_cs_link=x&b", "https://a.test/?not_cs_link=x&b"),
        ("https://a.test/cs_link=x", "https://a.test/cs_link=x"),
    ):
        assert without(address) == left


async def test_links_on_the_same_registered_domain_carry_nothing() -> None:
    assert hosts_pattern(["pay.shop.test"], "www.shop.test") == ""
    assert hosts_pattern(["pay.shop.test", "a.b-c.test"], "www.shop.test") == r"(^|\.)(a\.b-c\.test)$"
    assert hosts_pattern([], "www.shop.test") == ""


async def test_a_site_that_names_its_hosts_takes_events_from_the_linked_ones_too(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    key = await site_of(client, tenant, allowedHosts=["shop.test"], linkedHosts=["checkout.test"])
    answer = await send(client, key, event(), event(CHECKOUT), event("https://evil.test/"))
    assert (answer["accepted"], [drop["reason"] for drop in answer["dropped"]]) == (2, ["host-not-allowed"])


async def test_the_domain_somebody_was_sent_on_from_is_no_source(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Run
) -> None:
    tenant = await make_tenant()
    key = await site_of(client, tenant, linkedHosts=["shop.test", "checkout.test"])
    await send(client, key, event(CHECKOUT, referrer=SHOP))
    await run_jobs()
    async with tenant.transaction() as conn:
        (touch,) = await conn.fetch("select is_direct from touches where tenant_id = $1", tenant.id)
    assert touch["is_direct"]


async def test_the_snippet_follows_the_settings_and_their_change_is_on_record(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    flags = {"consentFirst": True, "cookieless": True, "outboundLinks": True, "formEmails": True}
    path = f"/api/tracking/sites/{tenant.site_id}"
    changed = await client.patch(path, json={**flags, "linkedHosts": ["Pay.Checkout.test"]}, headers=tenant.headers)
    assert changed.status_code == 200
    assert {name: changed.json()[name] for name in flags} == flags
    assert changed.json()["linkedHosts"] == ["pay.checkout.test"]
    generated = (await client.get("/api/script/generate", headers=tenant.headers)).json()["snippet"]
    assert generated.endswith(
        f'data-site="{tenant.site_key}" data-consent data-cookieless data-outbound data-forms></script>'
    )
    await client.patch(path, json={"cookieless": False, "outboundLinks": False}, headers=tenant.headers)
    (site,) = (await client.get("/api/tracking/sites", headers=tenant.headers)).json()["items"]
    assert (site["consentFirst"], site["cookieless"], site["outboundLinks"], site["formEmails"]) == (1, 0, 0, 1)
    audit = (await client.get("/api/audit", headers=tenant.headers)).json()["items"]
    assert [(entry["action"], entry["detail"].get("cookieless")) for entry in audit] == [
        ("site.changed", False),
        ("site.changed", True),
    ]


async def test_each_of_several_sites_has_a_snippet_of_its_own(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant, other = await make_tenant(), await make_tenant()
    await site_of(client, tenant, consentFirst=True)
    sites = (await client.get("/api/tracking/sites", headers=tenant.headers)).json()["items"]
    for site in sites:
        asked = {"site": site["id"]}
        generated = (await client.get("/api/script/generate", params=asked, headers=tenant.headers)).json()
        assert generated["siteKey"] == site["siteKey"]
        assert ("data-consent" in generated["snippet"]) is site["consentFirst"]
    theirs = await client.get("/api/script/generate", params={"site": str(other.site_id)}, headers=tenant.headers)
    assert theirs.status_code == 404


async def test_a_linked_host_that_is_none_is_named(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    tenant = await make_tenant()
    path = f"/api/tracking/sites/{tenant.site_id}"
    answer = await client.patch(path, json={"linkedHosts": ["checkout.test", "https://x.test"]}, headers=tenant.headers)
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == ["linkedHosts.1"]
