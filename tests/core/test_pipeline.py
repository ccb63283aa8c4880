"""From stored events to visitors, sessions and touches, through the collect endpoint and the worker's pipeline."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from coursesignal.jobs import outbox
from coursesignal.plugin import ChannelRule
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.tracking.pipeline import drain, drain_all
from coursesignal.tracking.turns import Turns

PATH = "/api/tracking/event"
START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"}

Run = Callable[[], Awaitable[None]]


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


@dataclass
class Browser:
    """One visitor, posting as the tracker does."""

    client: httpx.AsyncClient
    tenant: ActingTenant
    id: str

    async def send(self, *events: dict[str, Any], headers: dict[str, str] = BROWSER) -> dict[str, Any]:
        body = {"siteKey": self.tenant.site_key, "visitorId": self.id, "events": list(events)}
        answer = await self.client.post(PATH, json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def view(self, minute: float, query: str = "", referrer: str = "") -> str:
        event = page(minute, query, referrer)
        await self.send(event)
        return str(event["eventId"])


def page(minute: float, query: str = "", referrer: str = "") -> dict[str, Any]:
    at = (START + timedelta(minutes=minute)).isoformat()
    event = {"eventId": str(uuid4()), "type": "pageview", "url": f"https://www.example.com/start{query}", "at": at}
    return {**event, "referrer": referrer} if referrer else event


@pytest.fixture
def browser(client: httpx.AsyncClient, tenant: ActingTenant) -> Browser:
    return Browser(client, tenant, str(uuid4()))


async def rows(tenant: ActingTenant, table: str, order: str) -> list[Any]:
    async with tenant.transaction() as conn:
        found: list[Any] = await conn.fetch(f"select * from {table} where tenant_id = $1 order by {order}", tenant.id)
    return found


async def touches(tenant: ActingTenant) -> list[Any]:
    return await rows(tenant, "touches", "occurred_at, id")


async def sessions(tenant: ActingTenant) -> list[Any]:
    return await rows(tenant, "sessions", "started_at, id")


async def test_a_click_becomes_a_visitor_a_session_and_a_touch(
    tenant: ActingTenant, browser: Browser, run_jobs: Run
) -> None:
    query = "?utm_source=YouTube&utm_medium=video&utm_campaign=Spring&utm_content=ep1&utm_term=how&gclid=AbC"
    await browser.view(0, query, "https://www.youtube.com/watch?v=1")
    await browser.view(2)
    await run_jobs()
    (visitor,) = await rows(tenant, "visitors", "id")
    assert (str(visitor["id"]), visitor["events"]) == (browser.id, 2)
    assert (visitor["first_seen_at"], visitor["last_seen_at"]) == (START, START + timedelta(minutes=2))
    (session,) = await sessions(tenant)
    assert (session["pageviews"], session["events"], session["landing_url"]) == (
        2,
        2,
        f"https://www.example.com/start{query}",
    )
    (touch,) = await touches(tenant)
    assert [touch[name] for name in ("source", "medium", "campaign", "content", "term", "channel")] == [
        "youtube", "video", "Spring", "ep1", "how", "Organic Video",
    ]  # fmt: skip
    assert (touch["click_id_name"], touch["click_id"], touch["referrer_host"]) == ("gclid", "AbC", "youtube.com")
    assert (touch["landing_path"], touch["is_direct"], touch["session_id"]) == ("/start", False, session["id"])


async def test_half_an_hour_of_silence_ends_a_session(tenant: ActingTenant, browser: Browser, run_jobs: Run) -> None:
    for minute in (0, 30, 60, 90.1):
        await browser.view(minute)
    await run_jobs()
    assert [session["events"] for session in await sessions(tenant)] == [3, 1]
    assert [touch["is_direct"] for touch in await touches(tenant)] == [True, True]


async def test_only_another_marketing_source_is_another_touch_in_a_session(
    tenant: ActingTenant, browser: Browser, run_jobs: Run
) -> None:
    for minute, query, referrer in (
        (0, "?utm_source=youtube", ""),
        (1, "", ""),
        (2, "?utm_source=youtube", ""),
        (3, "", "https://checkout.stripe.com/pay"),
        (4, "", "https://www.example.com/start"),
        (5, "?utm_source=newsletter", ""),
        (6, "", "https://www.google.com/"),
        (7, "", "https://www.google.com/search"),
    ):
        await browser.view(minute, query, referrer)
    await run_jobs()
    assert [touch["source"] for touch in await touches(tenant)] == ["youtube", "newsletter", "google"]
    assert len(await sessions(tenant)) == 1


async def test_the_first_event_of_a_visit_without_a_source_is_a_direct_touch(
    tenant: ActingTenant, browser: Browser, run_jobs: Run
) -> None:
    await browser.view(0, "", "https://www.example.com/elsewhere")
    await browser.view(1, "?utm_source=instagram")
    await run_jobs()
    assert [(touch["source"], touch["is_direct"], touch["channel"]) for touch in await touches(tenant)] == [
        ("direct", True, "Direct"),
        ("instagram", False, "Organic Social"),
    ]


async def test_a_retry_without_a_time_is_processed_once_and_leaves_one_row(
    tenant: ActingTenant, browser: Browser, run_jobs: Run
) -> None:
    event = {"eventId": str(uuid4()), "type": "pageview", "url": "https://www.example.com/?utm_source=youtube"}
    await browser.send(event)
    await browser.send(event)
    await run_jobs()
    await browser.send(event)
    await run_jobs()
    assert len(await rows(tenant, "events", "event_id")) == 1
    assert [visitor["events"] for visitor in await rows(tenant, "visitors", "id")] == [1]
    assert len(await touches(tenant)) == 1


async def test_a_late_event_joins_what_it_bridges_and_takes_over_the_first_touch(
    tenant: ActingTenant, browser: Browser, run_jobs: Run
) -> None:
    await browser.view(10, "?utm_source=google")
    await browser.view(60, "?utm_source=google")
    await run_jobs()
    before = await sessions(tenant)
    assert len(before) == 2
    await browser.view(35)
    await run_jobs()
    (joined,) = await sessions(tenant)
    assert (joined["id"], joined["events"]) == (before[0]["id"], 3)
    assert [touch["occurred_at"] for touch in await touches(tenant)] == [START + timedelta(minutes=10)]
    earlier = await browser.view(0, "?utm_source=facebook")
    await run_jobs()
    first, second = await touches(tenant)
    assert (str(first["event_id"]), first["source"], second["source"]) == (earlier, "facebook", "google")
    assert {row["session_id"] for row in await rows(tenant, "events", "event_id")} == {joined["id"]}


async def test_whatever_the_order_and_the_batches_the_result_is_the_same(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Run
) -> None:
    rng = random.Random(20261123)
    queries = ["", "", "?utm_source=youtube", "?utm_source=google&utm_medium=cpc", "?gclid=1", "?page=2"]
    history = [
        (
            visitor,
            page(
                rng.uniform(0, 240),
                rng.choice(queries),
                rng.choice(["", "", "https://t.co/a", "https://www.paypal.com/"]),
            ),
        )
        for visitor in [str(uuid4()) for _ in range(8)]
        for _ in range(14)
    ]
    results = []
    for _ in range(4):
        tenant = await make_tenant()
        rng.shuffle(history)
        for start in range(0, len(history), 23):
            chunk = history[start : start + 23]
            repeated = [*chunk, *rng.sample(history[: start + 23], 5)]
            await asyncio.gather(*(Browser(client, tenant, visitor).send(event) for visitor, event in repeated))
            await run_jobs()
        results.append(await picture(tenant))
    assert results[0] == expected(history)
    assert all(result == results[0] for result in results)


async def picture(tenant: ActingTenant) -> tuple[list[Any], list[Any]]:
    """Sessions and touches without the ids we made up."""
    visits = [
        (
            str(row["visitor_id"]),
            row["started_at"],
            row["ended_at"],
            row["events"],
            row["pageviews"],
            row["landing_url"],
        )
        for row in await sessions(tenant)
    ]
    return sorted(visits), sorted((str(row["event_id"]), row["source"]) for row in await touches(tenant))


def expected(history: Sequence[tuple[str, dict[str, Any]]]) -> tuple[list[Any], list[Any]]:
    """The same by a simple oracle of our own."""
    visits, found = [], []
    for visitor in {visitor for visitor, _ in history}:
        mine = sorted((e for v, e in history if v == visitor), key=lambda e: datetime.fromisoformat(e["at"]))
        runs: list[list[dict[str, Any]]] = []
        for event in mine:
            gap = (
                datetime.fromisoformat(event["at"]) - datetime.fromisoformat(runs[-1][-1]["at"])
                if runs
                else timedelta.max
            )
            if gap > timedelta(minutes=30):
                runs.append([])
            runs[-1].append(event)
        for run in runs:
            first, last = (datetime.fromisoformat(run[n]["at"]) for n in (0, -1))
            visits.append((visitor, first, last, len(run), len(run), run[0]["url"]))
            latest = None
            for event in run:
                source = source_of(event)
                if latest is None or (source[0] != "direct" and source != latest):
                    found.append((event["eventId"], source[0]))
                    latest = source
    return sorted(visits), sorted(found)


def source_of(event: dict[str, Any]) -> tuple[str, str]:
    query = event["url"].partition("?")[2]
    from_twitter = event.get("referrer", "").startswith("https://t.co/")
    known = {"utm_source=google&utm_medium=cpc": ("google", "cpc"), "gclid=1": ("google", "cpc")}
    if query in known:
        return known[query]
    if query == "utm_source=youtube":
        return ("youtube", "")
    return ("x", "social") if from_twitter else ("direct", "")


async def test_an_identify_ties_the_visitor_and_marks_the_opt_in_touch(
    tenant: ActingTenant, browser: Browser, run_jobs: Run
) -> None:
    await browser.view(0, "?utm_source=youtube")
    await browser.view(90, "?utm_source=newsletter")
    at = (START + timedelta(minutes=91)).isoformat()
    await browser.send({"eventId": str(uuid4()), "type": "identify", "email": "Pat@Example.com", "at": at})
    await browser.view(200, "?utm_source=google")
    await run_jobs()
    assert [(touch["source"], touch["is_opt_in"]) for touch in await touches(tenant)] == [
        ("youtube", False),
        ("newsletter", True),
        ("google", False),
    ]
    (visitor,) = await rows(tenant, "visitors", "id")
    (person,) = await rows(tenant, "people", "id")
    assert visitor["person_id"] == person["id"]
    assert person["email"].lower() == "pat@example.com"


async def test_an_identify_sent_with_its_page_belongs_to_that_pages_visit(
    tenant: ActingTenant, browser: Browser, run_jobs: Run
) -> None:
    at = START.isoformat()
    identify = {
        "eventId": "00000000-0000-4000-8000-000000000001",
        "type": "identify",
        "email": "a@example.com",
        "at": at,
    }
    await browser.send(identify, page(0, "?utm_source=youtube"))
    await run_jobs()
    (touch,) = await touches(tenant)
    assert (touch["source"], touch["is_opt_in"]) == ("youtube", True)


async def test_new_touches_of_a_known_person_have_their_credits_computed_again(
    tenant: ActingTenant, browser: Browser, run_jobs: Run, installation: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_heard", {"touches_recorded"})
    await browser.send({"eventId": str(uuid4()), "type": "identify", "email": "a@example.com", "at": START.isoformat()})
    await run_jobs()
    await browser.view(60, "?utm_source=youtube")
    await drain(installation.database, tenant.id, ())
    (visitor,) = await rows(tenant, "visitors", "id")
    (task,) = await rows(
        tenant, "(select * from outbox where name = 'core.attribute_people' and status = 'pending') o", "id"
    )
    assert task["payload"] == {"personIds": [str(visitor["person_id"])]}
    (news,) = await rows(
        tenant, "(select * from outbox where name = 'touches_recorded' and status = 'pending') o", "id"
    )
    assert len(news["payload"]["touch_ids"]) == 1


async def test_a_crawler_is_kept_counted_and_nobodys_visit(
    tenant: ActingTenant, browser: Browser, run_jobs: Run
) -> None:
    googlebot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    answer = await browser.send(page(0, "?utm_source=youtube"), headers={"user-agent": googlebot})
    assert answer == {"accepted": 1, "dropped": []}
    await run_jobs()
    assert [event["verdict"] for event in await rows(tenant, "events", "event_id")] == ["bot"]
    assert await rows(tenant, "visitors", "id") == []
    assert [(row["reason"], row["hits"]) for row in await rows(tenant, "drop_counts", "reason")] == [("bot", 1)]


@pytest.mark.parametrize(
    "user_agent",
    [
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Linux; Android 10; CUBOT X30) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0 Safari/537.36",
        "Mozilla/5.0 (iPhone) [FBAN/FBIOS;FBAV/450.0]",
        "Mozilla/5.0 (iPhone) Instagram 300.0",
        "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 [Pinterest/Android]",
        "curl/8.5.0",
        "python-httpx/0.28.1",
    ],
)
async def test_people_their_phones_and_those_who_try_things_out_are_not_crawlers(
    tenant: ActingTenant, browser: Browser, run_jobs: Run, user_agent: str
) -> None:
    await browser.send(page(0), headers={"user-agent": user_agent})
    await run_jobs()
    assert [event["verdict"] for event in await rows(tenant, "events", "event_id")] == ["ok"]


async def test_drops_are_counted_once_per_reason_and_day(tenant: ActingTenant, browser: Browser, run_jobs: Run) -> None:
    for _ in range(3):
        await browser.send(
            {"eventId": str(uuid4()), "type": "custom"},
            {"eventId": str(uuid4()), "type": "pageview", "url": "ftp://example.com"},
        )
    await run_jobs()
    await run_jobs()
    counted = [(row["reason"], row["hits"], row["site_id"]) for row in await rows(tenant, "drop_counts", "reason")]
    assert counted == [("invalid-url", 3, tenant.site_id), ("missing-name", 3, tenant.site_id)]


async def test_personal_parameters_do_not_stay_in_stored_addresses(
    tenant: ActingTenant, browser: Browser, run_jobs: Run
) -> None:
    await browser.view(0, "?mc_eid=secret-1&a=1&email=pat%40example.com&utm_campaign=Hello%20World")
    await run_jobs()
    (event,) = await rows(tenant, "events", "event_id")
    (touch,) = await touches(tenant)
    (session,) = await sessions(tenant)
    assert touch["source"] == "mailchimp"
    for stored in (event["url"], touch["landing_url"], session["landing_url"]):
        assert "secret-1" not in stored
        assert "pat" not in stored
        assert "a=1" in stored


async def test_a_failure_in_the_middle_changes_nothing(
    tenant: ActingTenant, browser: Browser, run_jobs: Run, installation: Runtime
) -> None:
    await browser.view(0, "?utm_source=youtube")

    class Broken:
        """Not a rule at all: sorting the rules fails, after visitors and sessions were written."""

    with pytest.raises(AttributeError):
        await drain(installation.database, tenant.id, [Broken()])  # type: ignore[list-item]
    assert await rows(tenant, "visitors", "id") == []
    assert [row["processed_at"] for row in await rows(tenant, "events", "event_id")] == [None]
    await run_jobs()
    assert len(await touches(tenant)) == 1


async def test_one_tenants_failure_keeps_nobody_else_waiting(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Run, installation: Runtime
) -> None:
    tenants = [await make_tenant() for _ in range(7)]
    for acting in tenants:
        await Browser(client, acting, str(uuid4())).view(0, "?utm_source=youtube")

    async def rules_of(tenant_id: UUID) -> Sequence[ChannelRule]:
        if tenant_id == tenants[2].id:
            raise RuntimeError("this tenant's rules cannot be read")
        return ()

    with pytest.raises(RuntimeError, match="cannot be read"):
        await drain_all(installation.database, rules_of)
    assert [len(await touches(acting)) for acting in tenants] == [1, 1, 0, 1, 1, 1, 1]
    await run_jobs()
    assert len(await touches(tenants[2])) == 1


async def test_news_that_no_plugin_listens_to_leaves_no_work_behind(
    tenant: ActingTenant, browser: Browser, installation: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for heard, expected in ((frozenset[str](), 0), (frozenset({"touches_recorded"}), 1)):
        monkeypatch.setattr(outbox, "_heard", set(heard))
        await browser.view(0 if expected else 60, "?utm_source=youtube")
        assert await drain(installation.database, tenant.id, ()) == 1
        news = await rows(tenant, "(select * from outbox where name = 'touches_recorded') o", "id")
        assert len(news) == expected


async def test_a_tenant_that_takes_long_or_fails_keeps_no_other_from_its_turn(
    client: httpx.AsyncClient, make_tenant: TenantMaker, installation: Runtime
) -> None:
    tenants = [await make_tenant() for _ in range(5)]
    go_on = asyncio.Event()

    async def rules_of(tenant_id: UUID) -> Sequence[ChannelRule]:
        if tenant_id == tenants[0].id:
            await go_on.wait()
        if tenant_id == tenants[1].id:
            raise RuntimeError("this tenant's rules cannot be read")
        return ()

    turns = Turns(installation.database, rules_of)

    async def work() -> int:
        done = 0
        for _ in range(10):
            with contextlib.suppress(RuntimeError):
                done += await turns.work()
        return done

    for acting in tenants:
        await Browser(client, acting, str(uuid4())).view(0, "?utm_source=youtube")
    stuck = [asyncio.create_task(work()), asyncio.create_task(work())]
    while [len(await touches(acting)) for acting in tenants] != [0, 0, 1, 1, 1]:
        await asyncio.sleep(0.01)
    await asyncio.wait(stuck, return_when=asyncio.FIRST_COMPLETED)  # the other one's turns are over
    await Browser(client, tenants[3], str(uuid4())).view(0, "?utm_source=youtube")
    assert await work() == 1  # although one is still in the middle
    go_on.set()
    assert sum(await asyncio.gather(*stuck)) == 4
    assert len(await touches(tenants[0])) == 1


async def test_two_workers_on_one_tenant_process_every_event_once(
    tenant: ActingTenant, browser: Browser, run_jobs: Run, installation: Runtime
) -> None:
    for minute in range(40):
        await browser.view(minute)
    done = await asyncio.gather(*(drain(installation.database, tenant.id, ()) for _ in range(4)))
    await run_jobs()
    assert sum(done) == 40
    (session,) = await sessions(tenant)
    assert session["events"] == 40


async def test_a_plugins_channel_rule_decides_before_cores(
    tenant: ActingTenant, browser: Browser, installation: Runtime
) -> None:
    rule = ChannelRule(slug="podcasts", channel="Podcasts", applies=lambda hit: hit.source == "podcast")
    await browser.view(0, "?utm_source=Podcast&utm_medium=audio")
    assert await drain(installation.database, tenant.id, [rule]) == 1
    assert [touch["channel"] for touch in await touches(tenant)] == ["Podcasts"]


async def test_a_visitor_of_one_tenant_is_a_stranger_in_another(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Run
) -> None:
    one, other = await make_tenant(), await make_tenant()
    visitor, event = str(uuid4()), page(0, "?utm_source=youtube")
    for tenant in (one, other):
        await Browser(client, tenant, visitor).send(event)
    await run_jobs()
    for tenant in (one, other):
        (touch,) = await touches(tenant)
        assert (touch["tenant_id"], touch["id"]) == (tenant.id, UUID(event["eventId"]))
