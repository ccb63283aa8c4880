"""Two tenants that know the same people: nothing of one is seen, changed or moved by the other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from litestar.routes import HTTPRoute

from coursesignal.app import create_litestar
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import FakeTeachable, use_platform

BUYER = "pat@example.com"
AGENT = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"}
Pair = tuple[ActingTenant, ActingTenant]


@pytest.fixture(scope="module")
async def school(installation: Runtime) -> AsyncIterator[FakeTeachable]:
    async with FakeTeachable() as platform:
        use_platform(installation, platform)
        yield platform


@pytest.fixture(scope="module")
async def pair(
    client: httpx.AsyncClient, make_tenant: TenantMaker, school: FakeTeachable, run_jobs: Callable[[], Awaitable[None]]
) -> Pair:
    """One from youtube for 99, one from a podcast for 250: the same visitor, the same buyer, the same sale's number."""
    ours, theirs, visitor = await make_tenant(currency="USD"), await make_tenant(currency="EUR"), str(uuid4())
    for tenant, source, price in ((ours, "youtube", 9_900), (theirs, "podcast", 25_000)):
        await visit(client, tenant, visitor, source)
        await sell(client, tenant, price)
        await furnish(client, tenant)
    await run_jobs()
    return ours, theirs


async def visit(client: httpx.AsyncClient, tenant: ActingTenant, visitor: str, source: str) -> None:
    url = f"https://courses.example.com/?utm_source={source}"
    events = [
        {"eventId": str(uuid4()), "type": "pageview", "url": url},
        {"eventId": str(uuid4()), "type": "identify", "email": BUYER, "url": url},
    ]
    body = {"siteKey": tenant.site_key, "visitorId": visitor, "events": events}
    answer = await client.post("/api/tracking/event", json=body, headers=AGENT)
    assert answer.json() == {"accepted": 2, "dropped": []}


async def sell(client: httpx.AsyncClient, tenant: ActingTenant, price: int) -> None:
    connected = await client.post("/api/teachable/connect", json={"apiKey": "teachable-key"}, headers=tenant.headers)
    sale = {
        "id": 71001, "user_id": 501, "user": {"id": 501, "email": BUYER, "name": "Pat Example"},
        "sale": {"id": 60001, "product": {"id": 88, "name": "Full price", "is_recurring": False}},
        "final_price": price, "currency": tenant.tenant.currency, "status": "paid",
        "purchased_at": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    payload = {"type": "Transaction.created", "id": 71001, "livemode": True, "hook_event_id": 9, "object": sale}
    hook = connected.json()["webhookUrl"].removeprefix("http://coursesignal.test")
    assert (await client.post(hook, json=payload)).status_code == 202


async def furnish(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    """One of everything else that has an id."""
    made: dict[str, dict[str, Any]] = {
        "/api/api-keys": {"name": "Reports", "scopes": ["analytics:read"]},
        f"/api/tenants/{tenant.tenant.slug}/members": {"email": "invited@example.com", "role": "viewer"},
        "/api/sites": {"name": "Blog"},
        "/api/launches": {
            "title": "Spring", "startsAt": "2026-03-01T00:00:00Z", "endsAt": "2026-03-08T00:00:00Z",
        },
    }  # fmt: skip
    for path, body in made.items():
        answer = await client.post(path, json=body, headers=tenant.headers)
        assert answer.status_code == 201, (path, answer.text)


async def ids_of(tenant: ActingTenant) -> dict[str, list[UUID]]:
    """The id of every row the tenant owns, by table, as the owner of the database sees them."""
    async with tenant.transaction() as conn:
        tables = await conn.fetch(
            "select table_name from information_schema.columns where table_schema = 'public' "
            "and column_name in ('id', 'tenant_id') and data_type = 'uuid' group by table_name having count(*) = 2"
        )
        return {
            table: [
                row["id"]
                for row in await conn.fetch(f"select id from {table} where tenant_id = $1 order by id", tenant.id)
            ]
            for (table,) in tables
        }


async def get(client: httpx.AsyncClient, tenant: ActingTenant, path: str) -> Any:
    answer = await client.get(path, headers=tenant.headers)
    assert answer.status_code == 200, (path, answer.text)
    return answer.json()


async def test_the_same_buyer_is_another_person_with_another_way_in_each_tenant(
    client: httpx.AsyncClient, pair: Pair
) -> None:
    found = []
    for tenant, source, price in zip(pair, ("youtube", "podcast"), (9_900, 25_000), strict=True):
        [sale] = (await get(client, tenant, "/api/analytics/recent-purchases"))["items"]
        assert (sale["email"], sale["amountMinor"], sale["source"]) == (BUYER, price, source)
        rows = (await get(client, tenant, "/api/analytics/sources?range=7d"))["rows"]
        assert [(row["source"], row["revenueMinor"], row["visitors"]) for row in rows] == [(source, price, 1)]
        detail = await get(client, tenant, f"/api/analytics/purchases/{sale['id']}")
        assert {touch["source"] for touch in detail["path"]} == {source}
        found.append((sale["id"], detail["person"]["id"]))
    assert len({identifier for pair_of_ids in found for identifier in pair_of_ids}) == 4, "no id is shared"


READS = [
    "/api/analytics/summary", "/api/analytics/sources", "/api/analytics/recent-purchases", "/api/analytics/daily-revenue",
    "/api/analytics/ledger", "/api/analytics/reconciliation", "/api/analytics/models/compare",
    "/api/analytics/export?report=sources", "/api/analytics/export?report=ledger", "/api/analytics/drilldown/podcast",
    "/api/connections/inbox", "/api/teachable/status", "/api/teachable/sync-status", "/api/script/info", "/api/sites",
    "/api/api-keys", "/api/audit", "/api/jobs/failed", "/api/plugins", "/api/launches", "/api/recommendations",
    "/api/tenants", "/api/auth/me", "/api/agencies",
]  # fmt: skip


@pytest.mark.parametrize("path", READS)
async def test_no_answer_names_anything_of_the_other(client: httpx.AsyncClient, pair: Pair, path: str) -> None:
    ours, theirs = pair
    answer = await client.get(path, headers=ours.headers)
    assert answer.status_code == 200, answer.text
    secrets = [str(identifier) for ids in (await ids_of(theirs)).values() for identifier in ids]
    secrets += [str(theirs.id), theirs.tenant.slug, theirs.site_key, "25000", "250.00"]
    if "drilldown" not in path:  # what was asked for is said again
        secrets.append("podcast")
    assert [secret for secret in secrets if secret in answer.text] == []


async def test_every_id_of_the_other_is_absent_on_every_route_that_takes_one(
    client: httpx.AsyncClient, pair: Pair, installation: Runtime
) -> None:
    """Byte for byte like an id that never was, for reading, changing and deleting; and afterwards all of it is still there."""
    ours, theirs = pair
    before = await ids_of(theirs)
    foreign = [(table, identifier) for table, ids in before.items() for identifier in ids[:2]]
    assert {"purchases", "people", "inbox", "sites", "api_keys", "launches_launches", "sync_runs"} <= {
        name for name, _ in foreign
    }
    faults, calls = [], 0
    for method, url in routes_with_an_id(installation, ours.tenant.slug):
        absent = await ask(client, ours, method, url.format(id=uuid4()))
        for table, identifier in foreign:
            answer, calls = await ask(client, ours, method, url.format(id=identifier)), calls + 1
            if (answer.status_code, answer.content) != (404, absent.content):
                faults.append(f"{method} {url} with an id of {table}: {answer.status_code} {answer.text[:100]}")
    assert calls > 200
    assert not faults, "\n".join(faults)
    assert await ids_of(theirs) == before


def routes_with_an_id(installation: Runtime, slug: str) -> list[tuple[str, str]]:
    """Method and path of every route of a tenant with one id in its path, ``{id}`` in its place."""
    found = []
    for route in create_litestar(installation, manage_runtime=False).routes:
        if not isinstance(route, HTTPRoute):
            continue
        parts = ["{id}" if getattr(part, "type", None) is UUID else part for part in route.path_components]
        parts = [slug if getattr(part, "name", "") == "tenant_slug" else part for part in parts]
        if "{id}" in parts and all(isinstance(part, str) for part in parts):
            for handler in route.route_handlers:
                methods = {str(method) for method in handler.http_methods} - {"OPTIONS"}
                found += [(method, "/" + "/".join(map(str, parts))) for method in methods]
    assert len(found) >= 8
    return found


async def ask(client: httpx.AsyncClient, tenant: ActingTenant, method: str, url: str) -> httpx.Response:
    """The call with a body that every route with an id accepts, or none at all."""
    body = {} if "members" not in url else {"role": "viewer"}
    if url.endswith("/merge"):
        body = {"into": (await client.get("/api/people", headers=tenant.headers)).json()["items"][0]["id"]}
    if url.endswith("/email"):
        body = {"email": "somebody@example.com"}
    content = json.dumps(body) if method in {"PATCH", "PUT"} or url.endswith(("/merge", "/new-address")) else None
    headers = {**tenant.headers, "content-type": "application/json"} if content else tenant.headers
    return await client.request(method, url, content=content, headers=headers)


async def test_the_webhook_address_of_one_books_nothing_in_the_other(pair: Pair) -> None:
    for tenant in pair:
        async with tenant.transaction() as conn:
            counts = await conn.fetchrow(
                "select (select count(*) from purchases), (select count(*) from people), (select count(*) from visitors), "
                "(select count(*) from inbox)"
            )
        assert counts is not None and list(counts.values()) == [1, 1, 1, 1]
