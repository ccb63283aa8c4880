"""Whatever is sent to the collect endpoint: a clear 4xx or a counted drop, never a 500, and no neighbour loses an event."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.tracking.reasons import DropReason

PATH = "/api/tracking/event"
VISITOR = str(uuid4())
GOOD = {"eventId": str(uuid4()), "type": "pageview", "url": "https://example.com/"}


@pytest.fixture(scope="module")
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


def body(tenant: ActingTenant, **changes: Any) -> dict[str, Any]:
    return {"siteKey": tenant.site_key, "visitorId": VISITOR, "events": [GOOD], **changes}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b"{",
        b'"text"',
        b"not json",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b'{"siteKey": "\xff\xff\xff\xff"}',
        b'{"siteKey": "\\ud800"}',
        b"{" + b'"a":{' * 5000,
        b"[" * 60_000,
        b'{"events":' + b"[" * 60_000,
        b'{"siteKey":NaN}',
    ],
    ids=lambda content: repr(content[:24]),
)
async def test_what_is_no_submission_is_answered_400_as_a_problem(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post(PATH, content=content)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 400
    assert problem["type"]
    assert problem["title"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"siteKey": None}, "siteKey"),
        ({"siteKey": "short"}, "siteKey"),
        ({"siteKey": "x" * 100}, "siteKey"),
        ({"siteKey": "drop table events; --"}, "siteKey"),
        ({"siteKey": "\x00" * 32}, "siteKey"),
        ({"visitorId": "me"}, "visitorId"),
        ({"visitorId": 2**70}, "visitorId"),
        ({"events": {}}, "events"),
        ({"events": []}, "events"),
        ({"events": [GOOD] * 51}, "events"),
        ({"events": [GOOD], "event": GOOD}, "events"),
        ({"events": [None]}, "events.0"),
        ({"events": [{**GOOD, "eventId": "1"}]}, "events.0.eventId"),
        ({"events": [{**GOOD, "type": "purchase"}]}, "events.0.type"),
        ({"events": [{**GOOD, "url": 7}]}, "events.0.url"),
        ({"events": [{**GOOD, "url": ["https://example.com"]}]}, "events.0.url"),
        ({"events": [{**GOOD, "at": "yesterday"}]}, "events.0.at"),
        ({"events": [{**GOOD, "at": "2026-01-01T00:00:00"}]}, "events.0.at"),
        ({"events": [{**GOOD, "at": 2**70}]}, "events.0.at"),
        ({"events": [{**GOOD, "props": [1]}]}, "events.0.props"),
        ({"events": [{**GOOD, "tenantId": VISITOR}]}, "events.0.tenantId"),
        ({"role": "owner"}, "role"),
    ],
)
async def test_a_malformed_field_is_named(
    client: httpx.AsyncClient, tenant: ActingTenant, changes: Any, path: str
) -> None:
    answer = await client.post(PATH, json=body(tenant, **changes))
    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == [path]


async def test_a_number_beyond_any_column_is_refused_in_a_field_and_kept_literally_in_properties(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    event = {**GOOD, "eventId": str(uuid4()), "props": {"n": 2**70}}
    assert (await client.post(PATH, json=body(tenant, events=[event]))).json()["accepted"] == 1
    raw = json.dumps(body(tenant)).replace('"https://example.com/"', '"https://example.com/", "props": {"n": 1e999}')
    assert (await client.post(PATH, content=raw)).status_code == 400


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"url": "javascript:alert(1)"}, "invalid-url"),
        ({"url": "/relative"}, "invalid-url"),
        ({"url": ""}, "invalid-url"),
        ({"url": "https://example.com/\x00"}, "invalid-text"),
        ({"title": "a\x00b"}, "invalid-text"),
        ({"referrer": "https://example.com/\x00"}, "invalid-text"),
        ({"url": "https://example.com/?" + "x" * 9000}, "too-long"),
        ({"title": "x" * 9000}, "too-long"),
        ({"type": "custom", "name": "x" * 300}, "too-long"),
        ({"type": "custom"}, "missing-name"),
        ({"type": "custom", "name": ""}, "missing-name"),
        ({"type": "identify"}, "invalid-email"),
        ({"type": "identify", "email": "nobody"}, "invalid-email"),
        ({"type": "identify", "email": "@example.com"}, "invalid-email"),
        ({"type": "identify", "email": "a b@example.com"}, "invalid-email"),
        ({"type": "identify", "email": "a@example.com\r\nbcc: b@example.com"}, "invalid-email"),
        ({"type": "identify", "email": "x" * 400 + "@example.com"}, "too-long"),
        ({"props": {"a": "\x00"}}, "invalid-props"),
        ({"props": {"\x00": 1}}, "invalid-props"),
        ({"props": {"a": "x" * 20_000}}, "invalid-props"),
        ({"props": {"a": [[[[[[[[[[1]]]]]]]]]]}}, "invalid-props"),
    ],
)
async def test_what_is_understood_and_cannot_be_kept_is_dropped_with_its_reason(
    client: httpx.AsyncClient, tenant: ActingTenant, event: dict[str, Any], reason: str
) -> None:
    wrong = {**GOOD, **event, "eventId": str(uuid4())}
    right = {**GOOD, "eventId": str(uuid4())}
    answer = await client.post(PATH, json=body(tenant, events=[wrong, right]))
    assert answer.status_code == 202
    assert answer.json() == {"accepted": 1, "dropped": [{"eventId": wrong["eventId"], "reason": reason}]}
    assert reason in {known.value for known in DropReason}


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "<script>alert(1)</script>",
        "'; drop table events; --",
        "\u202egnp.exe",
        "\\u0000",
        "💥" * 100,
        "\uffff",
        "%00",
        "{{7*7}}",
    ],
)
async def test_text_is_stored_literally(client: httpx.AsyncClient, tenant: ActingTenant, text: str) -> None:
    event = {
        "eventId": str(uuid4()),
        "type": "custom",
        "name": text,
        "title": text,
        "referrer": text,
        "props": {text: text},
    }
    assert (await client.post(PATH, json=body(tenant, events=[event]))).json() == {"accepted": 1, "dropped": []}
    async with tenant.transaction() as conn:
        row = await conn.fetchrow(
            "select name, title, referrer, props from events where tenant_id = $1 and event_id = $2",
            tenant.id,
            event["eventId"],
        )
    assert tuple(row) == (text, text, text, {text: text})


async def test_a_body_above_64_kib_is_refused_without_reading_on(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    declared = await client.post(PATH, content=b" " * (64 * 1024 + 1))
    assert (declared.status_code, declared.headers["connection"]) == (413, "close")
    taken = 0

    async def endless() -> Any:
        nonlocal taken
        while taken < 1000:
            taken += 1
            yield b" " * 8192

    streamed = await client.post(PATH, content=endless())
    assert streamed.status_code == 413
    fits = json.dumps(body(tenant)).ljust(64 * 1024)
    assert (await client.post(PATH, content=fits)).status_code == 202


async def test_hostile_requests_do_not_take_their_neighbours_with_them(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    wrong = [
        {**GOOD, "title": "\x00"},
        {**GOOD, "props": {"a": "\x00"}},
        {**GOOD, "type": "x"},
        {**GOOD, "at": "9999-12-31T23:59:59-23:59"},
    ]
    right = [{**GOOD, "eventId": str(uuid4())} for _ in range(40)]
    events = [event for pair in zip(right, wrong * 10, strict=True) for event in pair]
    answers = await asyncio.gather(*(client.post(PATH, json=body(tenant, events=[event])) for event in events))
    assert {answer.status_code for answer in answers} == {202, 400}
    async with tenant.transaction() as conn:
        kept = await conn.fetchval(
            "select count(*) from events where tenant_id = $1 and event_id = any($2)",
            tenant.id,
            [e["eventId"] for e in right],
        )
    assert kept == 40
