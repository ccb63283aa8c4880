"""Launches: a window of time with a status of its own and what it brought in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest

from coursesignal.testing.contexts import plugin_context
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History
from coursesignal_launches.launches import status_at

if TYPE_CHECKING:
    from coursesignal.runtime import Runtime

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


async def create(http: httpx.AsyncClient, tenant: ActingTenant, title: str, start: datetime, end: datetime) -> Any:
    body = {"title": title, "startsAt": start.isoformat(), "endsAt": end.isoformat()}
    answer = await http.post("/api/launches", json=body, headers=tenant.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_launch_is_created_listed_opened_and_deleted(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    made = await create(client, tenant, " Spring cohort ", NOW - DAY, NOW + DAY)
    assert (made["title"], made["status"]) == ("Spring cohort", "active")
    listed = (await client.get("/api/launches", headers=tenant.headers)).json()
    assert listed == {"items": [made], "page": 1, "limit": 50, "total": 1}
    url = f"/api/launches/{made['id']}"
    opened = (await client.get(url, headers=tenant.headers)).json()
    assert {name: opened[name] for name in made} == made
    assert (await client.delete(url, headers=tenant.headers)).status_code == 204
    assert (await client.get(url, headers=tenant.headers)).status_code == 404
    assert (await client.delete(url, headers=tenant.headers)).status_code == 404


@pytest.mark.parametrize(
    ("seconds", "status"), [(-1, "upcoming"), (0, "active"), (3599, "active"), (3600, "completed"), (9999, "completed")]
)
def test_a_launch_is_active_from_its_start_up_to_its_end(seconds: int, status: str) -> None:
    assert status_at(NOW, NOW + timedelta(hours=1), NOW + timedelta(seconds=seconds)) == status


async def test_the_list_filters_by_status_sorts_and_pages(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    for title, start, end in (("b", -3, -2), ("a", -1, 1), ("c", 2, 3), ("d", 5, 6)):
        await create(client, tenant, title, NOW + start * DAY, NOW + end * DAY)

    async def titles(**query: object) -> list[str]:
        answer = await client.get("/api/launches", params={k: str(v) for k, v in query.items()}, headers=tenant.headers)
        assert answer.status_code == 200, answer.text
        return [item["title"] for item in answer.json()["items"]]

    assert await titles() == ["d", "c", "a", "b"]
    assert await titles(sort="title") == ["a", "b", "c", "d"]
    assert await titles(status="upcoming", sort="startsAt") == ["c", "d"]
    assert await titles(status="completed") == ["b"]
    assert await titles(limit=3, page=2) == ["b"]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"status": "later"}, "status"),
        ({"sort": "revenue"}, "sort"),
        ({"limit": "0"}, "limit"),
        ({"page": "0"}, "page"),
    ],
)
async def test_a_list_that_cannot_be_is_refused(
    client: httpx.AsyncClient, tenant: ActingTenant, query: dict[str, str], path: str
) -> None:
    answer = await client.get("/api/launches", params=query, headers=tenant.headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == path


@pytest.mark.parametrize(
    "change",
    [
        {"title": ""},
        {"title": "   "},
        {"title": "a\u0000b"},
        {"title": "x" * 201},
        {"endsAt": NOW.isoformat()},
        {"endsAt": (NOW + 400 * DAY).isoformat()},
        {"prelaunchAt": (NOW + timedelta(hours=1)).isoformat()},
        {"lastDayAt": (NOW + DAY).isoformat()},
        {"postEndsAt": NOW.isoformat()},
        {"revenueGoalMinor": 0},
        {"salesGoal": 2**70},
        {"startsAt": "soon"},
        {"revenueMinor": 5},
    ],
)
async def test_a_launch_that_cannot_be_is_refused(
    client: httpx.AsyncClient, tenant: ActingTenant, change: dict[str, object]
) -> None:
    body = {"title": "Launch", "startsAt": NOW.isoformat(), "endsAt": (NOW + DAY).isoformat()} | change
    answer = await client.post("/api/launches", json=body, headers=tenant.headers)
    assert answer.status_code in {400, 422}
    assert (await client.get("/api/launches", headers=tenant.headers)).json()["total"] == 0


async def test_results_are_the_money_of_the_purchases_made_inside_the_window(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    start, end = NOW - 2 * DAY, NOW - DAY
    past = History(tenant)
    await past.visit("ann", start + timedelta(hours=1), "youtube", email="ann@example.com")
    early = await past.sale("early@example.com", 700, start - timedelta(seconds=1))
    counted = await past.sale("ann@example.com", 10_000, start + timedelta(hours=2))
    await past.sale(None, 500, start)
    await past.sale("late@example.com", 900, end)
    await past.charge(early, "refund", 500, end - timedelta(seconds=1))
    await past.charge(counted, "refund", 200, end + timedelta(hours=1))
    await past.credit()
    made = await create(client, tenant, "Cart open", start, end)
    results = (await client.get(f"/api/launches/{made['id']}", headers=tenant.headers)).json()["results"]
    assert (results["revenueMinor"], results["refundedMinor"], results["netRevenueMinor"]) == (10_500, 200, 10_300)
    assert (results["purchases"], results["students"], results["visitors"]) == (2, 2, 1)
    assert results["unattributedMinor"] == 500
    assert [(s["source"], s["revenueMinor"]) for s in results["sources"]] == [("youtube", 9_800)]


async def test_a_launch_to_come_has_no_results(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    made = await create(client, tenant, "Next", NOW + DAY, NOW + 2 * DAY)
    assert (await client.get(f"/api/launches/{made['id']}", headers=tenant.headers)).json()["results"] is None


async def test_the_job_moves_the_stored_status_on(
    client: httpx.AsyncClient, installation: Runtime, tenant: ActingTenant
) -> None:
    made = await create(client, tenant, "Over", NOW - 2 * DAY, NOW - DAY)
    async with tenant.transaction() as conn:
        await conn.execute("update launches_launches set status = 'active' where tenant_id = $1", tenant.id)
    ctx = await plugin_context(installation, tenant, "launches")
    job = next(job for job in installation.registry.by_slug["launches"].declared.jobs if job.name == "update_status")
    for _ in range(2):
        await job.function(ctx)
        async with tenant.transaction() as conn:
            status = await conn.fetchval("select status from launches_launches where tenant_id = $1", tenant.id)
        assert status == made["status"] == "completed"


async def test_the_cron_runs_every_five_minutes(installation: Runtime) -> None:
    (cron,) = installation.registry.by_slug["launches"].declared.crons
    assert (cron.schedule, cron.job) == ("*/5 * * * *", "update_status")


async def test_another_tenants_launch_is_as_absent_as_none(
    client: httpx.AsyncClient, tenant: ActingTenant, make_tenant: TenantMaker
) -> None:
    made = await create(client, tenant, "Mine", NOW, NOW + DAY)
    other = await make_tenant()
    theirs = await client.get(f"/api/launches/{made['id']}", headers=other.headers)
    absent = await client.get(f"/api/launches/{uuid4()}", headers=other.headers)
    assert theirs.status_code == absent.status_code == 404
    assert theirs.content == absent.content


async def test_a_tenant_without_the_plugin_has_no_launches(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    tenant = await make_tenant(plugins=())
    async with tenant.transaction() as conn:
        await conn.execute(
            "insert into plugin_states (tenant_id, plugin, granted, enabled) values ($1, 'launches', true, false) "
            "on conflict (tenant_id, plugin) do update set enabled = false",
            tenant.id,
        )
    assert (await client.get("/api/launches", headers=tenant.headers)).status_code == 404


async def test_the_page_lists_launches_with_what_they_brought_and_adds_one_in_local_time(
    client: httpx.AsyncClient, make_tenant: TenantMaker, in_browser: Any
) -> None:
    tenant = await make_tenant(time_zone="America/New_York")
    visitor = await in_browser(tenant)
    assert "You have no launches yet" in (await visitor.get("launches")).text
    past = History(tenant)
    await past.sale("ann@example.com", 1_234_500, datetime(2026, 6, 1, 20, tzinfo=UTC))
    form = {"title": "Open <b>cart</b>", "starts_at": "2026-06-01T09:00", "ends_at": "2026-06-03T09:00"}
    assert (await visitor.post("launches", form)).status_code == 303
    (made,) = (await client.get("/api/launches", headers=tenant.headers)).json()["items"]
    assert made["startsAt"] == "2026-06-01T13:00:00Z"
    page = (await visitor.get("launches")).text
    for words in ("Open &lt;b&gt;cart&lt;/b&gt;", "12,345.00 USD", "1 Jun 2026, 09:00"):
        assert words in page, words


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("title", " ", "Give the launch a name."),
        ("title", "x" * 201, "at most 200 characters"),
        ("starts_at", "soon", "Choose a day and a time."),
        ("ends_at", "2026-05-01T09:00", "Must be later than"),
    ],
)
async def test_a_launch_that_cannot_be_is_shown_again_with_the_reason(
    make_tenant: TenantMaker, in_browser: Any, field: str, value: str, words: str
) -> None:
    visitor = await in_browser(await make_tenant())
    form = {"title": "Open cart", "starts_at": "2026-06-01T09:00", "ends_at": "2026-06-03T09:00", field: value}
    answer = await visitor.post("launches", form)
    assert answer.status_code == 422
    assert words in answer.text
    assert f'value="{value}"' in answer.text


async def test_a_viewer_is_shown_no_form_and_refused(make_tenant: TenantMaker, in_browser: Any) -> None:
    viewer = await in_browser(await make_tenant(role="viewer"))
    assert "Add a launch" not in (await viewer.get("launches")).text
    assert (await viewer.post("launches", {"title": "x"})).status_code == 403
