"""Goals over HTTP: what reaches one, before it was defined and after, and where those who did had come from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

RunJobs = Callable[[], Awaitable[None]]
AGENT = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"}
NOW = datetime.now(UTC).replace(microsecond=0)
HOSTILE = [
    '=HYPERLINK("http://evil.test","x")',
    "<script>alert(1)</script>",
    "\u202egnp.exe",
    "@SUM(1+1)*cmd|' /C calc'!A0",
]


class Site:
    """A tenant whose website sends events, and its goals."""

    def __init__(self, http: httpx.AsyncClient, tenant: ActingTenant, run_jobs: RunJobs) -> None:
        self.http, self.tenant, self.run_jobs = http, tenant, run_jobs

    async def send(self, visitor: str, *events: dict[str, Any]) -> None:
        body = {
            "siteKey": self.tenant.site_key,
            "visitorId": visitor,
            "events": [{"eventId": str(uuid4()), **event} for event in events],
        }
        answer = await self.http.post("/api/tracking/event", json=body, headers=AGENT)
        assert answer.json() == {"accepted": len(events), "dropped": []}

    async def define(self, kind: str, target: str = "", name: str = "Goal") -> dict[str, Any]:
        body = {"name": name, "kind": kind, "target": target}
        answer = await self.http.post("/api/analytics/goals", json=body, headers=self.tenant.headers)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def report(self, **params: str) -> dict[str, Any]:
        answer = await self.http.get("/api/analytics/goals/report", params=params, headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def row(self, goal: dict[str, Any], **params: str) -> dict[str, Any]:
        report = await self.report(goal=goal["id"], **params)
        [row] = report["rows"]
        return dict(row)


def page(path: str, *, source: str = "", at: datetime = NOW) -> dict[str, Any]:
    query = f"?utm_source={source}" if source else ""
    return {"type": "pageview", "url": f"https://courses.example.com{path}{query}", "at": at.isoformat()}


def counts(row: dict[str, Any]) -> tuple[int, int, float | None]:
    return row["conversions"], row["completions"], row["rate"]


def shares(row: dict[str, Any], end: str) -> dict[str, tuple[int, int]]:
    return {one["source"]: (one["conversions"], one["visitors"]) for one in row[f"{end}Touch"]}


@pytest.fixture
async def site(client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: RunJobs) -> Site:
    """Ann came by youtube and later a newsletter and was thanked twice; Bob came by youtube and looked; Cid came from nowhere."""
    site = Site(client, await make_tenant(), run_jobs)
    ann, bob, cid = (str(uuid4()) for _ in range(3))
    early = NOW - timedelta(days=2)
    await site.send(ann, page("/", source="youtube", at=early))
    await site.send(
        ann, page("/", source="newsletter", at=NOW - timedelta(minutes=2)), page("/thanks/?order=1"), page("/thanks"),
        {"type": "custom", "name": "video watched", "at": NOW.isoformat()},
        {"type": "identify", "email": "ann@example.com", "at": NOW.isoformat()},
    )  # fmt: skip
    await site.send(bob, page("/blog/a-post", source="youtube", at=NOW - timedelta(minutes=2)), page("/thankless"))
    await site.send(cid, page("/blog/another/"))
    await run_jobs()
    return site


async def test_history_counts_as_soon_as_a_goal_is_defined(site: Site) -> None:
    thanks = await site.define("path", "/thanks/", name="Bought")
    assert (thanks["counting"], thanks["target"]) == (True, "/thanks")
    await site.run_jobs()
    row = await site.row(thanks)
    assert not row["counting"]
    assert counts(row) == (1, 2, 33.33)
    assert shares(row, "first") == {"youtube": (1, 2)}
    assert shares(row, "last") == {"newsletter": (1, 1)}


async def test_each_kind_of_goal_is_reached_by_what_it_says(site: Site) -> None:
    blog = await site.define("path", "/blog/*")
    watched = await site.define("event", "video watched")
    opt_in = await site.define("opt_in")
    await site.run_jobs()
    assert counts(await site.row(blog)) == (2, 2, 66.67)
    assert counts(await site.row(watched)) == (1, 1, 33.33)
    assert counts(await site.row(opt_in)) == (1, 1, 33.33)
    direct = await site.row(blog)
    assert shares(direct, "last") == {"youtube": (1, 2), "direct": (1, 1)}


async def test_what_comes_later_is_counted_when_it_comes(site: Site) -> None:
    thanks = await site.define("path", "/thanks")
    await site.run_jobs()
    await site.send(str(uuid4()), page("/thanks", source="podcast"))
    await site.run_jobs()
    row = await site.row(thanks)
    assert (row["conversions"], shares(row, "last")) == (2, {"newsletter": (1, 1), "podcast": (1, 1)})


async def test_an_opt_in_is_somebodys_first(site: Site) -> None:
    opt_in = await site.define("opt_in")
    await site.run_jobs()
    ago = [(NOW - timedelta(days=days)).date().isoformat() for days in (3, 1)]
    assert (await site.row(opt_in, **{"from": ago[0], "to": ago[1]}))["conversions"] == 0
    [conversion] = [row for row in (await site.report(range="7d"))["rows"] if row["id"] == opt_in["id"]]
    assert conversion["conversions"] == 1


async def test_a_purchase_goal_counts_buyers_of_the_product(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: RunJobs
) -> None:
    site = Site(client, await make_tenant(), run_jobs)
    past = History(site.tenant)
    await past.visit("ann", NOW - timedelta(days=3), "youtube", email="ann@example.com")
    await past.visit("ann phone", NOW - timedelta(days=1), "podcast", email="ann@example.com")
    await past.sale("ann@example.com", 9_900, NOW - timedelta(hours=1), product="Drawing")
    await past.sale("ann@example.com", 9_900, NOW - timedelta(minutes=50), product="Drawing")
    await past.sale(None, 9_900, NOW - timedelta(hours=2), product="Drawing")
    await past.sale("bea@example.com", 100, NOW - timedelta(hours=2), product="Painting")
    row = await site.row(await site.define("purchase", "Drawing"))
    assert (row["conversions"], row["completions"], row["unattributed"]) == (2, 3, 1)
    assert (shares(row, "first"), shares(row, "last")) == ({"youtube": (1, 1)}, {"podcast": (1, 1)})


async def test_a_goal_is_renamed_aimed_elsewhere_and_deleted(site: Site) -> None:
    goal = await site.define("path", "/thanks")
    await site.run_jobs()
    url = f"/api/analytics/goals/{goal['id']}"
    renamed = await site.http.patch(url, json={"name": "Paid"}, headers=site.tenant.headers)
    assert (renamed.json()["name"], renamed.json()["counting"]) == ("Paid", False)
    aimed = await site.http.patch(url, json={"target": "/blog/*"}, headers=site.tenant.headers)
    assert aimed.json()["counting"]
    await site.run_jobs()
    assert counts(await site.row(goal)) == (2, 2, 66.67)
    assert (await site.http.delete(url, headers=site.tenant.headers)).status_code == 204
    assert (await site.report())["rows"] == []
    gone = await site.http.get("/api/analytics/goals/report", params={"goal": goal["id"]}, headers=site.tenant.headers)
    assert gone.status_code == 404
    audit = (await site.http.get("/api/audit", headers=site.tenant.headers)).json()["items"]
    assert [entry["action"] for entry in audit] == ["goal.deleted", "goal.changed", "goal.changed", "goal.created"]


@pytest.mark.parametrize("body", [
    {"name": "", "kind": "path", "target": "/"}, {"name": "x", "kind": "path", "target": "thanks"},
    {"name": "x", "kind": "path", "target": "/a?b=c"}, {"name": "x", "kind": "event", "target": "  "},
    {"name": "x", "kind": "opt_in", "target": "/x"}, {"name": "x", "kind": "other", "target": "/x"},
    {"name": "x" * 4096, "kind": "path", "target": "/x"}, {"name": "x", "kind": "path", "target": "/" + "x" * 4096},
    {"name": "a\x00b", "kind": "path", "target": "/x"}, {"name": "x", "kind": "path", "target": "/x", "tenantId": "y"},
])  # fmt: skip
async def test_what_is_no_goal_is_refused_with_its_field(site: Site, body: dict[str, str]) -> None:
    answer = await site.http.post("/api/analytics/goals", json=body, headers=site.tenant.headers)
    assert answer.status_code in (400, 422)
    assert answer.json()["errors"]


async def test_stars_are_the_only_wildcards_and_hostile_texts_stay_texts(site: Site) -> None:
    await site.send(str(uuid4()), page("/100%25_off"), page("/100xx_off"))
    literal = await site.define("path", "/100%25_off")
    for text in HOSTILE:
        assert (await site.define("event", text, name=text))["name"] == text
    await site.run_jobs()
    assert counts(await site.row(literal))[:2] == (1, 1)
    assert [row["name"] for row in (await site.report())["rows"]][1:] == HOSTILE
    csv = await site.http.get("/api/analytics/export", params={"report": "goals"}, headers=site.tenant.headers)
    assert csv.status_code == 200, csv.text
    lines = csv.text.splitlines()
    assert len(lines) >= 6
    assert not any(line.lstrip('"').startswith(("=", "@")) for line in lines)
