"""A webhook that is turned away is counted with its reason where the tenant sees it, and nothing of it is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from coursesignal.connections.webhook_routes import MAX_BYTES
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import FakeStripe, use_platform

KEY = {"apiKey": "rk_live_stripe", "signingSecret": "whsec_stripe"}


@pytest.fixture
async def stripe(installation: Runtime) -> AsyncIterator[FakeStripe]:
    async with FakeStripe() as platform:
        use_platform(installation, platform)
        yield platform


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


async def connect(client: httpx.AsyncClient, tenant: ActingTenant) -> str:
    """The webhook's path."""
    answer = await client.post("/api/stripe/connect", json=KEY, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    return str(urlsplit(answer.json()["webhookUrl"]).path)


async def left_out(client: httpx.AsyncClient, tenant: ActingTenant) -> Any:
    return (await client.get("/api/stripe/status", headers=tenant.headers)).json()["leftOut"]


async def test_every_reason_is_counted_and_only_what_is_unreadable_is_kept(
    client: httpx.AsyncClient,
    tenant: ActingTenant,
    stripe: FakeStripe,
    run_jobs: Callable[[], Awaitable[None]],
) -> None:
    path = await connect(client, tenant)
    assert await left_out(client, tenant) == {}

    async def post(body: bytes, **headers: str) -> int:
        return (await client.post(path, content=body, headers=headers)).status_code

    forged = {"stripe-signature": FakeStripe(signing_secrets=("whsec_other",)).signature(b"{}")}
    assert [await post(b"{}"), await post(b"{}", **forged)] == [401, 401]
    assert await post(b" " * (MAX_BYTES + 1)) == 413
    assert await post(b"x", **{"content-encoding": "gzip"}) == 415
    assert await post(b"not json", **{"stripe-signature": stripe.signature(b"not json")}) == 202
    assert await post(b"{}", **{"stripe-signature": stripe.signature(b"{}")}) == 202
    await run_jobs()
    found = await left_out(client, tenant)
    unreadable = found.pop("unreadable")
    assert found == {"compressed": 1, "too_large": 1, "wrong_signature": 2}
    kept = (await client.get("/api/connections/inbox", headers=tenant.headers)).json()["items"]
    assert len(kept) == 2
    assert sum(item["status"] == "quarantined" for item in kept) == unreadable >= 1


async def test_an_address_that_was_closed_is_counted_and_answers_as_one_that_never_was(
    client: httpx.AsyncClient, tenant: ActingTenant, make_tenant: TenantMaker, stripe: FakeStripe
) -> None:
    path = await connect(client, tenant)
    body, unknown = b"{}", path[:-4] + "AAAA"
    assert (await client.post(path, content=body)).status_code == 401  # the address is known to this process now
    await client.delete("/api/stripe/disconnect", headers=tenant.headers)
    closed = await client.post(path, content=body)
    assert (closed.status_code, closed.content) == (404, (await client.post(unknown, content=body)).content)
    assert await left_out(client, tenant) == {"address_closed": 1, "wrong_signature": 1}
    other = await make_tenant()
    await connect(client, other)
    assert await left_out(client, other) == {}
