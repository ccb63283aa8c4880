"""Which purchases count for which launch: by dates, by products, by hand, and whatever happens to the launch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History
from coursesignal_launches.phases import default_last_day, in_zone, moved

NOW = datetime.now(UTC).replace(microsecond=0)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LONG_AGO = NOW - 30 * DAY


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


async def launch(http: httpx.AsyncClient, tenant: ActingTenant, start: datetime, days: int, **more: Any) -> Any:
    body = {"title": "Launch", "startsAt": start.isoformat(), "endsAt": (start + days * DAY).isoformat(), **more}
    answer = await http.post("/api/launches", json=body, headers=tenant.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def ask(
    http: httpx.AsyncClient, tenant: ActingTenant, method: str, path: str, status: int = 200, **more: Any
) -> Any:
    answer = await http.request(method, f"/api/launches{path}", headers=tenant.headers, **more)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def counted(http: httpx.AsyncClient, tenant: ActingTenant, made: Any) -> set[str]:
    return {one["id"] for one in (await ask(http, tenant, "GET", f"/{made['id']}/purchases"))["items"]}


async def test_of_overlapping_launches_the_one_that_started_last_has_the_purchase(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    past = History(tenant)
    outer, inner = await launch(client, tenant, LONG_AGO, 10), await launch(client, tenant, LONG_AGO + 2 * DAY, 3)
    first, both = (
        await past.sale("a@example.com", 100, LONG_AGO),
        await past.sale("b@example.com", 200, LONG_AGO + 3 * DAY),
    )
    assert await counted(client, tenant, outer) == {str(first)}
    assert await counted(client, tenant, inner) == {str(both)}
    await ask(client, tenant, "DELETE", f"/{inner['id']}", 204)
    assert await counted(client, tenant, outer) == {str(first), str(both)}, "a deleted launch lets its purchases go"
    await ask(client, tenant, "DELETE", f"/{outer['id']}", 204)
    assert (await client.get("/api/analytics/summary?range=90d", headers=tenant.headers)).json()["purchases"] == 2


async def test_changed_dates_and_products_have_purchases_counted_anew(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    past, made = History(tenant), await launch(client, tenant, LONG_AGO, 2)
    early = await past.sale("a@example.com", 100, LONG_AGO, product="Drawing")
    late = await past.sale("b@example.com", 100, LONG_AGO + 3 * DAY, product="Painting")
    assert await counted(client, tenant, made) == {str(early)}
    await ask(client, tenant, "PATCH", f"/{made['id']}", json={"endsAt": (LONG_AGO + 4 * DAY).isoformat()})
    assert await counted(client, tenant, made) == {str(early), str(late)}
    await ask(client, tenant, "PUT", f"/{made['id']}", json={"products": ["Painting"]})
    assert await counted(client, tenant, made) == {str(late)}
    refused = await ask(client, tenant, "PATCH", f"/{made['id']}", 422, json={"endsAt": LONG_AGO.isoformat()})
    assert refused["errors"][0]["path"] == "endsAt"
    await ask(client, tenant, "PATCH", f"/{uuid4()}", 404, json={})


async def test_a_purchase_pinned_by_hand_counts_where_it_was_put(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    past, made = History(tenant), await launch(client, tenant, LONG_AGO, 2)
    inside = await past.sale("a@example.com", 1_000, LONG_AGO + HOUR)
    outside = await past.sale("b@example.com", 500, LONG_AGO + 5 * DAY)
    await past.credit()
    await ask(client, tenant, "PUT", f"/purchases/{outside}/pin", json={"launchId": made["id"]})
    found = await ask(client, tenant, "GET", f"/{made['id']}/analytics")
    assert (found["figures"]["netRevenueMinor"], found["figures"]["purchases"]) == (1_500, 2)
    assert [(p["phase"], p["netRevenueMinor"]) for p in found["phases"]][-1] == ("post", 500)
    await ask(client, tenant, "PUT", f"/purchases/{inside}/pin", json={})
    assert await counted(client, tenant, made) == {str(outside)}
    for purchase in (inside, outside):
        await ask(client, tenant, "DELETE", f"/purchases/{purchase}/pin", 204)
    assert await counted(client, tenant, made) == {str(inside)}
    await ask(client, tenant, "PUT", f"/purchases/{outside}/pin", 404, json={"launchId": str(uuid4())})
    await ask(client, tenant, "PUT", f"/purchases/{uuid4()}/pin", 404, json={"launchId": made["id"]})


async def test_an_archived_launch_is_out_of_sight_and_comes_back(
    client: httpx.AsyncClient, tenant: ActingTenant
) -> None:
    made = await launch(client, tenant, LONG_AGO, 2)
    assert (await ask(client, tenant, "POST", f"/{made['id']}/archive"))["archived"]
    assert (await ask(client, tenant, "GET", ""))["total"] == 0
    assert [one["id"] for one in (await ask(client, tenant, "GET", "?status=archived"))["items"]] == [made["id"]]
    assert not (await ask(client, tenant, "POST", f"/{made['id']}/restore"))["archived"]
    assert (await ask(client, tenant, "GET", ""))["total"] == 1


async def test_a_copy_keeps_weekday_hour_and_length_across_a_change_of_clocks(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    shop = await make_tenant(time_zone="America/New_York")
    more = {"revenueGoalMinor": 500_000, "products": ["Drawing"], "prelaunchAt": "2026-02-20T09:00:00"}
    body = {"title": "Spring", "startsAt": "2026-03-02T09:00:00", "endsAt": "2026-03-07T09:00:00", **more}
    made = (await client.post("/api/launches", json=body, headers=shop.headers)).json()
    assert (made["startsAt"], made["lastDayAt"]) == ("2026-03-02T14:00:00Z", "2026-03-06T14:00:00Z")
    copy = await ask(client, shop, "POST", f"/{made['id']}/duplicate", 201, json={"startsAt": "2026-03-09T09:00:00"})
    assert (copy["startsAt"], copy["endsAt"]) == ("2026-03-09T13:00:00Z", "2026-03-14T13:00:00Z"), "nine in the morning"
    assert (copy["title"], copy["revenueGoalMinor"], copy["products"]) == ("Spring (copy)", 500_000, ["Drawing"])
    later = await ask(client, shop, "POST", f"/{made['id']}/duplicate", 201)
    zone = ZoneInfo("America/New_York")
    start = datetime.fromisoformat(later["startsAt"]).astimezone(zone)
    assert (later["status"], start.weekday(), start.hour) == ("upcoming", 0, 9)


async def test_a_time_the_clocks_jump_over_is_refused(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    shop = await make_tenant(time_zone="Europe/Berlin")
    body = {"title": "Night", "startsAt": "2026-03-29T02:30:00", "endsAt": "2026-03-30T02:30:00"}
    answer = await client.post("/api/launches", json=body, headers=shop.headers)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"path": "startsAt", "message": "2026-03-29 02:30 does not exist in Europe/Berlin: the clocks jump over it."}
    ]


def test_days_of_the_wall_clock_have_23_or_25_hours() -> None:
    zone = ZoneInfo("Europe/Berlin")
    before = in_zone(datetime(2026, 10, 25, 0, 30), zone)
    assert moved(before, DAY, zone) - before == 25 * HOUR
    end = in_zone(datetime(2026, 3, 30, 0, 0), zone)
    last_day = default_last_day(end - 5 * DAY, end, zone)
    assert last_day is not None and end - last_day == 23 * HOUR
    assert default_last_day(end - DAY, end, zone) is None
