"""The pages of launches: from an empty list to a shared recap, by forms alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History
from coursesignal.testing.pages import Page

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
WHEN = "%Y-%m-%dT%H:%M"


@pytest.fixture
async def shop(
    client: httpx.AsyncClient, make_tenant: TenantMaker, in_browser: Any
) -> tuple[ActingTenant, Any, str, str]:
    """A tenant, its person in a browser, a launch that runs with a sale, and one pinned nowhere yet."""
    tenant = await make_tenant()
    past = History(tenant)
    await past.visit("v", NOW - DAY, "you<i>tube", email="pat@example.com")
    await past.sale("pat@example.com", 45_600, NOW - DAY / 2, product="Drawing")
    other = await past.sale("max@example.com", 1_000, NOW - 5 * DAY, product="Painting")
    await past.credit()
    visitor = await in_browser(tenant)
    form = {
        "title": "Spring", "starts_at": (NOW - DAY).strftime(WHEN), "ends_at": (NOW + 2 * DAY).strftime(WHEN),
        "revenue_goal": "1,000.00", "sales_goal": "3", "description": "All of it", "products": "Drawing\r\nPainting",
    }  # fmt: skip
    made = await visitor.post("launches", form)
    assert made.status_code == 303
    return tenant, visitor, made.headers["location"].rpartition("/")[2], str(other)


async def test_a_launchs_page_tells_all_of_it_and_escapes_what_others_wrote(
    shop: tuple[ActingTenant, Any, str, str],
) -> None:
    _, visitor, launch, _ = shop
    html = (await visitor.get(f"launches/{launch}")).text
    page = Page(html)
    for words in ("456.00 USD", "you<i>tube", "Goals", "By phase", "Your list and newcomers", "Drawing", "45.6 %"):
        assert words in page.text, words
    assert "you<i>tube" not in html
    assert [tag["data-stream"] for tag in page.all("section") if "data-stream" in tag]
    labelled = {tag.get("for") for tag in page.all("label")}
    named = {tag["id"] for tag in page.all("input") + page.all("select") if tag.get("type") != "hidden"}
    assert named <= labelled
    assert not any("style" in attributes or name == "style" for name, attributes in page.tags)
    script = await visitor.get("launches/live.js")
    assert script.status_code == 200 and "EventSource" in script.text
    assert (await visitor.get(f"launches/{launch}?model=linear")).status_code == 200
    assert (await visitor.get(f"launches/{launch}?model=astrology")).status_code == 422


async def test_a_launch_is_changed_pinned_to_copied_archived_and_deleted_by_forms(
    client: httpx.AsyncClient, shop: tuple[ActingTenant, Any, str, str]
) -> None:
    tenant, visitor, launch, other = shop
    page = Page((await visitor.get(f"launches/{launch}/edit")).text)
    fields = {tag["name"]: tag.get("value", "") for tag in page.all("input") if tag.get("type") != "hidden"}
    assert (fields["title"], fields["revenue_goal"], fields["sales_goal"]) == ("Spring", "1000.00", "3")
    wrong = await visitor.post(f"launches/{launch}/edit", {**fields, "revenue_goal": "lots", "sales_goal": "-1"})
    assert wrong.status_code == 422
    assert "Write an amount above 0" in wrong.text and "Write a whole number above 0" in wrong.text
    saved = await visitor.post(
        f"launches/{launch}/edit", {**fields, "title": "Summer", "revenue_goal": "", "products": ""}
    )
    assert saved.status_code == 303
    now = (await client.get(f"/api/launches/{launch}", headers=tenant.headers)).json()
    assert (now["title"], now["revenueGoalMinor"], now["salesGoal"], now["products"]) == ("Summer", None, 3, [])
    assert now["description"] == "", "the form is the whole launch"

    assert (await visitor.post(f"launches/{launch}/pin", {"purchase_id": other, "to": "this"})).status_code == 303
    assert "pinned by hand" in (await visitor.get(f"launches/{launch}")).text
    assert (await visitor.post(f"launches/{launch}/pin", {"purchase_id": "nonsense"})).status_code == 404

    copied = await visitor.post(f"launches/{launch}/duplicate", {})
    assert copied.headers["location"].endswith("/edit")
    assert (await visitor.post(f"launches/{launch}/archive", {})).status_code == 303
    assert ">Summer<" not in (await visitor.get("launches")).text
    assert "Summer" in (await visitor.get("launches?status=archived")).text
    assert (await visitor.post(f"launches/{launch}/restore", {})).status_code == 303
    assert (await visitor.post(f"launches/{launch}/delete", {})).status_code == 303
    assert (await visitor.get(f"launches/{launch}")).status_code == 404
    forged = await visitor.http.post(f"/app/{tenant.tenant.slug}/launches/{launch}/delete", headers=visitor._headers)
    assert forged.status_code == 403, "a form without its token"


async def test_a_link_is_made_shown_once_and_ended_by_forms(
    client: httpx.AsyncClient, shop: tuple[ActingTenant, Any, str, str]
) -> None:
    _, visitor, launch, _ = shop
    assert "It is not shared" in (await visitor.get(f"launches/{launch}/share")).text
    refused = await visitor.post(f"launches/{launch}/share", {"password": "abc", "expires_at": "2020-01-01T00:00"})
    assert (
        refused.status_code == 422 and "Choose 6 to 200 characters" in refused.text and "in the future" in refused.text
    )
    made = await visitor.post(f"launches/{launch}/share", {"password": "", "expires_at": ""})
    (address,) = re.findall(r"http://coursesignal\.test(/share/launches/[\w-]+)", made.text)
    assert "456.00 USD" in (await client.get(address)).text
    page = (await visitor.get(f"launches/{launch}/share")).text
    assert address not in page and "Looked at 1 time" in page
    await visitor.post(f"launches/{launch}/unshare", {})
    assert (await client.get(address, headers={"accept": "text/html"})).status_code == 404


async def test_launches_are_compared_and_found_in_history_on_pages(
    shop: tuple[ActingTenant, Any, str, str], make_tenant: TenantMaker, in_browser: Any
) -> None:
    tenant, visitor, launch, _ = shop
    page = Page((await visitor.get("launches/compare")).text)
    assert "456.00 USD" in page.text and len(page.all("polyline")) == 1
    assert (await visitor.get(f"launches/compare?launch={launch}&launch=&launch=")).status_code == 200
    past = History(tenant)
    for day in range(20):
        for number in range(12 if day in {9, 10} else 1):
            await past.sale(f"d{day}n{number}@example.com", 1_000, NOW - (40 - day) * DAY)
    found = Page((await visitor.get("launches")).text)
    (link,) = [tag["href"] for tag in found.all("a") if "#new" in tag.get("href", "")]
    filled = Page((await visitor.get(link.partition("/launches")[2].join(["launches", ""]))).text)
    assert any(tag.get("name") == "title" and tag["value"].startswith("Launch of") for tag in filled.all("input"))
    nobody = await in_browser(await make_tenant())
    assert "No launch has begun yet" in (await nobody.get("launches/compare")).text


async def test_a_viewer_sees_a_launch_and_changes_nothing(
    client: httpx.AsyncClient, make_tenant: TenantMaker, in_browser: Any
) -> None:
    tenant = await make_tenant()
    body = {"title": "Spring", "startsAt": NOW.isoformat(), "endsAt": (NOW + DAY).isoformat()}
    launch = (await client.post("/api/launches", json=body, headers=tenant.headers)).json()["id"]
    async with tenant.runtime.database.control() as conn:
        await conn.execute("update memberships set role = 'viewer' where tenant_id = $1", tenant.id)
    viewer = await in_browser(tenant)
    page = Page((await viewer.get(f"launches/{launch}")).text)
    assert "Spring" in page.text and "Duplicate" not in page.text
    for action in ("edit", "archive", "restore", "duplicate", "delete", "share", "unshare", "pin"):
        assert (await viewer.post(f"launches/{launch}/{action}", {})).status_code == 403, action
