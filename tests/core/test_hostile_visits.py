"""Whatever addresses, referrers and user agents hold: the pipeline reads on, quickly, and stores what they say as they say it."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History
from coursesignal.tracking.bots import automation
from coursesignal.tracking.channels import channel_of, hit_of
from coursesignal.tracking.devices import device_of
from coursesignal.tracking.origins import MAX_VALUE, read_origin
from coursesignal.tracking.urls import registrable, strip_personal

PATH = "/api/tracking/event"
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
AT = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
TEXTS = [
    "=1+1",
    "@sum(a1)",
    "<script>alert(1)</script>",
    "\u202egnp.exe",
    "'; drop table touches; --",
    "{{7*7}}",
    "💥" * 50,
]
PIECES = [
    "http://", "https://", "android-app://", "[", "]", "@", ":", "/", "?", "#", "&", "=", "%00", "%ff", "%", "..", ".", "www.",
    "google", ".com", "co.uk", "utm_source", "utm_medium", "gclid", "mc_eid", "ref", "\u202e", "💥", "é", "xn--", "999999", " ",
    "<script>", "=1+1", "a" * 300, "公司", "\uffff", "cp", "ads", "shop", "email", "%40", "search.", "mastodon.", "İ", "ß",
]  # fmt: skip

Run = Callable[[], Awaitable[None]]


@pytest.fixture(scope="module")
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


async def send(client: httpx.AsyncClient, tenant: ActingTenant, **event: Any) -> str:
    """One page view of a new visitor; returns its event's id."""
    event_id = str(uuid4())
    view = {"eventId": event_id, "type": "pageview", "at": AT.isoformat(), **event}
    body = {"siteKey": tenant.site_key, "visitorId": str(uuid4()), "events": [view]}
    answer = await client.post(PATH, json=body, headers=BROWSER)
    assert answer.json() == {"accepted": 1, "dropped": []}
    return event_id


@pytest.mark.parametrize("text", [*TEXTS, "x" * 1500], ids=range(len(TEXTS) + 1))
async def test_what_a_link_says_is_stored_literally_and_shown_harmlessly(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Run, text: str
) -> None:
    tenant = await make_tenant()
    said = quote(text, safe="")
    url = f"https://www.example.com/?utm_source={said}&utm_medium={said}&utm_campaign={said}&utm_content={said}&gclid={said}"
    await send(client, tenant, url=url, referrer=f"https://{said}.example/", title=text)
    await run_jobs()
    async with tenant.transaction() as conn:
        touch = await conn.fetchrow("select * from touches where tenant_id = $1", tenant.id)
    kept = text[:MAX_VALUE]
    assert (touch["source"], touch["medium"]) == (kept.lower(), kept.lower())
    assert (touch["campaign"], touch["content"], touch["click_id"]) == (kept, kept, kept)
    rows = (await client.get("/api/analytics/sources", params={"range": "7d"}, headers=tenant.headers)).json()["rows"]
    assert [row["source"] for row in rows] == [kept.lower()]
    params = {"report": "sources", "range": "7d"}
    export = await client.get("/api/analytics/export", params=params, headers=tenant.headers)
    cells = [row["source"] for row in csv.DictReader(io.StringIO(export.content.decode("utf-8-sig")))]
    assert kept.lower() in cells or f"'{kept.lower()}" in cells
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


async def test_a_hostile_channel_of_ones_own_is_only_a_name(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Run
) -> None:
    tenant = await make_tenant()
    past = History(tenant)
    for number in range(len(TEXTS)):
        await past.visit(f"v{number}", AT, f"source-{number}", channel="Referral")
    rules = [
        {"channel": text, "conditions": [{"field": "source", "test": "equals", "value": f"source-{number}"}]}
        for number, text in enumerate(TEXTS)
    ]
    answer = await client.put("/api/tracking/channel-rules", json={"rules": rules}, headers=tenant.headers)
    assert answer.status_code == 200
    await run_jobs()
    rows = (await client.get("/api/analytics/sources", params={"range": "7d"}, headers=tenant.headers)).json()["rows"]
    assert {row["channel"] for row in rows} == set(TEXTS)
    params = {"report": "sources", "range": "7d"}
    export = await client.get("/api/analytics/export", params=params, headers=tenant.headers)
    cells = [row["channel"] for row in csv.DictReader(io.StringIO(export.content.decode("utf-8-sig")))]
    assert all(text in cells or f"'{text}" in cells for text in TEXTS)
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


async def test_broken_addresses_do_not_keep_the_pipeline_from_the_others(
    client: httpx.AsyncClient, tenant: ActingTenant, run_jobs: Run
) -> None:
    rng = random.Random(20261123)
    for _ in range(60):
        url = "https://" + "".join(rng.choices(PIECES, k=10))
        await send(client, tenant, url=url, referrer="".join(rng.choices(PIECES, k=8)))
    last = await send(client, tenant, url="https://www.example.com/?utm_source=youtube")
    await run_jobs()
    async with tenant.transaction() as conn:
        waiting = await conn.fetchval(
            "select count(*) from events where tenant_id = $1 and processed_at is null", tenant.id
        )
        source = await conn.fetchval(
            "select source from touches where tenant_id = $1 and event_id = $2::uuid", tenant.id, last
        )
    assert (waiting, source) == (0, "youtube")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.text(max_size=200))
def test_nothing_that_is_read_raises(address: str, text: str) -> None:
    for url, referrer in ((address, text), (text, address), (address, address)):
        hit = hit_of(read_origin(url, referrer, ("example.com",)))
        assert channel_of(hit)
        strip_personal(url)
        registrable(referrer)
    automation(text)
    assert all("\x00" not in part for part in device_of(text))
