"""A tenant's own channel rules: tried, written, kept by version, asked before all others, and applied to history by a job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History
from coursesignal.tracking import reapply
from coursesignal.tracking.own_rules import matches

PATH = "/api/tracking/channel-rules"
START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
PODCAST = {"channel": "Podcasts", "conditions": [{"field": "source", "test": "startsWith", "value": "Pod"}]}

Run = Callable[[], Awaitable[None]]


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


async def visit(client: httpx.AsyncClient, tenant: ActingTenant, *views: tuple[float, str, str]) -> None:
    """One visitor's views: minute, query, referrer."""
    events = [
        {
            "eventId": str(uuid4()),
            "type": "pageview",
            "url": f"https://www.example.com/start{query}",
            "at": (START + timedelta(minutes=minute)).isoformat(),
            **({"referrer": referrer} if referrer else {}),
        }
        for minute, query, referrer in views
    ]
    body = {"siteKey": tenant.site_key, "visitorId": str(uuid4()), "events": events}
    answer = await client.post("/api/tracking/event", json=body, headers=BROWSER)
    assert answer.json()["accepted"] == len(events)


async def put(client: httpx.AsyncClient, tenant: ActingTenant, *rules: Any, **lists: Any) -> dict[str, Any]:
    answer = await client.put(PATH, json={"rules": list(rules), **lists}, headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["current"]
    return found


async def current(client: httpx.AsyncClient, tenant: ActingTenant) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(PATH, headers=tenant.headers)).json()["current"]
    return found


async def touches(tenant: ActingTenant) -> list[Any]:
    async with tenant.transaction() as conn:
        found: list[Any] = await conn.fetch(
            "select * from touches where tenant_id = $1 order by occurred_at, id", tenant.id
        )
    return found


async def test_a_tenant_without_rules_sees_what_holds(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    found = (await client.get(PATH, headers=tenant.headers)).json()
    assert found["current"]["version"] == 0
    assert found["current"]["application"]["status"] == "none"
    assert found["coreChannels"][0] == "Direct"
    assert "stripe.com" in found["defaultExcludedReferrers"]
    assert (await client.post(f"{PATH}/apply", headers=tenant.headers)).status_code == 404


async def test_a_rule_can_be_tried_before_it_is_written(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    async def trial(**body: Any) -> tuple[str, str, str]:
        answer = await client.post(f"{PATH}/test", json=body, headers=tenant.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["channel"], answer.json()["decidedBy"], answer.json()["rule"]

    assert await trial(source="Podcast", medium="audio") == ("Audio", "core", "audio")
    assert await trial(source="Podcast", medium="audio", rules=[PODCAST]) == ("Podcasts", "own", "own-1")
    assert await trial(source="partner", medium="barter") == ("Unassigned", "none", "")
    address = {"url": "https://www.example.com/?utm_source=Podcast", "referrer": "https://www.google.com/"}
    assert await trial(**address, rules=[PODCAST]) == ("Podcasts", "own", "own-1")
    await put(client, tenant, PODCAST)
    assert await trial(source="podcast") == ("Podcasts", "own", "own-1")


@pytest.mark.parametrize(
    ("test", "value", "campaign", "expected"),
    [
        ("equals", "Spring", "spring", True),
        ("equals", "Spring", "spring launch", False),
        ("contains", "LAUNCH", "Spring Launch 2", True),
        ("startsWith", "spring", "Late Spring", False),
        ("endsWith", "2", "Spring 2", True),
        ("matches", "spring*launch*", "Spring big launch 2026", True),
        ("matches", "spring*launch", "Spring launch 2026", False),
        ("matches", "(a+)+$", "aaaa", False),
    ],
)
async def test_every_kind_of_condition_compares_without_case(
    client: httpx.AsyncClient, tenant: ActingTenant, test: str, value: str, campaign: str, expected: bool
) -> None:
    rule = {"channel": "Mine", "conditions": [{"field": "campaign", "test": test, "value": value}]}
    negated = {"channel": "Mine", "conditions": [{"field": "campaign", "test": test, "value": value, "negate": True}]}
    for given, holds in ((rule, expected), (negated, not expected)):
        body = {"source": "partner", "campaign": campaign, "rules": [given]}
        answer = await client.post(f"{PATH}/test", json=body, headers=tenant.headers)
        assert (answer.json()["channel"] == "Mine") is holds


def test_a_pattern_with_many_stars_is_read_once() -> None:
    assert not matches("*a" * 100 + "b", "a" * 4000)
    assert matches("*a" * 100 + "*", "a" * 4000)
    assert matches("*", "")
    assert not matches("ab*ba", "aba")


async def test_rules_decide_before_cores_in_their_order_and_history_follows(
    client: httpx.AsyncClient, tenant: ActingTenant, run_jobs: Run
) -> None:
    await visit(client, tenant, (0, "?utm_source=podcast&utm_medium=audio", ""), (90, "?utm_source=youtube", ""))
    await run_jobs()
    before = await touches(tenant)
    assert [touch["channel"] for touch in before] == ["Audio", "Organic Video"]
    second = {"channel": "Never", "conditions": PODCAST["conditions"]}
    written = await put(client, tenant, PODCAST, second)
    assert (written["version"], written["application"]["status"]) == (1, "pending")
    await run_jobs()
    after = await touches(tenant)
    assert [touch["channel"] for touch in after] == ["Podcasts", "Organic Video"]
    assert [touch["id"] for touch in after] == [touch["id"] for touch in before]
    done = (await client.get(f"{PATH}/application", headers=tenant.headers)).json()
    assert (done["status"], done["total"], done["processed"], done["changed"]) == ("completed", 2, 2, 1)
    await visit(client, tenant, (100, "?utm_source=podcast", ""))
    await run_jobs()
    assert (await touches(tenant))[-1]["channel"] == "Podcasts"


async def test_every_version_is_kept_with_who_wrote_it_and_the_same_again_is_none(
    client: httpx.AsyncClient, tenant: ActingTenant, run_jobs: Run
) -> None:
    await put(client, tenant, PODCAST)
    assert (await put(client, tenant, PODCAST))["version"] == 1
    assert (await put(client, tenant))["version"] == 2
    await run_jobs()
    kept = (await client.get(f"{PATH}/versions", headers=tenant.headers)).json()["items"]
    assert [(version["version"], len(version["rules"])) for version in kept] == [(2, 0), (1, 1)]
    assert [version["application"]["status"] for version in kept] == ["completed", "superseded"]
    assert kept[0]["createdBy"] == tenant.email
    audit = (await client.get("/api/audit", headers=tenant.headers)).json()["items"]
    assert [entry["action"] for entry in audit if entry["action"].startswith("channel-rules")] == [
        "channel-rules.changed"
    ] * 2
    assert (await client.post(f"{PATH}/apply", headers=tenant.headers)).status_code == 202
    await run_jobs()
    assert (await current(client, tenant))["application"]["status"] == "completed"


async def test_an_excluded_referrer_brings_nobody_and_one_that_counts_again_does(
    client: httpx.AsyncClient, tenant: ActingTenant, run_jobs: Run
) -> None:
    checkout, partner = "https://pay.acme-checkout.test/done", "https://www.partner.test/"
    await visit(client, tenant, (0, "", partner), (1, "", checkout))
    await visit(client, tenant, (200, "", "https://checkout.stripe.com/pay"))
    await run_jobs()
    assert [touch["source"] for touch in await touches(tenant)] == ["partner.test", "pay.acme-checkout.test", "direct"]
    await put(client, tenant, excludedReferrers=["Acme-Checkout.test"], countedReferrers=["stripe.com"])
    await run_jobs()
    assert [touch["source"] for touch in await touches(tenant)] == ["partner.test", "stripe"]
    await put(client, tenant, excludedReferrers=["acme-checkout.test", "partner.test"])
    await run_jobs()
    found = await touches(tenant)
    assert [(touch["source"], touch["channel"], touch["is_direct"]) for touch in found] == [
        ("direct", "Direct", True)
    ] * 2
    await visit(client, tenant, (300, "", partner))
    await run_jobs()
    assert (await touches(tenant))[-1]["source"] == "direct"


async def test_credits_stay_with_their_touches_and_follow_what_became_direct(
    client: httpx.AsyncClient, tenant: ActingTenant, run_jobs: Run
) -> None:
    visitor = str(uuid4())
    events = [
        {"eventId": str(uuid4()), "type": "pageview", "url": "https://www.example.com/?utm_source=youtube"},
        {
            "eventId": str(uuid4()),
            "type": "pageview",
            "url": "https://www.example.com/",
            "referrer": "https://x.pay.test/",
        },
        {"eventId": str(uuid4()), "type": "identify", "email": "ann@example.com"},
    ]
    for minute, event in zip((0, 90, 91), events, strict=True):
        event["at"] = (START + timedelta(minutes=minute)).isoformat()
    body = {"siteKey": tenant.site_key, "visitorId": visitor, "events": events}
    await client.post("/api/tracking/event", json=body, headers=BROWSER)
    await run_jobs()
    past = History(tenant)
    async with tenant.transaction() as conn:
        past.people["ann@example.com"] = await conn.fetchval("select id from people where tenant_id = $1", tenant.id)
    await past.sale("ann@example.com", 10_000, START + timedelta(hours=3))
    await past.credit()
    assert await credited(tenant) == {"last_touch": "x.pay.test", "last_non_direct": "x.pay.test"}
    await put(client, tenant, excludedReferrers=["pay.test"])
    await run_jobs()
    assert await credited(tenant) == {"last_touch": "direct", "last_non_direct": "youtube"}


async def credited(tenant: ActingTenant) -> dict[str, str]:
    async with tenant.transaction() as conn:
        rows = await conn.fetch(
            "select c.model, t.source from credits c join touches t on t.tenant_id = c.tenant_id and t.id = c.touch_id "
            "where c.tenant_id = $1 and c.model in ('last_touch', 'last_non_direct') and c.amount_minor <> 0",
            tenant.id,
        )
    return {row["model"]: row["source"] for row in rows}


async def test_a_long_history_is_applied_batch_by_batch_and_a_newer_version_takes_over(
    client: httpx.AsyncClient,
    tenant: ActingTenant,
    run_jobs: Run,
    installation: Runtime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reapply, "TOUCHES_AT_ONCE", 3)
    past = History(tenant)
    for number in range(10):
        await past.visit(f"v{number}", START + timedelta(minutes=number), "podcast", channel="Audio")
    await put(client, tenant, PODCAST)
    await put(client, tenant, {**PODCAST, "channel": "Shows"})
    await run_jobs()
    assert {touch["channel"] for touch in await touches(tenant)} == {"Shows"}
    done = (await current(client, tenant))["application"]
    assert (done["status"], done["processed"], done["changed"]) == ("completed", 10, 10)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"rules": [{"channel": "", "conditions": PODCAST["conditions"]}]}, "rules.0.channel"),
        ({"rules": [{"channel": "A", "conditions": []}]}, "rules.0.conditions"),
        ({"rules": [{"channel": "A", "conditions": [{"field": "ip", "test": "equals", "value": "1"}]}]},
         "rules.0.conditions.0.field"),
        ({"rules": [{"channel": "A", "conditions": [{"field": "source", "test": "regex", "value": "1"}]}]},
         "rules.0.conditions.0.test"),
        ({"rules": [{"channel": "A", "conditions": [{"field": "source", "test": "equals", "value": "a\x00"}]}]},
         "rules.0.conditions.0.value"),
        ({"rules": [PODCAST] * 101}, "rules"),
        ({"excludedReferrers": ["https://pay.test/"]}, "excludedReferrers.0"),
        ({"countedReferrers": ["ok.test", "no host"]}, "countedReferrers.1"),
        ({"model": "linear"}, "model"),
    ],
)  # fmt: skip
async def test_what_is_no_rule_is_refused_by_its_path(
    client: httpx.AsyncClient, tenant: ActingTenant, body: Any, path: str
) -> None:
    answer = await client.put(PATH, json=body, headers=tenant.headers)
    assert answer.status_code in (400, 422), answer.text
    assert [error["path"] for error in answer.json()["errors"]] == [path]
    assert (await current(client, tenant))["version"] == 0


async def test_only_admins_write_rules_and_nobody_sees_anothers(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    viewer, other = await make_tenant(role="viewer"), await make_tenant()
    await put(client, other, PODCAST)
    assert (await client.put(PATH, json={"rules": []}, headers=viewer.headers)).status_code == 403
    assert (await current(client, viewer))["version"] == 0
