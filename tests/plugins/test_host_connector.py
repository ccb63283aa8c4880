"""A third party's platform from consent to credited sale, through core's own endpoints."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from coursesignal_sample.fake import FakeSample

from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker

RunJobs = Callable[[], Awaitable[None]]
Client = httpx.AsyncClient


@pytest.fixture(scope="module")
def installation(sample_installation: Runtime, sample_platform: FakeSample) -> Runtime:
    return sample_installation


async def begin(client: Client, tenant: ActingTenant) -> str:
    """The state with which the platform sends the person back."""
    form = (await client.get("/api/sample/connect", headers=tenant.headers)).json()
    assert form["kind"] == "consent"
    query = parse_qs(urlsplit(form["authorizeUrl"]).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == ["http://coursesignal.test/api/sample/callback"]
    return query["state"][0]


async def come_back(client: Client, tenant: ActingTenant, state: str, code: str = "good-code") -> httpx.Response:
    headers = {"authorization": tenant.headers["authorization"]}
    return await client.get("/api/sample/callback", params={"state": state, "code": code}, headers=headers)


async def test_a_sale_by_push_and_by_sync_is_one_and_reaches_the_plugins_hook(
    client: Client, make_tenant: TenantMaker, run_jobs: RunJobs, sample_platform: FakeSample
) -> None:
    tenant = await make_tenant(plugins=())
    sale = sample_platform.sell("pat@example.com", 19_900)
    sample_platform.refund(sale, 4_900)
    connected = await come_back(client, tenant, await begin(client, tenant))
    assert connected.status_code == 200, connected.text
    assert connected.json()["account"] == {"id": "acct-1", "name": "Sample Academy"}
    delivered = await sample_platform.deliver(to=connected.json()["webhookUrl"], http=client, copies=2)
    assert {answer.status_code for answer in delivered} <= {200, 202}
    await run_jobs()

    summary = (await client.get("/api/analytics/summary", headers=tenant.headers)).json()
    assert (summary["purchases"], summary["revenueMinor"], summary["refundedMinor"]) == (1, 19_900, 4_900)
    notes = (await client.get("/api/sample/notes", headers=tenant.headers)).json()
    kinds = sorted(note["kind"] for note in notes)
    assert kinds.count("purchase_recorded") == kinds.count("purchase_refunded") == 1
    assert {"plugin_enabled", "connection_opened"} <= set(kinds)


async def test_a_consent_is_good_once_and_for_its_own_session(client: Client, make_tenant: TenantMaker) -> None:
    tenant, other = await make_tenant(plugins=()), await make_tenant(plugins=())
    state = await begin(client, tenant)
    assert (await come_back(client, other, state)).status_code == 400
    assert (await come_back(client, tenant, state)).status_code == 200
    assert (await come_back(client, tenant, state)).status_code == 400


async def test_the_page_leads_to_the_platforms_consent_by_a_link(make_tenant: TenantMaker, in_browser: Any) -> None:
    visitor = await in_browser(await make_tenant(plugins=()))
    answer = await visitor.post("connections/sample", {"do": "connect"})
    assert answer.status_code == 200, answer.text
    (link,) = re.findall(r'href="(http[^"]+code_challenge[^"]+)"', answer.text)
    assert "state=" in link


async def test_a_code_the_platform_does_not_know_connects_nothing(client: Client, make_tenant: TenantMaker) -> None:
    tenant = await make_tenant(plugins=())
    refused = await come_back(client, tenant, await begin(client, tenant), code="bad-code")
    assert refused.status_code == 400
    assert "Sample does not know this code." in refused.text
    status = (await client.get("/api/sample/status", headers=tenant.headers)).json()
    assert status["connected"] is False


async def test_a_forged_webhook_is_refused(client: Client, make_tenant: TenantMaker) -> None:
    tenant = await make_tenant(plugins=())
    connected = (await come_back(client, tenant, await begin(client, tenant))).json()
    forged = await client.post(
        connected["webhookUrl"], content=b'{"id": "s1"}', headers={"x-sample-signature": "0" * 64}
    )
    assert forged.status_code == 401
