"""The dashboard: what its pages say, that they say it harmlessly, and that a failing panel fails alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx
import pytest

from coursesignal.plugin import DailyReport, PluginError
from coursesignal.reports import Day
from coursesignal.testing import pages
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History
from coursesignal.testing.pages import Page, browser_headers
from coursesignal_dashboard.chart import draw, scale_end
from coursesignal_dashboard.words import money, share, trend

NOW = datetime.now(UTC)
HOSTILE = "<script>alert(1)</script>\"' onmouseover=alert(1) {{ 7*7 }}"


async def visit(http: httpx.AsyncClient, tenant: ActingTenant, path: str = "", status: int = 200) -> Page:
    return await pages.visit(http, tenant, f"dashboard{path}", status)


@pytest.fixture(scope="module")
async def empty(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


@pytest.fixture(scope="module")
async def shop(make_tenant: TenantMaker) -> ActingTenant:
    """Two sales of 1,234.50 and 100.00 from a hostile source and youtube, one of 20.00 from nowhere, one refund of 5.00."""
    tenant = await make_tenant()
    past = History(tenant)
    at = NOW - timedelta(days=2)
    await past.visit(
        "ann", at, HOSTILE, channel=HOSTILE, campaign=HOSTILE, email="ann@example.com", landing_url=HOSTILE
    )
    await past.sale("ann@example.com", 123_450, at + timedelta(hours=1), product=HOSTILE)
    await past.visit("bea", at, "youtube", campaign="spring", email="bea@example.com")
    sale = await past.sale("bea@example.com", 10_000, at + timedelta(hours=1), product="Drawing")
    await past.charge(sale, "refund", 500, at + timedelta(hours=2))
    await past.sale(None, 2_000, at + timedelta(hours=1))
    await past.credit()
    async with tenant.transaction() as conn:
        await conn.execute("update people set name = $2 where tenant_id = $1", tenant.id, HOSTILE)
    return tenant


# -- what it says ------------------------------------------------------------------------------------------------------


async def test_a_new_tenant_is_told_what_to_do(client: httpx.AsyncClient, empty: ActingTenant) -> None:
    page = await visit(client, empty)
    assert "Set up in two steps" in page.text
    assert f'<script async src="http://coursesignal.test/t.js" data-site="{empty.site_key}"></script>' in page.text
    assert "Connect the platform that sells your courses" in page.text
    assert "No purchase yet" in page.text
    assert "Nothing was sold between" in page.text


async def test_the_overview_shows_the_reports_numbers(client: httpx.AsyncClient, shop: ActingTenant) -> None:
    page = await visit(client, shop)
    query = {"range": "30d"}
    summary = (await client.get("/api/analytics/summary", params=query, headers=shop.headers)).json()
    assert summary["netRevenueMinor"] == 134_950
    for words in ("$1,349.50", "$1,234.50", "$95.00", "$20.00", "Unattributed", "youtube", "Total", "66.7 %"):
        assert words in page.text, words
    assert "Set up in two steps" not in page.text


async def test_rows_of_the_table_can_be_sorted_by_a_column(client: httpx.AsyncClient, shop: ActingTenant) -> None:
    page = await visit(client, shop, "?sort=visitors")
    assert [th.get("aria-sort") for th in page.all("th") if "aria-sort" in th] == ["descending"]
    await visit(client, shop, "?sort=nonsense")


async def test_a_period_that_is_none_is_refused_in_words(client: httpx.AsyncClient, shop: ActingTenant) -> None:
    page = await visit(client, shop, "?range=8d", status=422)
    assert "range" in page.text


async def test_a_source_opens_onto_its_campaigns(client: httpx.AsyncClient, shop: ActingTenant) -> None:
    page = await visit(client, shop, "/source?name=youtube&range=7d")
    assert "spring" in page.text
    assert "$95.00" in page.text
    empty = await visit(client, shop, "/source?name=nowhere")
    assert "brought no visit and no purchase" in empty.text


async def test_every_link_of_the_pages_leads_somewhere(client: httpx.AsyncClient, shop: ActingTenant) -> None:
    headers = await browser_headers(shop)
    start = f"/app/{shop.tenant.slug}/dashboard"
    seen, todo = set[str](), [start]
    while todo:
        path = todo.pop()
        if path in seen or "#" in path or len(seen) > 60:
            continue
        seen.add(path)
        answer = await client.get(path, headers=headers, follow_redirects=True)
        assert answer.status_code == 200, path
        if "/panels/" in path or not answer.headers["content-type"].startswith("text/html"):
            continue
        page = Page(answer.text)
        links = [a["href"] for a in page.all("a")] + [link["href"] for link in page.all("link")]
        links += [script["src"] for script in page.all("script")]
        links += [attributes["data-panel"] for _, attributes in page.tags if "data-panel" in attributes]
        todo += [link if link.startswith("/") else f"{urlsplit(path).path}{link}" for link in links]
    assert any("/purchases/" in path for path in seen)
    assert any("/source?" in path for path in seen)
    assert "/assets/frame.css" in seen


async def test_a_purchase_shows_its_way_and_who_gets_the_credit(client: httpx.AsyncClient, shop: ActingTenant) -> None:
    items = (await client.get("/api/analytics/recent-purchases", headers=shop.headers)).json()["items"]
    drawing = next(item for item in items if item["product"] == "Drawing")
    page = await visit(client, shop, f"/purchases/{drawing['id']}")
    for words in (
        "Drawing",
        "Partly refunded",
        "$100.00",
        "$5.00",
        "$95.00",
        "youtube",
        "Linear",
        "your default",
        "refund",
    ):
        assert words in page.text, words
    unknown = next(item for item in items if item["email"] is None)
    page = await visit(client, shop, f"/purchases/{unknown['id']}")
    assert "did not say who bought this" in page.text
    assert "No visit of this buyer is known" in page.text


async def test_an_absent_purchase_is_not_found(client: httpx.AsyncClient, shop: ActingTenant) -> None:
    await visit(client, shop, f"/purchases/{uuid4()}", status=404)
    await visit(client, shop, "/nothing.css", status=404)


async def test_old_purchases_are_on_further_pages(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    tenant = await make_tenant()
    past = History(tenant)
    for number in range(51):
        await past.sale(f"p{number}@example.com", 100, NOW - timedelta(hours=number))
    page = await visit(client, tenant, "/purchases")
    (older,) = [a["href"] for a in page.all("a") if a.get("rel") == "next"]
    assert "p50@example.com" not in page.text
    answer = await client.get(older, headers=await browser_headers(tenant))
    assert "p50@example.com" in answer.text


async def test_other_currencies_are_shown_and_not_added(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    tenant = await make_tenant()
    past = History(tenant)
    await past.sale("a@example.com", 5_000, NOW - timedelta(days=1), currency="JPY")
    page = await visit(client, tenant)
    assert "¥5,000 from 1 purchase" in page.text


# -- harmless ----------------------------------------------------------------------------------------------------------


async def test_hostile_text_is_shown_literally_on_every_page(client: httpx.AsyncClient, shop: ActingTenant) -> None:
    items = (await client.get("/api/analytics/recent-purchases", headers=shop.headers)).json()["items"]
    attacked = next(item for item in items if item["product"] == HOSTILE)
    for path in ("", "/purchases", f"/purchases/{attacked['id']}", f"/source?name={quote(HOSTILE)}"):
        page = await visit(client, shop, path)
        assert HOSTILE in "".join(page.words), path
        assert [script["src"].rpartition("/")[2] for script in page.all("script")] in ([], ["panels.js"])
        assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


async def test_pages_keep_the_content_security_policy(client: httpx.AsyncClient, shop: ActingTenant) -> None:
    answer = await client.get(f"/app/{shop.tenant.slug}/dashboard", headers=await browser_headers(shop))
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-inline" not in policy
    page = Page(answer.text)
    assert not page.all("style")
    assert not [attributes for _, attributes in page.tags if "style" in attributes]


async def test_pages_can_be_used_without_eyes_or_mouse(client: httpx.AsyncClient, shop: ActingTenant) -> None:
    page = await visit(client, shop)
    assert page.all("html") == [{"lang": "en"}]
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert len(page.all("caption")) == len(page.all("table"))
    assert all("scope" in th for th in page.all("th"))
    chart = next(svg for svg in page.all("svg") if svg.get("role") == "img")
    assert chart["aria-labelledby"] in {title.get("id") for title in page.all("title")}
    assert any(a.get("href") == "#main" for a in page.all("a"))


# -- who may see it ----------------------------------------------------------------------------------------------------


async def test_a_stranger_is_sent_to_log_in(client: httpx.AsyncClient, shop: ActingTenant) -> None:
    answer = await client.get(f"/app/{shop.tenant.slug}/dashboard", headers={"accept": "text/html"})
    assert answer.status_code in {302, 303, 307}
    assert answer.headers["location"].startswith("/login")


async def test_another_tenants_dashboard_is_not_found(
    client: httpx.AsyncClient, shop: ActingTenant, empty: ActingTenant
) -> None:
    answer = await client.get(f"/app/{shop.tenant.slug}/dashboard", headers=await browser_headers(empty))
    assert answer.status_code == 404


async def test_the_switcher_lists_the_persons_other_tenants(
    client: httpx.AsyncClient, make_tenant: TenantMaker, shop: ActingTenant
) -> None:
    mine, other = await make_tenant(), await make_tenant()
    async with mine.runtime.database.control() as conn:
        await conn.execute(
            "insert into memberships (user_id, tenant_id, role) values ($1, $2, 'viewer')", mine.owner_id, other.id
        )
    page = await visit(client, mine)
    links = {a["href"] for a in page.all("a")}
    assert f"/app/{other.tenant.slug}" in links
    assert f"/app/{shop.tenant.slug}" not in links


# -- other plugins -----------------------------------------------------------------------------------------------------


async def test_the_menu_and_the_panels_are_those_of_plugins_that_are_on(
    client: httpx.AsyncClient, shop: ActingTenant, make_tenant: TenantMaker
) -> None:
    page = await visit(client, shop)
    assert "Launches" in page.text
    assert "Recommendations" in page.text
    without = await make_tenant()
    async with without.transaction() as conn:
        await conn.execute(
            "update plugin_states set enabled = false where tenant_id = $1 and plugin <> 'dashboard'", without.id
        )
    page = await visit(client, without)
    assert "Launches" not in page.text
    assert not [attributes for _, attributes in page.tags if "data-panel" in attributes]
    await visit(client, without, "/panels/launches/current", status=404)


async def test_a_panel_is_loaded_on_its_own(client: httpx.AsyncClient, shop: ActingTenant) -> None:
    page = await visit(client, shop)
    paths = [attributes["data-panel"] for _, attributes in page.tags if "data-panel" in attributes]
    assert f"/app/{shop.tenant.slug}/dashboard/panels/launches/current" in paths
    answer = await client.get(paths[0], headers=await browser_headers(shop))
    assert answer.status_code == 200
    assert "<html" not in answer.text


async def test_a_panel_that_fails_says_so_and_nothing_else_fails(
    client: httpx.AsyncClient, make_tenant: TenantMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await make_tenant()

    async def broken(*_: Any) -> Any:
        raise PluginError("the database of launches is on fire")

    monkeypatch.setattr("coursesignal_launches.launches.listed", broken)
    page = await visit(client, tenant, "/panels/launches/current", status=503)
    assert "not available right now" in page.text
    assert "on fire" not in page.text
    await visit(client, tenant)


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minor", "currency", "words"),
    [
        (123_450, "USD", "$1,234.50"),
        (-300, "EUR", "-€3.00"),
        (5, "USD", "$0.05"),
        (5_000, "JPY", "¥5,000"),
        (1_250, "BHD", "BHD 1.250"),
        (None, "USD", "–"),
    ],
)
def test_money_reads_as_people_write_it(minor: int | None, currency: str, words: str) -> None:
    assert money(minor, currency) == words


def test_a_trend_has_an_arrow_and_words() -> None:
    assert trend(12.34) == {"arrow": "↑", "words": "up 12.3 %", "kind": "up"}
    assert trend(-5.0) == {"arrow": "↓", "words": "down 5.0 %", "kind": "down"}
    assert trend(0.0) == {"arrow": "→", "words": "no change", "kind": "flat"}
    assert trend(None) is None


def test_a_bar_is_never_wider_than_its_track_nor_negative() -> None:
    assert [share(part, 200) for part in (-10, 0, 50, 200, 300)] == ["0.00", "0.00", "25.00", "100.00", "100.00"]
    assert share(5, 0) == "0"


@pytest.mark.parametrize(("best", "end"), [(0, 10), (10, 10), (11, 20), (60_001, 80_000), (95_000, 100_000)])
def test_a_scale_ends_with_a_round_number_that_can_be_halved(best: int, end: int) -> None:
    assert scale_end(best) == end
    assert end % 2 == 0


@pytest.mark.parametrize(("days", "labels"), [(1, 1), (2, 2), (7, 3), (8, 2), (30, 3), (90, 3)])
def test_a_chart_has_a_bar_for_every_day_and_names_the_first_and_the_last(days: int, labels: int) -> None:
    first = date(2026, 3, 1)
    report = DailyReport(
        from_=first,
        to=first + timedelta(days=days - 1),
        time_zone="UTC",
        currency="USD",
        days=tuple(
            Day(date=first + timedelta(days=n), revenue_minor=n, refunded_minor=0, net_revenue_minor=n, purchases=1)
            for n in range(days)
        ),
    )
    chart = draw(report)
    assert len(chart.bars) == days
    assert len(chart.labels) == labels
    assert chart.labels[0] == "1 Mar"
    assert all(0 <= float(bar.y) <= chart.height and float(bar.height) <= chart.height for bar in chart.bars)
