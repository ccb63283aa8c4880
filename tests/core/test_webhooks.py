"""The webhook address: what is stored, what is refused, what it answers, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import FakeKajabi, FakeTeachable, TeachableQuirks, use_platform

RunJobs = Callable[[], Awaitable[None]]
PAYLOADS = Path(__file__).parents[1] / "plugins" / "payloads"
SIGNED = {"stripe"}
"""Taken in with their signature, in tests/plugins/test_stripe_connection.py."""
DOCUMENTED = sorted(
    p for p in PAYLOADS.glob("*/*.json") if p.stem != "transactions_page" and p.parent.name not in SIGNED
)


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


@pytest.fixture
async def school(installation: Runtime) -> AsyncIterator[FakeTeachable]:
    async with FakeTeachable() as platform:
        use_platform(installation, platform)
        yield platform


@pytest.fixture
async def kajabi(installation: Runtime) -> AsyncIterator[FakeKajabi]:
    async with FakeKajabi() as platform:
        use_platform(installation, platform)
        yield platform


async def address(client: httpx.AsyncClient, tenant: ActingTenant, platform: str) -> str:
    """The webhook path of a fresh connection."""
    body = {
        "teachable": {"apiKey": "teachable-key"},
        "kajabi": {"clientId": "kajabi-client", "clientSecret": "kajabi-secret"},
    }[platform]
    answer = await client.post(f"/api/{platform}/connect", json=body, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["webhookUrl"]
    return url.removeprefix("http://coursesignal.test")


@pytest.fixture
async def teachable_hook(client: httpx.AsyncClient, tenant: ActingTenant, school: FakeTeachable) -> str:
    return await address(client, tenant, "teachable")


async def inbox(client: httpx.AsyncClient, tenant: ActingTenant, **query: str) -> list[dict[str, Any]]:
    answer = await client.get("/api/connections/inbox", params=query, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def books(tenant: ActingTenant) -> dict[str, tuple[int, int, int]]:
    """Per currency: charged, refunded, purchases with money."""
    async with tenant.transaction() as conn:
        rows = await conn.fetch(
            "select currency, sum(charged_minor)::bigint as charged, sum(refunded_minor)::bigint as refunded, count(*) as n "
            "from purchases where tenant_id = $1 and charged_minor > 0 group by currency",
            tenant.id,
        )
    return {row["currency"]: (row["charged"], row["refunded"], row["n"]) for row in rows}


async def test_a_platform_may_look_whether_the_address_works(client: httpx.AsyncClient, teachable_hook: str) -> None:
    assert (await client.get(teachable_hook)).status_code == 200
    head = await client.head(teachable_hook)
    assert (head.status_code, head.content) == (200, b"")


async def test_a_repeat_is_told_so_and_stored_once(
    client: httpx.AsyncClient, tenant: ActingTenant, teachable_hook: str
) -> None:
    body = (PAYLOADS / "teachable" / "transaction_created.json").read_bytes()
    first, *repeats = [await client.post(teachable_hook, content=body) for _ in range(4)]
    assert (first.status_code, first.json()) == (202, {"received": True})
    assert {(r.status_code, json.dumps(r.json())) for r in repeats} == {(200, '{"duplicate": true}')}
    (item,) = await inbox(client, tenant)
    assert item["repeats"] == 3


async def test_the_same_delivery_at_the_same_moment_is_stored_once(
    client: httpx.AsyncClient, tenant: ActingTenant, teachable_hook: str, run_jobs: RunJobs
) -> None:
    body = (PAYLOADS / "teachable" / "transaction_created.json").read_bytes()
    answers = await asyncio.gather(*(client.post(teachable_hook, content=body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [202]
    await run_jobs()
    assert await books(tenant) == {"USD": (9_900, 0, 1)}


@pytest.mark.parametrize("path", [
    "/api/webhooks/teachable/" + "x" * 43, "/api/webhooks/teachable/short", "/api/webhooks/teachable/%00",
    "/api/webhooks/nowhere/" + "x" * 43, "/api/webhooks/teachable/%ff%fe" + "x" * 40, "/api/webhooks/kajabi/' or 1=1 --",
])  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_an_unknown_address_is_nowhere(
    client: httpx.AsyncClient, school: FakeTeachable, method: str, path: str
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == 404
    if method == "POST":
        unknown = await client.post("/api/webhooks/teachable/" + "y" * 43)
        assert answer.content == unknown.content


async def test_a_key_works_for_its_own_platform_only(client: httpx.AsyncClient, teachable_hook: str) -> None:
    assert (await client.post(teachable_hook.replace("teachable", "kajabi"), content=b"{}")).status_code == 404


async def test_guessing_keys_is_slowed_down(client: httpx.AsyncClient, school: FakeTeachable) -> None:
    codes = [(await client.post(f"/api/webhooks/teachable/{'z' * 40}{n}")).status_code for n in range(260)]
    assert codes[0] in (404, 429)
    assert 429 in codes
    assert set(codes) <= {404, 429}


@pytest.mark.parametrize("path", DOCUMENTED, ids=lambda p: f"{p.parent.name}-{p.stem}")
async def test_every_documented_payload_is_taken_in(
    client: httpx.AsyncClient,
    make_tenant: TenantMaker,
    school: FakeTeachable,
    kajabi: FakeKajabi,
    run_jobs: RunJobs,
    path: Path,
) -> None:
    tenant = await make_tenant()
    hook = await address(client, tenant, path.parent.name)
    assert (await client.post(hook, content=path.read_bytes())).status_code == 202
    await run_jobs()
    (item,) = await inbox(client, tenant)
    ignored = path.stem in {"ui_test_event", "ui_order_created", "enrollment_created"}
    assert (item["status"], item["problem"]) == ("ignored" if ignored else "done", None)
    money = {
        "api_payment_succeeded": 19_900, "api_order_created": 1_000, "ui_purchase_created": 4_900,
        "ui_payment_succeeded": 4_900, "transaction_created": 9_900,
    }  # fmt: skip
    assert await books(tenant) == ({"USD": (money[path.stem], 0, 1)} if path.stem in money else {})


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe\x00", b"\x00", b"[" * 100_000, b"a=b&c=d", b'{"type": 7}',
    b'{"type": "Transaction.created", "object": {"id": 1, "final_price": 1180591620717411303424, "currency": "USD"}}',
    b'{"type": "Transaction.created", "object": {"id": 1, "final_price": -5e400, "currency": "USD"}}',
    b'{"type": "Transaction.created", "created": "0001-01-01T00:00:00+14:00", '
    b'"object": {"id": 1, "final_price": 5, "currency": "USD"}}',
])  # fmt: skip
async def test_a_hostile_body_is_kept_in_quarantine_and_breaks_nothing(
    client: httpx.AsyncClient, tenant: ActingTenant, teachable_hook: str, run_jobs: RunJobs, body: bytes
) -> None:
    answer = await client.post(teachable_hook, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 202
    await run_jobs()
    (item,) = await inbox(client, tenant)
    if item["status"] != "ignored":
        assert (item["status"], bool(item["problem"])) == ("quarantined", True)
    assert await books(tenant) == {}
    detail = await client.get(f"/api/connections/inbox/{item['id']}", headers=tenant.headers)
    assert detail.status_code == 200


async def test_a_text_that_the_database_cannot_hold_is_cleaned(
    client: httpx.AsyncClient, tenant: ActingTenant, teachable_hook: str, run_jobs: RunJobs
) -> None:
    payload = json.loads((PAYLOADS / "teachable" / "transaction_created.json").read_text())
    payload["object"]["user"]["name"] = "P\x00at"
    payload["object"]["sale"]["product"]["name"] = "\x00Course"
    await client.post(teachable_hook, json=payload)
    await run_jobs()
    assert await books(tenant) == {"USD": (9_900, 0, 1)}


async def test_a_body_over_a_mebibyte_is_refused_unread(
    client: httpx.AsyncClient, tenant: ActingTenant, teachable_hook: str
) -> None:
    large = b"x" * (1024 * 1024 + 1)

    async def in_chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    assert (await client.post(teachable_hook, content=large)).status_code == 413
    assert (await client.post(teachable_hook, content=in_chunks())).status_code == 413
    assert (await client.post(teachable_hook, content=b"x" * (1024 * 1024))).status_code == 202
    assert len(await inbox(client, tenant)) == 1


async def test_a_compressed_body_is_refused(
    client: httpx.AsyncClient, tenant: ActingTenant, teachable_hook: str
) -> None:
    assert (await client.post(teachable_hook, content=b"x", headers={"content-encoding": "gzip"})).status_code == 415
    assert await inbox(client, tenant) == []


async def test_an_unknown_topic_is_stored_as_ignored(
    client: httpx.AsyncClient, tenant: ActingTenant, teachable_hook: str, run_jobs: RunJobs
) -> None:
    await client.post(
        teachable_hook,
        json={"type": "Comment.created", "id": 1, "object": {"id": 1}, "created": "2026-03-01T12:00:00Z"},
    )
    await run_jobs()
    assert [item["status"] for item in await inbox(client, tenant)] == ["ignored"]


async def test_a_quarantined_webhook_can_be_looked_at_and_processed_again(
    client: httpx.AsyncClient, tenant: ActingTenant, teachable_hook: str, run_jobs: RunJobs
) -> None:
    secret = {"authorization": "Bearer hunter2", "x-api-key": "hunter2", "user-agent": "rest-client"}
    await client.post(f"{teachable_hook}?token=hunter2", content=b'{"half": ', headers=secret)
    await run_jobs()
    (item,) = await inbox(client, tenant, status="quarantined")
    detail = (await client.get(f"/api/connections/inbox/{item['id']}", headers=tenant.headers)).json()
    assert detail["body"] == '{"half": '
    assert detail["headers"]["user-agent"] == "rest-client"
    assert "hunter2" not in json.dumps(detail)
    good = (PAYLOADS / "teachable" / "transaction_created.json").read_bytes()
    async with tenant.transaction() as conn:  # as after an update that can read it
        await conn.execute("update inbox set body = $2 where tenant_id = $1", tenant.id, good)
    for _ in range(2):
        again = await client.post(f"/api/connections/inbox/{item['id']}/replay", headers=tenant.headers)
        assert (again.status_code, again.json()) == (202, {"queued": 1})
        await run_jobs()
    assert [item["status"] for item in await inbox(client, tenant)] == ["done"]
    assert await books(tenant) == {"USD": (9_900, 0, 1)}
    everything = await client.post("/api/connections/inbox/replay", headers=tenant.headers)
    assert everything.json() == {"queued": 0}


async def test_the_inbox_is_paged(client: httpx.AsyncClient, tenant: ActingTenant, teachable_hook: str) -> None:
    for n in range(5):
        await client.post(teachable_hook, content=b"%d" % n)
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/api/connections/inbox", params=query, headers=tenant.headers)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page.get("nextCursor")
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == 5
    assert seen == sorted(seen, reverse=True)


async def test_someone_elses_webhook_is_absent(
    client: httpx.AsyncClient, make_tenant: TenantMaker, tenant: ActingTenant, teachable_hook: str
) -> None:
    await client.post(teachable_hook, content=b"{}")
    (item,) = await inbox(client, tenant)
    stranger = await make_tenant()
    for method, suffix in (("GET", ""), ("POST", "/replay")):
        theirs = await client.request(method, f"/api/connections/inbox/{item['id']}{suffix}", headers=stranger.headers)
        absent = await client.request(
            method, f"/api/connections/inbox/00000000-0000-7000-8000-000000000000{suffix}", headers=stranger.headers
        )
        assert theirs.status_code == absent.status_code == 404
        assert theirs.content == absent.content


async def test_one_teachable_history_in_any_order_is_one_purchase(
    client: httpx.AsyncClient, make_tenant: TenantMaker, school: FakeTeachable, run_jobs: RunJobs
) -> None:
    """Sale, charge, renewal and refund, each twice, in every order of arrival."""
    school.quirks = TeachableQuirks(refunds_tell_amount=True, array_bodies=True)
    sale = school.sell("pat@example.com", 9_900, recurring=True)
    school.renew(sale)
    school.refund(sale, 4_000)
    bodies = [delivery.body for delivery in school.pending]
    assert len(bodies) == 4
    school.api_key = "another-key"  # nothing but the webhooks: the first sync cannot help
    for order in itertools.permutations(bodies):
        school.api_key = "teachable-key"
        tenant = await make_tenant()
        hook = await address(client, tenant, "teachable")
        school.api_key = "another-key"
        for body in (*order, *order):
            assert (await client.post(hook, content=body)).status_code in (200, 202)
            await run_jobs()
        assert await books(tenant) == {"USD": (19_800, 4_000, 1)}


@pytest.mark.parametrize("seed", range(4))
async def test_push_and_sync_in_a_mess_give_the_platforms_own_totals(
    client: httpx.AsyncClient, make_tenant: TenantMaker, kajabi: FakeKajabi, run_jobs: RunJobs, seed: int
) -> None:
    rng, tenant = random.Random(seed), await make_tenant()
    hook = await address(client, tenant, "kajabi")
    await run_jobs()
    sales = []
    for n in range(12):
        sales.append(
            kajabi.sell(f"buyer{n % 5}@example.com", 10_000 + n, recurring=n % 3 == 0, product=f"Course {n % 4}")
        )
        if n % 4 == 1:
            kajabi.refund(rng.choice(sales), 100)
        if n % 5 == 2:
            kajabi.renew(sales[-1])
        if rng.random() < 0.5:
            await kajabi.deliver(hook, http=client, copies=rng.randint(1, 3), rng=rng)
        if rng.random() < 0.3:
            await client.post("/api/kajabi/sync", headers=tenant.headers)
            await run_jobs()
    await kajabi.deliver(hook, http=client, copies=2, rng=rng)
    await client.post("/api/kajabi/sync", headers=tenant.headers)
    await run_jobs()
    book = kajabi.ledger()["USD"]
    assert await books(tenant) == {"USD": (book.charged_minor, book.refunded_minor, len(sales))}


async def test_nothing_is_acknowledged_while_the_database_is_out_of_reach(
    client: httpx.AsyncClient, installation: Runtime, tenant: ActingTenant, teachable_hook: str
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(installation.settings.pool_size):
            await stack.enter_async_context(installation.database.app.acquire())
        answer = await client.post(teachable_hook, content=b"{}")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert await inbox(client, tenant) == []
