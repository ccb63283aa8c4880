"""The e-mail plugin: owners hear of the first sale with a known source and of a lost connection, as their tenant chose."""

from __future__ import annotations

import email
import email.policy
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from uuid import uuid4

import httpx
import pytest

from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import FakeTeachable, use_platform

RunJobs = Callable[[], Awaitable[None]]
Mails = Callable[[ActingTenant], Awaitable[list[EmailMessage]]]


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


@pytest.fixture
async def school(installation: Runtime) -> AsyncIterator[FakeTeachable]:
    async with FakeTeachable() as platform:
        use_platform(installation, platform)
        yield platform


@pytest.fixture
def mails(installation: Runtime, run_jobs: RunJobs) -> Mails:
    """``await mails(tenant)``: what its owner got, after all work is done; oldest first."""

    async def read(tenant: ActingTenant) -> list[EmailMessage]:
        await run_jobs()
        await installation.mailer.deliver_due()
        found: list[EmailMessage] = []
        for path in sorted(installation.settings.mail_dir.glob("*.eml")):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            if message["To"] == tenant.email:
                found.append(message)
        return found

    return read


def text(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


async def visit(client: httpx.AsyncClient, tenant: ActingTenant, buyer: str) -> None:
    """The buyer comes from YouTube and says who they are."""
    address = "https://nora.example.com/?utm_source=youtube&utm_medium=video"
    events = [
        {"eventId": str(uuid4()), "type": "pageview", "url": address},
        {"eventId": str(uuid4()), "type": "identify", "email": buyer, "url": address},
    ]
    body = {"siteKey": tenant.site_key, "visitorId": str(uuid4()), "events": events}
    assert (await client.post("/api/tracking/event", json=body)).status_code == 202


async def connect(client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable) -> None:
    answer = await client.post("/api/teachable/connect", json={"apiKey": school.api_key}, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    school.webhook_urls = [answer.json()["webhookUrl"].removeprefix("http://coursesignal.test")]


async def choose(client: httpx.AsyncClient, tenant: ActingTenant, **settings: bool) -> None:
    answer = await client.put(
        "/api/plugins/email", json={"enabled": True, "settings": settings}, headers=tenant.headers
    )
    assert answer.status_code == 200, answer.text


async def test_the_first_sale_with_a_source_is_told_once_whatever_is_pushed_again(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable, mails: Mails
) -> None:
    await connect(client, tenant, school)
    school.sell("stranger@example.com", at=datetime.now(UTC) + timedelta(seconds=1))
    await school.deliver(http=client)
    assert await mails(tenant) == [], "nobody knows where the stranger came from"

    for buyer in ("pat@example.com", "kim@example.com"):
        await visit(client, tenant, buyer)
        school.sell(buyer, 4_900, product="Watercolour Basics", at=datetime.now(UTC) + timedelta(seconds=1))
        await school.deliver(http=client, copies=2)
        (message,) = await mails(tenant)
    assert message["Subject"] == f"{tenant.tenant.name}: your first sale with a known source"
    assert "Watercolour Basics for 49.00 USD on Teachable" in text(message)
    assert "where they came from: youtube" in text(message)


async def test_history_is_no_news(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable, mails: Mails
) -> None:
    await visit(client, tenant, "pat@example.com")
    school.sell("pat@example.com", at=datetime.now(UTC) - timedelta(days=8))
    await connect(client, tenant, school)
    assert await mails(tenant) == []


async def test_a_lost_connection_is_told_in_the_platforms_words(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable, mails: Mails
) -> None:
    await connect(client, tenant, school)
    assert await mails(tenant) == []
    school.api_key = "another-key"
    for _ in range(2):
        await client.post("/api/teachable/sync", headers=tenant.headers)
        (message,) = await mails(tenant)
    assert message["Subject"] == f"{tenant.tenant.name}: Teachable needs to be connected again"
    status = (await client.get("/api/teachable/status", headers=tenant.headers)).json()
    assert status["problem"] in text(message)


@pytest.mark.parametrize("on", [True, False])
async def test_a_tenant_chooses_which_mails_come(
    client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable, mails: Mails, on: bool
) -> None:
    await choose(client, tenant, firstSale=not on, connectionLost=on)
    await connect(client, tenant, school)
    await visit(client, tenant, "pat@example.com")
    school.sell("pat@example.com", at=datetime.now(UTC) + timedelta(seconds=1))
    await school.deliver(http=client)
    await mails(tenant)
    school.api_key = "another-key"
    await client.post("/api/teachable/sync", headers=tenant.headers)
    (message,) = await mails(tenant)
    assert ("connected again" in message["Subject"]) is on


async def test_a_tenant_without_the_plugin_gets_none(
    client: httpx.AsyncClient, make_tenant: TenantMaker, school: FakeTeachable, mails: Mails
) -> None:
    tenant = await make_tenant(plugins=("teachable",))
    answer = await client.put("/api/plugins/email", json={"enabled": False}, headers=tenant.headers)
    assert answer.status_code in (200, 404), answer.text
    await connect(client, tenant, school)
    await visit(client, tenant, "pat@example.com")
    school.sell("pat@example.com", at=datetime.now(UTC) + timedelta(seconds=1))
    await school.deliver(http=client)
    assert await mails(tenant) == []
