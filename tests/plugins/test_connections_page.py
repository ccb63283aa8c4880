"""The connections page of the dashboard: each account with its totals beside the platform's, and what is not verified yet."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import TenantMaker
from coursesignal.testing.platforms import FakeKajabi, use_platform

KEY = {"clientId": "kajabi-client", "clientSecret": "kajabi-secret"}


@pytest.fixture
async def kajabi(installation: Runtime) -> AsyncIterator[FakeKajabi]:
    async with FakeKajabi(sites={"2": "Example <b>Academy</b>", "3": "Second Academy"}) as platform:
        use_platform(installation, platform)
        yield platform


async def test_the_page_shows_totals_what_is_unverified_and_every_account(
    client: httpx.AsyncClient,
    make_tenant: TenantMaker,
    in_browser: Any,
    kajabi: FakeKajabi,
    run_jobs: Callable[[], Awaitable[None]],
) -> None:
    tenant = await make_tenant()
    visitor = await in_browser(tenant)
    kajabi.sell("pat@example.com", 12_300)
    kajabi.pending.clear()
    await visitor.post("connections/kajabi", {"do": "connect", **KEY, "siteId": "2"})
    await run_jobs()
    page = (await visitor.get("connections")).text
    assert "Agrees with Kajabi to the cent: 123.00 USD." in page
    assert "1 synced, 0 matched" in page
    assert "<b>Academy</b>" not in page
    assert "Unverified" not in page

    kajabi.sell("sam@example.com", 4_500)
    await kajabi.deliver(http=client)
    await run_jobs()
    assert "45.00 USD" in (await visitor.get("connections")).text

    await visitor.post("connections/kajabi", {"do": "connect", **KEY, "siteId": "3"})
    page = (await visitor.get("connections")).text
    assert "<h3>Second Academy</h3>" in page
    ids = re.findall(r'name="connection" value="([0-9a-f-]{36})"', page)
    assert len(set(ids)) == 2
    gone = await visitor.post("connections/kajabi", {"do": "disconnect", "connection": ids[0]})
    assert gone.status_code == 303
    assert set(re.findall(r'name="connection" value="([0-9a-f-]{36})"', (await visitor.get("connections")).text)) == {
        *ids
    } - {ids[0]}
    assert (await visitor.post("connections/kajabi", {"do": "sync", "connection": "x"})).status_code == 404
    assert (await visitor.post("connections/kajabi", {"do": "sync", "connection": ids[0]})).status_code == 404


async def test_limits_are_set_on_the_page_and_what_is_wrong_is_said_at_its_field(
    client: httpx.AsyncClient, make_tenant: TenantMaker, in_browser: Any, kajabi: FakeKajabi
) -> None:
    tenant = await make_tenant()
    visitor = await in_browser(tenant)
    await visitor.post("connections/kajabi", {"do": "connect", **KEY, "siteId": "2"})
    page = (await visitor.get("connections")).text
    (which,) = set(re.findall(r'name="connection" value="([0-9a-f-]{36})"', page))
    limits = {
        "do": "limits",
        "connection": which,
        "requestsPerMinute": "1,200",
        "syncMinutes": "15",
        "rescanDays": "90",
    }
    assert (await visitor.post("connections/kajabi", limits)).status_code == 303
    usage = (await client.get(f"/api/connections/{which}", headers=tenant.headers)).json()["usage"]
    assert usage | {"usedThisMonth": 0, "monthlyRequests": None} == {
        "requestsPerMinute": 1200, "monthlyRequests": None, "usedThisMonth": 0, "syncMinutes": 15, "rescanDays": 90,
    }  # fmt: skip
    refused = await visitor.post("connections/kajabi", {**limits, "syncMinutes": "4", "monthlyRequests": "<b>many"})
    assert refused.status_code == 422
    for words in (
        "from 5 to 1,440, or nothing",
        "from 1 to 2,000,000,000, or nothing",
        "&lt;b&gt;many",
        "The limits were not",
    ):
        assert words in refused.text
    assert refused.text.count("aria-invalid") == 2
    page = (await visitor.get("connections")).text
    assert 'name="rescanDays" type="text" inputmode="decimal" value="90"' in page

    limits = {"do": "limits", "connection": which}
    assert (await visitor.post("connections/kajabi", limits)).status_code == 303
    usage = (await client.get(f"/api/connections/{which}", headers=tenant.headers)).json()["usage"]
    assert (usage["syncMinutes"], usage["rescanDays"]) == (60, 60)
