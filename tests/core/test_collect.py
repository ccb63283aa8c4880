"""POST /api/tracking/event and its neighbours, as the contract in docs and api.md says."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.tracking.bucket import TokenBuckets

PATH = "/api/tracking/event"


def pageview(**fields: Any) -> dict[str, Any]:
    return {"eventId": str(uuid4()), "type": "pageview", "url": "https://www.example.com/", **fields}


def submission(tenant: ActingTenant, *events: dict[str, Any], visitor: str | None = None) -> dict[str, Any]:
    return {"siteKey": tenant.site_key, "visitorId": visitor or str(uuid4()), "events": list(events)}


@pytest.fixture(scope="module")
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


async def stored(tenant: ActingTenant, *event_ids: str) -> list[Any]:
    async with tenant.transaction() as conn:
        rows: list[Any] = await conn.fetch(
            "select * from events where tenant_id = $1 and event_id = any($2) order by occurred_at",
            tenant.id,
            list(event_ids),
        )
    return rows


async def test_events_are_stored_when_they_are_answered(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    events = [
        pageview(title="Start"),
        {"eventId": str(uuid4()), "type": "custom", "name": "play", "props": {"minute": 3}},
    ]
    answer = await client.post(PATH, json=submission(tenant, *events), headers={"user-agent": "A browser"})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "dropped": []})
    first, second = await stored(tenant, *(event["eventId"] for event in events))
    assert (first["type"], first["title"], first["user_agent"]) == ("pageview", "Start", "A browser")
    assert (second["name"], second["props"]) == ("play", {"minute": 3})
    assert first["site_id"] == tenant.site_id


async def test_one_event_may_come_without_a_list(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    event = pageview()
    body = {"siteKey": tenant.site_key, "visitorId": str(uuid4()), "event": event}
    assert (await client.post(PATH, json=body)).json() == {"accepted": 1, "dropped": []}
    assert len(await stored(tenant, event["eventId"])) == 1


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain;charset=UTF-8", "text/plain", "", "Application/JSON"]
)
async def test_a_beacon_needs_no_json_content_type(
    client: httpx.AsyncClient, tenant: ActingTenant, content_type: str
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = await client.post(PATH, content=json.dumps(submission(tenant, pageview())), headers=headers)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)


async def test_other_content_types_are_told_what_to_send(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    answer = await client.post(PATH, data={"siteKey": tenant.site_key})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["title"]
    packed = await client.post(PATH, content=b"x", headers={"content-encoding": "gzip"})
    assert packed.status_code == 415


async def test_the_same_event_sent_again_is_stored_once(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    event = pageview(at=datetime.now(UTC).isoformat())
    body = submission(tenant, event)
    answers = [await client.post(PATH, json=body) for _ in range(3)]
    assert [answer.json() for answer in answers] == [{"accepted": 1, "dropped": []}] * 3
    assert len(await stored(tenant, event["eventId"])) == 1


async def test_the_same_events_sent_at_once_in_any_order_are_stored_once(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    events = [pageview(at=datetime.now(UTC).isoformat()) for _ in range(20)]
    bodies = [submission(tenant, *(events if turn % 2 else reversed(events))) for turn in range(30)]
    answers = await asyncio.gather(*(client.post(PATH, json=body) for body in bodies))
    assert {answer.status_code for answer in answers} == {202}
    assert len(await stored(tenant, *(event["eventId"] for event in events))) == 20


async def test_the_time_of_an_event_is_the_clients_when_it_is_sane(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    now = datetime.now(UTC)
    sane = {"old": now - timedelta(days=30), "recent": now - timedelta(seconds=1)}
    insane = {"too old": now - timedelta(days=32), "ahead": now + timedelta(hours=23)}
    for at in sane.values():
        event = pageview(at=at.isoformat())
        await client.post(PATH, json=submission(tenant, event))
        assert [row["occurred_at"] for row in await stored(tenant, event["eventId"])] == [at]
    for at in insane.values():
        event = pageview(at=at.isoformat())
        await client.post(PATH, json=submission(tenant, event))
        (row,) = await stored(tenant, event["eventId"])
        assert abs(row["occurred_at"] - datetime.now(UTC)) < timedelta(minutes=1)


async def test_events_without_a_time_keep_the_order_they_were_sent_in(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    events = [pageview() for _ in range(10)]
    await client.post(PATH, json=submission(tenant, *events))
    rows = await stored(tenant, *(event["eventId"] for event in events))
    assert [str(row["event_id"]) for row in rows] == [event["eventId"] for event in events]


async def test_an_unknown_key_is_answered_like_a_known_one_and_stores_nothing(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    known, unknown = submission(tenant, pageview()), submission(tenant, pageview())
    unknown["siteKey"] = "A" * len(tenant.site_key)
    first, second = await client.post(PATH, json=known), await client.post(PATH, json=unknown)
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert set(first.headers) == set(second.headers)
    assert await stored(tenant, unknown["events"][0]["eventId"]) == []


async def test_the_visitors_address_is_kept_as_a_keyed_hash_only(
    client: httpx.AsyncClient, make_tenant: TenantMaker, tenant: ActingTenant
) -> None:
    other = await make_tenant()
    here, there = pageview(), pageview()
    await client.post(PATH, json=submission(tenant, here))
    await client.post(PATH, json=submission(other, there))
    (mine,), (theirs,) = await stored(tenant, here["eventId"]), await stored(other, there["eventId"])
    assert mine["ip_hash"] != theirs["ip_hash"]
    assert b"127.0.0.1" not in mine["ip_hash"]


async def test_events_from_hosts_that_are_not_allowed_are_dropped(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    async with tenant.transaction() as conn:
        await conn.execute("update sites set allowed_hosts = '{example.com}' where tenant_id = $1", tenant.id)
    here, below, elsewhere, lookalike, nowhere = (
        pageview(url="https://example.com/"),
        pageview(url="https://shop.example.com/"),
        pageview(url="https://evil.test/"),
        pageview(url="https://notexample.com/"),
        {"eventId": str(uuid4()), "type": "pageview"},
    )
    answer = (await client.post(PATH, json=submission(tenant, here, below, elsewhere, lookalike, nowhere))).json()
    assert answer["accepted"] == 2
    refused = [elsewhere, lookalike, nowhere]
    assert answer["dropped"] == [{"eventId": event["eventId"], "reason": "host-not-allowed"} for event in refused]
    forged = await client.post(
        PATH, json=submission(tenant, pageview(url="https://example.com/")), headers={"origin": "https://evil.test"}
    )
    assert forged.json()["dropped"][0]["reason"] == "host-not-allowed"
    by_origin = await client.post(
        PATH,
        json=submission(tenant, {"eventId": str(uuid4()), "type": "custom", "name": "play"}),
        headers={"origin": "https://www.example.com"},
    )
    assert by_origin.json()["accepted"] == 1


async def test_any_page_may_send_from_its_own_origin(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    preflight = await client.options(
        PATH,
        headers={
            "origin": "https://any.test",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        },
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-headers"] == "content-type"
    answer = await client.post(PATH, json=submission(tenant, pageview()), headers={"origin": "https://any.test"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


async def test_the_script_is_one_cacheable_file(client: httpx.AsyncClient) -> None:
    script = await client.get("/t.js")
    assert script.status_code == 200
    assert script.headers["content-type"].startswith("text/javascript")
    assert "max-age" in script.headers["cache-control"]
    assert "CourseSignal" in script.text
    again = await client.get("/t.js", headers={"if-none-match": script.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = await client.get("/t.js", headers={"accept-encoding": "identity"})
    assert plain.text == script.text
    assert len(gzip.compress(plain.content, 9)) <= 1536


async def test_the_tracking_endpoints_say_which_methods_they_take(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/tracking/health")).json() == {"status": "ok"}
    for path, allowed in ((PATH, "POST, OPTIONS"), ("/api/tracking/health", "GET, HEAD"), ("/t.js", "GET, HEAD")):
        answer = await client.delete(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


async def test_a_revoked_key_ends_and_the_tenant_goes_on_with_another(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    async with tenant.transaction() as conn:
        await conn.execute("update sites set revoked_at = now() where tenant_id = $1", tenant.id)
    event = pageview()
    assert (await client.post(PATH, json=submission(tenant, event))).status_code == 202
    assert await stored(tenant, event["eventId"]) == []


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    bucket = TokenBuckets(rate=10, burst=3)
    assert [bucket.take("a", 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, pytest.approx(0.1)]
    assert bucket.take("b", 0.0) == 0.0
    assert bucket.take("a", 0.1) == 0.0
    assert bucket.take("a", 0.1) > 0.0
    assert [bucket.take("a", 60.0) for _ in range(3)] == [0.0] * 3
    assert [TokenBuckets(rate=0).take("a", 0.0) for _ in range(100)] == [0.0] * 100
