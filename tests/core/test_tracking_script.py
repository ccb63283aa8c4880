"""The snippet, its status, and the sites behind it, as a tenant sees them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker

PATH = "/api/tracking/event"

Run = Callable[[], Awaitable[None]]


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


async def send(client: httpx.AsyncClient, key: str, *events: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(PATH, json={"siteKey": key, "visitorId": str(uuid4()), "events": list(events)})
    assert answer.status_code == 202
    found: dict[str, Any] = answer.json()
    return found


def pageview(**fields: Any) -> dict[str, Any]:
    return {"eventId": str(uuid4()), "type": "pageview", "url": "https://www.example.com/", **fields}


async def test_the_snippet_loads_the_script_with_the_tenants_key(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    generated = (await client.get("/api/script/generate", headers=tenant.headers)).json()
    assert generated["siteKey"] == tenant.site_key
    assert (
        generated["snippet"]
        == f'<script async src="http://coursesignal.test/t.js" data-site="{tenant.site_key}"></script>'
    )
    assert set(generated["instructions"]) == {"kajabi", "teachable", "general"}
    assert "Code snippets" in generated["instructions"]["teachable"]


async def test_the_status_changes_from_waiting_to_receiving_with_the_first_event(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    before = (await client.get("/api/script/info", headers=tenant.headers)).json()
    assert before == {
        "siteKey": tenant.site_key,
        "scriptUrl": "http://coursesignal.test/t.js",
        "status": "waiting",
        "eventsToday": 0,
        "dropped": {},
    }
    event = pageview(at=datetime.now(UTC).isoformat())
    for _ in range(2):
        await send(client, tenant.site_key, event)
    await send(client, tenant.site_key, pageview(at=(datetime.now(UTC) - timedelta(days=2)).isoformat()))
    after = (await client.get("/api/script/info", headers=tenant.headers)).json()
    assert (after["status"], after["eventsToday"]) == ("receiving", 1)
    assert datetime.fromisoformat(after["lastEventAt"]) == datetime.fromisoformat(event["at"])


async def test_what_was_dropped_is_shown_by_reason(
    client: httpx.AsyncClient, tenant: ActingTenant, run_jobs: Run
) -> None:
    for _ in range(2):
        await send(
            client, tenant.site_key, pageview(url="file:///etc/passwd"), {"eventId": str(uuid4()), "type": "custom"}
        )
    await run_jobs()
    info = (await client.get("/api/script/info", headers=tenant.headers)).json()
    assert info["dropped"] == {"invalid-url": 2, "missing-name": 2}
    assert info["status"] == "waiting"


async def test_a_tenant_without_a_site_is_given_one_at_the_first_look(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    async with tenant.transaction() as conn:
        await conn.execute("delete from sites where tenant_id = $1", tenant.id)
    keys = {
        (await client.get(path, headers=tenant.headers)).json()["siteKey"]
        for path in ("/api/script/info", "/api/script/generate")
    }
    assert len(keys) == 1
    assert await send(client, keys.pop(), pageview()) == {"accepted": 1, "dropped": []}


async def test_a_site_is_added_restricted_renamed_given_a_new_key_and_ended(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    added = await client.post(
        "/api/sites", json={"name": "Blog", "allowedHosts": ["Blog.Example.com"]}, headers=tenant.headers
    )
    assert added.status_code == 201
    site = added.json()
    assert (site["name"], site["allowedHosts"], site["revokedAt"]) == ("Blog", ["blog.example.com"], None)
    assert (await send(client, site["siteKey"], pageview()))["dropped"][0]["reason"] == "host-not-allowed"

    path = f"/api/sites/{site['id']}"
    changed = (await client.patch(path, json={"name": "Journal", "allowedHosts": []}, headers=tenant.headers)).json()
    assert (changed["name"], changed["allowedHosts"], changed["siteKey"]) == ("Journal", [], site["siteKey"])
    rotated = (await client.patch(path, json={"rotateKey": True}, headers=tenant.headers)).json()
    assert rotated["siteKey"] != site["siteKey"]
    assert (await send(client, rotated["siteKey"], pageview()))["accepted"] == 1

    assert (await client.delete(path, headers=tenant.headers)).status_code == 204
    listed = (await client.get("/api/sites", headers=tenant.headers)).json()["items"]
    assert [item["revokedAt"] is None for item in listed if item["id"] == site["id"]] == [False]
    assert (await client.patch(path, json={"name": "Again"}, headers=tenant.headers)).status_code == 404


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": "Blog", "allowedHosts": ["https://example.com/"]}, "allowedHosts.0"),
        ({"name": "Blog", "allowedHosts": ["example.com", "not a host"]}, "allowedHosts.1"),
        ({"name": "", "allowedHosts": []}, "name"),
        ({"name": "Blog", "publicKey": "mine"}, "publicKey"),
    ],
)
async def test_what_is_wrong_with_a_site_is_named(
    client: httpx.AsyncClient, tenant: ActingTenant, body: dict[str, Any], path: str
) -> None:
    answer = await client.post("/api/sites", json=body, headers=tenant.headers)
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == [path]


async def test_another_tenants_site_is_not_found(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    mine, theirs = await make_tenant(), await make_tenant()
    path = f"/api/sites/{theirs.site_id}"
    for answer in (
        await client.patch(path, json={"name": "Mine now"}, headers=mine.headers),
        await client.delete(path, headers=mine.headers),
    ):
        assert answer.status_code == 404
    listed = (await client.get("/api/sites", headers=theirs.headers)).json()["items"]
    assert [(site["name"], site["revokedAt"]) for site in listed] == [("Site", None)]


async def test_a_viewer_reads_and_does_not_change(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    viewer = await make_tenant(role="viewer")
    assert (await client.get("/api/script/info", headers=viewer.headers)).status_code == 200
    assert (await client.post("/api/sites", json={"name": "Blog"}, headers=viewer.headers)).status_code == 403
