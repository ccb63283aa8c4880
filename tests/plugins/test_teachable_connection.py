"""Teachable end to end: connect, guided set-up, sync, webhooks in any order and number, until the books are the fake's own."""

from __future__ import annotations

import asyncio
import html
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import coursesignal_teachable
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.platforms import FakeSale, FakeTeachable, Reply, TeachableQuirks, use_platform

RunJobs = Callable[[], Awaitable[None]]
Trouble = Callable[[FakeTeachable], object]
NOW = datetime.now(UTC).replace(microsecond=0)
KEY = {"apiKey": "teachable-key"}


@pytest.fixture
async def school(installation: Runtime) -> AsyncIterator[FakeTeachable]:
    async with FakeTeachable() as platform:
        use_platform(installation, platform)
        yield platform


@dataclass
class Creator:
    """Somebody with a school, over HTTP alone."""

    client: httpx.AsyncClient
    tenant: ActingTenant
    school: FakeTeachable
    run_jobs: RunJobs

    async def get(self, path: str) -> Any:
        answer = await self.client.get(path, headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def connect(self) -> dict[str, Any]:
        """Connected, and asking as fast as it goes: this Teachable is ours."""
        answer = await self.client.post("/api/teachable/connect", json=KEY, headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        status = await self.get("/api/teachable/status")
        limits = {"requestsPerMinute": 10_000}
        path = f"/api/connections/{status['connectionId']}"
        assert (await self.client.patch(path, json=limits, headers=self.tenant.headers)).status_code == 200
        return {**status, **found}

    async def sync(self) -> dict[str, Any]:
        """Sync by hand to the end; how it compares."""
        assert (await self.client.post("/api/teachable/sync", headers=self.tenant.headers)).status_code == 202
        await self.run_jobs()
        found: dict[str, Any] = await self.get("/api/teachable/reconciliation")
        return found

    async def check(self) -> tuple[bool, str]:
        """What is said of the webhooks."""
        which = (await self.get("/api/teachable/status"))["connectionId"]
        answer = await self.client.post(f"/api/connections/{which}/check-webhooks", headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["isSetUp"], answer.json()["lacks"]

    async def deliver(self, url: str, *, copies: int = 1, rng: random.Random | None = None) -> set[int]:
        path = url.removeprefix("http://coursesignal.test")
        return {one.status_code for one in await self.school.deliver(path, http=self.client, copies=copies, rng=rng)}

    async def books(self) -> dict[str, tuple[int, int]]:
        """What we have booked per currency: charged, and gone back."""
        async with self.tenant.transaction() as conn:
            rows = await conn.fetch(
                "select currency, sum(amount_minor) filter (where kind in ('sale', 'renewal', 'instalment'))::bigint as charged, "
                "-coalesce(sum(amount_minor) filter (where kind in ('refund', 'dispute')), 0)::bigint as back "
                "from charges where tenant_id = $1 group by currency",
                self.tenant.id,
            )
        return {row["currency"]: (row["charged"], row["back"]) for row in rows}

    def ledger(self, since: datetime | None = None) -> dict[str, tuple[int, int]]:
        return {
            currency: (book.charged_minor, book.refunded_minor) for currency, book in self.school.ledger(since).items()
        }


@pytest.fixture
async def creator(
    client: httpx.AsyncClient, make_tenant: TenantMaker, school: FakeTeachable, run_jobs: RunJobs
) -> Creator:
    return Creator(client, await make_tenant(plugins=("teachable",)), school, run_jobs)


def trade(school: FakeTeachable, rng: random.Random, count: int, days: float) -> list[FakeSale]:
    """One-time sales, subscriptions with renewals, two currencies; a tenth refunded in part or wholly, one charged back."""
    sales = []
    for number in range(count):
        at = NOW - timedelta(days=rng.uniform(days / 2, days))
        sale = school.sell(
            f"buyer{len(school.transactions)}@example.com", rng.choice([4_900, 9_901]), rng.choice(["USD", "EUR"]),
            at=at, product=f"Course {number % 3}", recurring=number % 4 == 0,
        )  # fmt: skip
        if number % 4 == 0:
            sales.append(school.renew(sale, at=at + (NOW - at) / 2))
        sales.append(sale)
    for sale in rng.sample(sales, max(2, count // 10)):
        school.refund(sale, 1_000, at=sale.at + timedelta(minutes=5))
    school.refund(sales[0], at=sales[0].at + timedelta(minutes=9))
    school.charge_back(sales[-1], at=sales[-1].at + timedelta(minutes=5))
    school.cancel(sales[1], at=NOW - timedelta(minutes=3))
    school.sell("free@example.com", 0, at=NOW - timedelta(days=days / 2))
    return sales


QUIRKS = {
    "as documented": TeachableQuirks(),
    "arrays, ids as text, refunds that tell": TeachableQuirks(
        array_bodies=True, string_ids=True, refunds_tell_amount=True, hook_event_ids=False
    ),
    "sales that name no sale, short lists": TeachableQuirks(tells_sale=False, max_per=7),
}


@pytest.mark.parametrize("quirks", QUIRKS.values(), ids=QUIRKS)
async def test_from_the_key_to_books_that_agree_to_the_cent(creator: Creator, quirks: TeachableQuirks) -> None:
    creator.school.quirks, rng = quirks, random.Random(5)
    trade(creator.school, rng, 25, 29)
    creator.school.pending.clear()  # nobody had told Teachable our address yet
    connected = await creator.connect()
    said: list[str] = []

    async def watch() -> None:
        while not said or not said[-1].endswith("matched"):
            said.append((await creator.get("/api/teachable/sync-status"))["message"])
            await asyncio.sleep(0)

    await asyncio.wait_for(asyncio.gather(creator.run_jobs(), watch()), 60)
    assert any(re.match(r"Syncing \d+ purchases… \d+/\d+", message) for message in said), said
    assert await creator.books() == creator.ledger()
    trade(creator.school, rng, 12, 1)
    assert await creator.deliver(connected["webhookUrl"], copies=3, rng=rng) <= {200, 202}
    await creator.run_jobs()
    compared = await creator.sync()
    assert compared["agrees"], compared
    assert await creator.books() == creator.ledger()
    await creator.sync()
    assert await creator.books() == creator.ledger(), "another look changes nothing"


async def test_a_sale_is_one_purchase_however_it_is_told_and_free_ones_are_none(creator: Creator) -> None:
    connected = await creator.connect()
    sale = creator.school.sell("pat@example.com", 9_900, recurring=True)
    creator.school.renew(sale)
    creator.school.cancel(sale)
    creator.school.sell("free@example.com", 0)
    assert await creator.deliver(connected["webhookUrl"], copies=3, rng=random.Random(1)) <= {200, 202}
    await creator.run_jobs()
    await creator.sync()
    found = (await creator.get("/api/analytics/recent-purchases"))["items"]
    assert [(one["email"], one["amountMinor"], one["status"]) for one in found] == [
        ("pat@example.com", 19_800, "cancelled")
    ]


async def test_the_set_up_is_guided_to_the_first_webhook(creator: Creator, in_browser: Any) -> None:
    connected = await creator.connect()
    page = await (await in_browser(creator.tenant)).get("connections")
    assert connected["webhookUrl"] in page.text
    assert "Settings &gt; Webhooks" in page.text and "No webhook has come yet" in page.text
    assert await creator.check() == (
        False, "Teachable knows no webhook with this address. Add one in Settings > Webhooks, and tick the events.",
    )  # fmt: skip
    creator.school.webhook_urls.append(connected["webhookUrl"])
    creator.school.quirks.pushes = ("Transaction.created", "Sale.created")
    _, lacks = await creator.check()
    assert "not for Transaction.refunded and Sale.subscription_canceled." in lacks
    creator.school.quirks.pushes = TeachableQuirks().pushes
    assert await creator.check() == (
        False, "No webhook has come yet. It will with the next sale, or with a test that Teachable can send.",
    )  # fmt: skip
    creator.school.sell("pat@example.com")
    await creator.deliver(connected["webhookUrl"])
    assert await creator.check() == (True, "")
    visitor = await in_browser(creator.tenant)
    done = await visitor.post("connections/teachable", {"do": "check", "connection": connected["connectionId"]})
    assert done.status_code == 303
    assert "Webhooks come" in (await visitor.get("connections?done=check")).text


async def test_a_list_that_is_too_long_is_read_in_parts(creator: Creator, monkeypatch: pytest.MonkeyPatch) -> None:
    from coursesignal_teachable import streams

    monkeypatch.setattr(streams, "MOST_LISTED", 40)
    creator.school.quirks.most_listed = 50
    for number in range(120):
        creator.school.sell(f"buyer{number}@example.com", at=NOW - timedelta(days=29 * number / 120))
    await creator.connect()
    await creator.run_jobs()
    assert await creator.books() == creator.ledger()


async def test_a_first_sync_asks_little(creator: Creator) -> None:
    for number in range(400):
        creator.school.sell(
            f"buyer{number}@example.com", at=NOW - timedelta(days=number % 28), product=f"Course {number % 9}"
        )
    await creator.connect()
    await creator.run_jobs()
    assert await creator.books() == creator.ledger()
    assert len(creator.school.calls) < 40, "of the 10,000 a month"


# -- every error a creator can meet --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A trouble, how its message begins, and where it shows: a field of the form, or the state of the connection."""

    says: str
    trouble: Trouble
    where: str = ""


def answers(status: int, message: str) -> Trouble:
    def arrange(school: FakeTeachable) -> None:
        school.answer = lambda call: Reply(status, {"message": message})  # type: ignore[method-assign]

    return arrange


WRONG = "Teachable refuses the key: Invalid API key. It was deleted or is not whole: copy it again"
NO_API = "Teachable refuses the key: Not on this plan. The school's plan may lack the API"
CONNECTING = {
    "wrong key": Case(WRONG, lambda school: setattr(school, "api_key", "another"), "apiKey"),
    "plan without API": Case(NO_API, answers(403, "Not on this plan"), "apiKey"),
    "no answer": Case("Teachable does not answer.", lambda school: school.truncate()),
    "down": Case("Teachable is down or busy (503).", lambda school: school.fail()),
    "too many": Case("Teachable says: API rate limit exceeded.", answers(429, "API rate limit exceeded")),
    "unreadable": Case(
        "Teachable sent an answer that is not readable.", lambda school: school.trouble.append(Reply(200, b"<html>"))
    ),
}
SYNCING = {
    "deleted key": Case(WRONG, lambda school: setattr(school, "api_key", "another"), "needs_reauth"),
    "plan changed": Case(NO_API, answers(403, "Not on this plan"), "needs_reauth"),
    "no answer": Case("Teachable does not answer. Trying again in", lambda school: school.truncate(), "ready"),
    "down": Case("Teachable is down or busy (502). Trying again in", lambda school: school.fail(status=502), "ready"),
    "too many": Case(
        "Teachable says: API rate limit exceeded. Trying again in 42 s.",
        lambda school: school.throttle(headers={"RateLimit-Reset": "42"}), "ready",
    ),
    "unreadable": Case(
        "Teachable sent an answer that is not readable. Trying again in",
        lambda school: school.trouble.append(Reply(200, b"{")), "ready",
    ),
}  # fmt: skip


def row_of(message: str) -> str:
    """The row of the README that lists ``message``; … stands for anything."""
    text = (Path(coursesignal_teachable.__file__).parent / "README.md").read_text()
    table = text.split("## Messages and what to do")[1]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| ")][2:]
    (found,) = [row for row in rows if re.match(".*".join(map(re.escape, row.split("…"))), message)]
    return found


@pytest.mark.parametrize("name", CONNECTING)
async def test_what_goes_wrong_while_connecting_is_said_with_what_to_do(
    creator: Creator, in_browser: Any, name: str
) -> None:
    case = CONNECTING[name]
    case.trouble(creator.school)
    answer = await creator.client.post("/api/teachable/connect", json=KEY, headers=creator.tenant.headers)
    told = answer.json()
    message = told["errors"][0]["message"] if case.where else told["detail"]
    assert message.startswith(case.says), message
    assert row_of(message)
    assert answer.status_code == (422 if case.where else 503)
    case.trouble(creator.school)
    page = await (await in_browser(creator.tenant)).post("connections/teachable", {"do": "connect", **KEY})
    assert case.says in html.unescape(page.text)


@pytest.mark.parametrize("name", SYNCING)
async def test_what_goes_wrong_later_is_said_with_what_to_do(creator: Creator, in_browser: Any, name: str) -> None:
    case = SYNCING[name]
    await creator.connect()
    case.trouble(creator.school)
    await creator.run_jobs()
    state = await creator.get("/api/teachable/status")
    sync = await creator.get("/api/teachable/sync-status")
    message = sync["message"] if case.where == "ready" else state["problem"]
    assert message.startswith(case.says), message
    assert row_of(message)
    assert state["state"] == case.where
    assert case.says in html.unescape((await (await in_browser(creator.tenant)).get("connections")).text)


async def test_a_quota_that_is_used_up_is_said_with_what_to_do(creator: Creator, in_browser: Any) -> None:
    which = (await creator.connect())["connectionId"]
    limits = {"monthlyRequests": 1}
    await creator.client.patch(f"/api/connections/{which}", json=limits, headers=creator.tenant.headers)
    await creator.run_jobs()
    message = (await creator.get("/api/teachable/sync-status"))["message"]
    assert message.startswith("All 1 requests to Teachable that this connection has in a month are used.")
    assert row_of(message)
    assert "requests to Teachable" in (await (await in_browser(creator.tenant)).get("connections")).text
