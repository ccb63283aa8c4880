"""Figures kept per day: what changed is counted again and nothing else, and no report is ever wrong for it."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from click.testing import CliRunner

from coursesignal.analytics.counting import close, refresh, refresh_everything, waiting
from coursesignal.analytics.rollup_check import check
from coursesignal.analytics.rollup_tasks import crons
from coursesignal.cli import main
from coursesignal.privacy import retention
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

RunJobs = Callable[[], Awaitable[None]]
NOW = datetime.now(UTC)
CORE = Path(__file__).parents[2] / "core" / "coursesignal"
EVERYBODY = "source!:nowhere"
"""A filter that everybody meets: with it a report reads the tables alone."""
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


def on(days: int, report: Any) -> dict[str, Any]:
    """The report's line of the day so many days ago."""
    day = (NOW - timedelta(days=days)).date().isoformat()
    found: dict[str, Any] = next(line for line in report["days"] if line["date"] == day)
    return found


class Shop:
    """A tenant with a past, what is kept of its days, and how to ask about it."""

    def __init__(self, http: httpx.AsyncClient, tenant: ActingTenant) -> None:
        self.http, self.tenant, self.past = http, tenant, History(tenant)
        self.db = tenant.runtime.database

    async def get(self, path: str, **params: str) -> Any:
        answer = await self.http.get(f"/api/analytics/{path}", params=params, headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def file(self, report: str, **params: str) -> Any:
        """The report as a file."""
        return await self.get("export", **{"report": report, "format": "json", **params})

    async def day(self, days: int) -> dict[str, Any]:
        """What the report says of the day so many days ago."""
        found = on(days, await self.get("daily-visits", range="30d"))
        return {name: found[name] for name in ("visitors", "sessions", "pageviews", "optIns")}

    async def refresh(self) -> int:
        return await refresh(self.db, self.tenant.id)

    async def waiting(self) -> int:
        async with self.tenant.transaction() as conn:
            return await waiting(conn, self.tenant.id)

    async def run(self, sql: str, *values: object) -> str:
        async with self.tenant.transaction() as conn:
            done: str = await conn.execute(sql, self.tenant.id, *values)
        return done

    async def count(self, table: str) -> int:
        async with self.tenant.transaction() as conn:
            found: int = await conn.fetchval(f"select count(*) from {table} where tenant_id = $1", self.tenant.id)
        return found

    async def send(self, visitor: str, at: datetime, query: str) -> None:
        event = {"eventId": str(uuid4()), "at": at.isoformat(), "url": f"https://www.example.com/{query}"}
        body = {"siteKey": self.tenant.site_key, "visitorId": visitor, "events": [{**event, "type": "pageview"}]}
        answer = await self.http.post("/api/tracking/event", json=body, headers=BROWSER)
        assert answer.status_code == 202, answer.text


@pytest.fixture
async def shop(client: httpx.AsyncClient, make_tenant: TenantMaker) -> Shop:
    """Three days of the past with two visits and a sale each, none of them counted."""
    shop = Shop(client, await make_tenant())
    for days in (20, 19, 3):
        at = NOW - timedelta(days=days)
        await shop.past.visit("one", at, "youtube", channel="Organic Video", campaign="spring", opt_in=days == 3)
        await shop.past.visit("two", at, "newsletter", channel="Email")
        await shop.past.sale("buyer@example.com", 5_000, at)
    return shop


async def test_days_are_counted_once_and_again_when_they_change(shop: Shop) -> None:
    assert await shop.waiting() == 6
    assert await shop.refresh() == 6
    assert (await shop.waiting(), await shop.refresh()) == (0, 0)
    await shop.past.visit("three", NOW - timedelta(days=20), "podcast")
    assert (await shop.waiting(), await shop.refresh()) == (1, 1)
    assert await refresh_everything(shop.db, shop.tenant.id) == 36, "18 days of visits, and as many of money"
    found = await check(shop.db, shop.tenant.id)
    assert (found.days, found.closed, found.differences) == (36, 0, ())


async def test_reports_are_the_same_before_and_after_and_never_stale(shop: Shop) -> None:
    async def said() -> list[Any]:
        return [
            await shop.get("daily-revenue", range="30d"),
            await shop.get("daily-visits", range="30d", by="campaign"),
            await shop.file("daily-sources", range="30d"),
        ]

    before = await said()
    assert before[1]["totals"] == {"sessions": 6, "pageviews": 6, "touches": 6, "optIns": 1}
    assert before[1]["rows"] == [
        {"name": "", "channel": "Email", "source": "newsletter", "touches": 3, "optIns": 0},
        {"name": "spring", "channel": "Organic Video", "source": "youtube", "touches": 3, "optIns": 1},
    ]
    await shop.refresh()
    assert await said() == before
    await shop.past.visit("three", NOW - timedelta(days=19), "podcast")
    await shop.past.charge(shop.past.purchases[0], "refund", 1_000, NOW - timedelta(days=20))
    changed = await said()
    assert (await shop.day(19))["visitors"] == 3
    assert on(20, changed[0])["netRevenueMinor"] == 4_000
    await shop.refresh()
    assert await said() == changed


async def test_a_clean_day_is_answered_from_what_is_kept_and_a_narrowed_question_is_not(shop: Shop) -> None:
    await shop.refresh()
    await shop.run("update daily_visits set sessions = 77 where tenant_id = $1")
    assert (await shop.day(3))["sessions"] == 77
    assert on(3, await shop.get("daily-visits", range="30d", filter=EVERYBODY))["sessions"] == 2
    half = await shop.get("daily-visits", range="30d", filter="source:youtube")
    assert sum(day["sessions"] for day in half["days"]) == 3
    other = await shop.get("daily-revenue", range="30d", dateBy="order")
    assert sum(day["revenueMinor"] for day in other["days"]) == 15_000


async def test_a_change_that_commits_after_its_day_was_counted_leaves_the_day_to_be_counted_again(shop: Shop) -> None:
    written, go_on = asyncio.Event(), asyncio.Event()
    at = NOW - timedelta(days=19)

    async def write() -> None:
        async with shop.tenant.transaction():
            await shop.past.visit("slow", at, "podcast")
            written.set()
            await go_on.wait()

    writer = asyncio.create_task(write())
    await written.wait()
    assert await shop.refresh() == 6, "the day is counted without the visit, which nobody sees yet"
    assert ((await shop.day(19))["visitors"], await shop.waiting()) == (2, 0)
    go_on.set()
    await writer
    assert ((await shop.day(19))["visitors"], await shop.waiting()) == (3, 1)
    await shop.refresh()
    assert (await check(shop.db, shop.tenant.id)).differences == ()


async def test_two_workers_at_once_count_each_day_once(shop: Shop) -> None:
    counted = await asyncio.gather(*(shop.refresh() for _ in range(4)))
    assert sum(counted) == 6
    assert (await check(shop.db, shop.tenant.id)).differences == ()


async def test_a_count_that_dies_changes_nothing(shop: Shop) -> None:
    async def die() -> None:
        async with shop.tenant.transaction():
            assert await shop.refresh() == 6
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await die()
    assert (await shop.waiting(), await shop.count("rollup_days")) == (6, 0)
    assert await shop.refresh() == 6


async def test_a_late_event_makes_its_own_day_wrong_and_no_other(shop: Shop, run_jobs: RunJobs) -> None:
    visitor, old = str(uuid4()), NOW.replace(hour=12) - timedelta(days=9)
    await shop.send(visitor, old, "?utm_source=youtube")
    await run_jobs()
    assert await shop.refresh() == 7
    await shop.send(visitor, old - timedelta(minutes=20), "?utm_source=podcast")
    await run_jobs()
    assert await shop.waiting() == 1
    rows = (await shop.get("daily-visits", range="30d", by="source"))["rows"]
    assert {row["name"]: row["touches"] for row in rows} == {"youtube": 4, "podcast": 1, "newsletter": 3}
    await shop.refresh()
    assert (await shop.get("daily-visits", range="30d", by="source"))["rows"] == rows


async def test_today_is_never_kept_and_what_changed_of_it_is_one_note(shop: Shop, run_jobs: RunJobs) -> None:
    await shop.refresh()
    for _ in range(60):
        await shop.past.visit("today", NOW, "youtube")
    assert await shop.refresh() == 0
    assert await shop.count("stale_spans") == 1
    assert (await shop.day(0))["sessions"] == 60


async def test_the_schedule_counts_every_tenant(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    shops = [Shop(client, await make_tenant()) for _ in range(2)]
    for shop in shops:
        await shop.past.visit("one", NOW - timedelta(days=2), "youtube")
    (cron,) = crons(shops[0].db)
    await cron.run(NOW)
    assert [await shop.waiting() for shop in shops] == [0, 0]
    assert [await shop.count("daily_visits") for shop in shops] == [1, 1]


async def test_what_retention_takes_stays_counted(shop: Shop) -> None:
    old = NOW - timedelta(days=90)
    await shop.past.visit("gone", old, "youtube", channel="Organic Video", campaign="spring")
    before = await shop.get("daily-visits", range="all", by="campaign")
    cutoff = NOW - timedelta(days=10)
    await retention.clear(shop.db, shop.tenant.id, cutoff)
    assert await shop.count("sessions") == 2, "only the last day's are left"
    assert await shop.get("daily-visits", range="all", by="campaign") == before
    await shop.refresh()
    assert await refresh_everything(shop.db, shop.tenant.id) > 0
    assert await shop.get("daily-visits", range="all", by="campaign") == before
    found = await check(shop.db, shop.tenant.id)
    assert found.closed > 2
    assert found.differences == ()


async def test_closing_counts_what_is_waiting(shop: Shop) -> None:
    await shop.refresh()
    await shop.past.visit("late", NOW - timedelta(days=20), "podcast")
    await close(shop.db, shop.tenant.id, NOW - timedelta(days=10))
    await shop.run("delete from sessions where tenant_id = $1")
    assert (await shop.day(20))["visitors"] == 3
    assert (await shop.day(3))["visitors"] in (0, 2)


async def test_an_erased_address_leaves_what_is_kept_too(shop: Shop, run_jobs: RunJobs) -> None:
    for days in (2, 25):
        await shop.past.visit("teller", NOW - timedelta(days=days), "newsletter", campaign="for dora@example.com")
    await close(shop.db, shop.tenant.id, NOW - timedelta(days=10))
    await shop.refresh()
    answer = await shop.http.post(
        "/api/privacy/erasures", json={"email": "dora@example.com"}, headers=shop.tenant.headers
    )
    assert answer.status_code == 202, answer.text
    await run_jobs()
    await shop.refresh()
    rows = (await shop.get("daily-visits", range="30d", by="campaign"))["rows"]
    assert not [row for row in rows if "dora" in row["name"]]
    assert sum(row["touches"] for row in rows) == 8
    assert (await check(shop.db, shop.tenant.id)).differences == ()


async def test_the_operator_sees_what_waits_and_what_differs(shop: Shop, installation: Runtime) -> None:
    assert await of(installation, shop, "status") == (0, "6 days wait")
    assert await of(installation, shop, "rebuild") == (0, "36 days counted")
    assert await of(installation, shop, "check") == (0, "36 days compared, 0 closed")
    await shop.run("update daily_money set charged = 1 where tenant_id = $1 and day < now() - interval '5 days'")
    code, said = await of(installation, shop, "check")
    assert code == 1
    assert said.count("daily_money") == 4, "two days, as they are kept and as they are counted"


async def of(runtime: Runtime, shop: Shop, word: str) -> tuple[int, str]:
    """Exit code and output of ``coursesignal rollups`` for the shop, without its name."""
    env = {
        "COURSESIGNAL_HOME": str(runtime.settings.home), "COURSESIGNAL_PLUGINS_FILE": str(runtime.settings.plugins_file),
        "DATABASE_URL": runtime.where.admin, "COURSESIGNAL_APP_DATABASE_URL": runtime.where.app,
        "COURSESIGNAL_INGEST_DATABASE_URL": runtime.where.ingest,
    }  # fmt: skip
    slug = shop.tenant.tenant.slug
    words = ["rollups", word, "--tenant", slug]
    done = await asyncio.to_thread(functools.partial(CliRunner().invoke, main, words, env=env))
    assert done.output.startswith(slug), done.output
    return done.exit_code, done.output.removeprefix(slug).strip()


WRITES = re.compile(r"(?:insert into|update|delete from) (sessions|touches|charges)\b")
NOTED_BY = {
    "tracking/visits.py": "tracking/marking.py",
    "tracking/following.py": "tracking/marking.py",
    "tracking/reapply.py": "tracking/reapply.py",
    "commerce/store.py": "commerce/service.py",
    "testing/history.py": "testing/history.py",
}
NEED_NOT = {
    "privacy/retention.py": "closes the days first",
    "connections/trust.py": "no figure asks who told of money",
    "benchmark/history.py": "fills tenants of which nothing is kept",
}


def test_whoever_changes_what_is_counted_notes_it() -> None:
    found = {str(path.relative_to(CORE).as_posix()) for path in CORE.rglob("*.py") if WRITES.search(path.read_text())}
    assert found <= {*NOTED_BY, *NEED_NOT}, "whoever writes sessions, touches or charges calls coursesignal.db.stale"
    for marker in NOTED_BY.values():
        assert "stale.mark(" in (CORE / marker).read_text(), marker
