"""The inbox behind the webhook address: backlogs, webhooks that spoil a batch, lost tasks, replays, and what nobody may read."""

from __future__ import annotations

import asyncio
import functools
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from coursesignal.cli import main
from coursesignal.connections import inbox
from coursesignal.connections.redaction import REDACTED, redacted_text
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import FakeKajabi, use_platform

RunJobs = Callable[[], Awaitable[None]]
KEY = {"clientId": "kajabi-client", "clientSecret": "kajabi-secret"}


@pytest.fixture
async def kajabi(installation: Runtime) -> AsyncIterator[FakeKajabi]:
    async with FakeKajabi() as platform:
        use_platform(installation, platform)
        yield platform


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


@pytest.fixture
async def hook(client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, run_jobs: RunJobs) -> str:
    """The webhook path of a connection that has synced."""
    answer = await client.post("/api/kajabi/connect", json=KEY, headers=tenant.headers)
    await run_jobs()
    url: str = answer.json()["webhookUrl"]
    return url.removeprefix("http://coursesignal.test")


async def items(client: httpx.AsyncClient, tenant: ActingTenant, **query: str) -> list[dict[str, Any]]:
    answer = await client.get("/api/connections/inbox", params={"limit": "200", **query}, headers=tenant.headers)
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def net(tenant: ActingTenant) -> int:
    async with tenant.transaction() as conn:
        total: int = await conn.fetchval(
            "select coalesce(sum(amount_minor), 0)::bigint from charges where tenant_id = $1", tenant.id
        )
    return total


async def attempts(tenant: ActingTenant) -> int:
    async with tenant.transaction() as conn:
        made: int = await conn.fetchval(
            "select coalesce(sum(attempts), 0) from outbox where tenant_id = $1 and name = 'core.inbox'", tenant.id
        )
    return made


async def test_a_backlog_is_worked_off_in_few_transactions_and_what_spoils_it_stands_alone(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, hook: str, run_jobs: RunJobs
) -> None:
    for n in range(30):
        kajabi.sell(f"buyer{n}@example.com", 1_000 + n)
        if n == 10:
            await client.post(hook, content=b'{"half": ')
            await client.post(hook, content=b'{"event": "tag_added", "payload": {}}')
    posted = len(kajabi.pending)
    await kajabi.deliver(to=hook, http=client)
    before = await attempts(tenant)
    await run_jobs()
    found = Counter(item["status"] for item in await items(client, tenant))
    assert found["received"] == 0
    assert found["quarantined"] == 1
    assert found["done"] + found["ignored"] == posted + 1
    assert await net(tenant) == kajabi.ledger()["USD"].net_minor
    assert await attempts(tenant) - before <= 8 + posted // inbox.BATCH, (
        "of a task for each of them most had nothing to do"
    )


async def test_events_that_cannot_be_booked_quarantine_their_own_webhook_only(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, hook: str, run_jobs: RunJobs
) -> None:
    kajabi.sell("pat@example.com", 5_000)
    sound = [delivery.body for delivery in kajabi.pending]
    spoilt = [body.replace(b"5000", str(2**60).encode()).replace(b"50.0", str(2**60).encode()) for body in sound]
    for body in [*sound, *spoilt]:
        assert (await client.post(hook, content=body)).status_code in (200, 202)
    await run_jobs()
    assert await net(tenant) == 5_000
    for item in await items(client, tenant, status="quarantined"):
        assert item["problem"]
    assert await items(client, tenant, status="received") == []


async def test_a_webhook_whose_task_was_lost_is_taken_up_and_one_that_was_given_up_says_why(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, hook: str, run_jobs: RunJobs
) -> None:
    kajabi.sell("pat@example.com", 5_000)
    await kajabi.deliver(to=hook, http=client)
    async with tenant.transaction() as conn:
        assert await inbox.take_up(conn, tenant.id) == 0, "their tasks are there"
        await conn.execute("delete from outbox where tenant_id = $1 and name = 'core.inbox'", tenant.id)
        await conn.execute(
            "update inbox set received_at = received_at - $2::interval where tenant_id = $1",
            tenant.id,
            timedelta(hours=1),
        )
        given_up = await conn.fetchval(
            "select id from inbox where tenant_id = $1 order by received_at desc limit 1", tenant.id
        )
        await conn.execute(
            "insert into outbox (tenant_id, kind, name, payload, status, last_error) "
            "values ($1, 'job', 'core.inbox', jsonb_build_object('inboxId', $2::text), 'dead', 'no luck')",
            tenant.id, str(given_up),
        )  # fmt: skip
        assert await inbox.take_up(conn, tenant.id) == await conn.fetchval(
            "select count(*) from inbox where tenant_id = $1", tenant.id
        )
    await run_jobs()
    (item,) = await items(client, tenant, status="quarantined")
    assert (item["id"], item["problem"]) == (str(given_up), "It could not be processed: no luck")
    assert await items(client, tenant, status="received") == []
    assert await net(tenant) == 5_000


async def test_everything_can_be_processed_again_in_one_task_and_changes_nothing(
    client: httpx.AsyncClient, tenant: ActingTenant, kajabi: FakeKajabi, hook: str, run_jobs: RunJobs
) -> None:
    for n in range(5):
        kajabi.sell(f"buyer{n}@example.com", 1_000 + n)
    await kajabi.deliver(to=hook, http=client)
    await run_jobs()
    done = len(await items(client, tenant, status="done"))
    total = await net(tenant)
    query = {"status": "done", "platform": "kajabi"}
    again = await client.post("/api/connections/inbox/replay", params=query, headers=tenant.headers)
    assert again.json() == {"queued": done}
    none = await client.post("/api/connections/inbox/replay", params={**query, "platform": "x"}, headers=tenant.headers)
    assert none.json() == {"queued": 0}
    await run_jobs()
    assert len(await items(client, tenant, status="done")) == done
    assert await net(tenant) == total == kajabi.ledger()["USD"].net_minor


async def test_nobody_reads_secrets_in_a_stored_webhook(
    client: httpx.AsyncClient, tenant: ActingTenant, hook: str, run_jobs: RunJobs
) -> None:
    key = hook.rsplit("/", 1)[1]
    body = {"webhook_secret": "s3cr3t-word", "note": f"sent to {hook} with kajabi-secret", "nested": {"apiKey": 'a"b'}}
    headers = {"x-kajabi-signature": "v1=abc", "x-forwarded-uri": hook}
    await client.post(hook, json=body, headers=headers)
    await client.post(hook, content=b"thrivecart_secret=hush&order=7", headers=headers)
    await run_jobs()
    for item in await items(client, tenant):
        shown = (await client.get(f"/api/connections/inbox/{item['id']}", headers=tenant.headers)).text
        for secret in (key, "s3cr3t-word", "kajabi-secret", 'a\\"b', "hush"):
            assert secret not in shown
        assert "order=7" in shown or "sent to" in shown


async def test_an_operator_lists_reads_and_replays_webhooks_from_the_command_line(
    client: httpx.AsyncClient,
    installation: Runtime,
    tenant: ActingTenant,
    kajabi: FakeKajabi,
    hook: str,
    run_jobs: RunJobs,
) -> None:
    settings, where = installation.settings, installation.where
    env = {
        "COURSESIGNAL_HOME": str(settings.home), "COURSESIGNAL_PLUGINS_FILE": str(settings.plugins_file),
        "DATABASE_URL": where.owner, "COURSESIGNAL_TESTING": "1", "COURSESIGNAL_APP_DATABASE_URL": where.app,
        "COURSESIGNAL_INGEST_DATABASE_URL": where.ingest,
    }  # fmt: skip

    async def run(*words: str) -> str:
        invoke = functools.partial(CliRunner().invoke, main, ["webhooks", *words], env=env)
        done = await asyncio.to_thread(invoke)
        assert done.exit_code == 0, done.output
        return done.output

    slug = tenant.tenant.slug
    await client.post(hook, content=b'{"half": "kajabi-secret", ')
    await run_jobs()
    (item,) = await items(client, tenant)
    assert item["id"] in await run("list", slug, "--status", "quarantined")
    shown = await run("show", slug, item["id"])
    assert '{"half": "[redacted]"' in shown and "quarantined" in shown
    assert "1 queued" in await run("replay", slug, item["id"])
    await run_jobs()
    assert "1 queued" in await run("replay", slug, "--status", "quarantined", "--platform", "kajabi")
    assert "0 queued" in await run("replay", slug, "--status", "done")


@given(st.dictionaries(st.sampled_from(["token", "clientSecret", "note", "API_KEY"]), st.text(max_size=20), max_size=4))
def test_redacted_json_is_json_and_has_no_secret_values(body: dict[str, str]) -> None:
    shown = json.loads(redacted_text(json.dumps(body), ()))
    assert shown == {name: value if name == "note" else REDACTED for name, value in body.items()}


async def test_an_archived_tenants_address_leads_nowhere(
    client: httpx.AsyncClient, installation: Runtime, tenant: ActingTenant, hook: str
) -> None:
    assert (await client.post(hook, content=b"{}")).status_code == 202
    async with installation.database.control() as conn:
        await conn.execute("update tenants set status = 'archived' where id = $1", tenant.id)
    assert (await client.post(hook, content=b"{1}")).status_code == 404
    assert (await client.get(hook)).status_code == 404
