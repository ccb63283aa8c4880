"""The dashboard's pages of single reports: what they say, what they say when there is nothing, and who can read them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from coursesignal.plugin import CohortCell, CohortReport, JourneyBucket, ModelComparison
from coursesignal.reports import CohortRow, ModelComparisonRow
from coursesignal.testing import pages
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History
from coursesignal.testing.pages import Page
from coursesignal_dashboard.spans import spans
from coursesignal_dashboard.triangle import triangle
from coursesignal_dashboard.words import days, span

Run = Callable[[], Awaitable[None]]
NOW = datetime.now(UTC).replace(microsecond=0)
PAGES = ("models", "funnel", "journeys", "content", "students", "products", "goals", "coverage")


async def visit(http: httpx.AsyncClient, tenant: ActingTenant, path: str, status: int = 200) -> Page:
    return await pages.visit(http, tenant, f"dashboard/{path}", status)


@pytest.fixture(scope="module")
async def empty(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


@pytest.fixture(scope="module")
async def shop(client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Run) -> ActingTenant:
    """Two came from YouTube and bought after Google; nobody saw a third; a fourth only looked."""
    tenant = await make_tenant()
    past = History(tenant)
    for number in range(2):
        who, email = f"v{number}", f"buyer{number}@example.com"
        await past.visit(
            who, NOW - timedelta(days=5), "youtube", channel="Organic Video", email=email, opt_in=True,
            landing_url="https://example.com/free-lesson", campaign="spring",
        )  # fmt: skip
        await past.visit(who, NOW - timedelta(days=2), "google", channel="Organic Search")
        await past.sale(email, 10_000, NOW - timedelta(days=1), product="Drawing")
    await past.visit("v9", NOW - timedelta(days=3), "newsletter", channel="Email")
    await past.sale(None, 2_500, NOW - timedelta(days=1), product="Painting")
    await past.credit()
    goal = {"name": "Drawing lesson", "kind": "purchase", "target": "Drawing"}
    assert (await client.post("/api/analytics/goals", json=goal, headers=tenant.headers)).status_code == 201
    heard = {"email": "buyer0@example.com", "source": "A friend", "at": (NOW - timedelta(days=1)).isoformat()}
    await client.post("/api/people/self-reported", json=heard, headers=tenant.headers)
    await run_jobs()
    return tenant


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("models", ["Organic Video", "Organic Search", "last non direct", "$200.00", "Unattributed", "$25.00"]),
        ("funnel", ["Visitors", "3", "66.7 % of visitors", "youtube", "newsletter"]),
        ("funnel?by=channel", ["Organic Video", "Email"]),
        ("journeys", ["Half bought within 4 days", "3 to 7", "Organic Video Organic Search", "No visit we know", "$25.00"]),
        ("journeys?by=source", ["youtube google"]),
        ("content", ["example.com/free-lesson", "Unattributed"]),
        ("content?by=campaign", ["spring"]),
        ("students", ["google", "Bought again", "$100.00", "Months since the first purchase"]),
        ("students?show=active", ["100.0 %", "how many paid something"]),
        ("products", ["Without a name", "$225.00", "google", "No purchase of this period is paid in parts"]),
        ("goals", ["Drawing lesson", "66.7 %", "youtube 2", "a friend", "They name a source for $0.00 of the $25.00"]),
        ("coverage", ["66.7 %", "1 unmatched: no email", "Next step: Make the e-mail address required", "The latest of them"]),
    ],
)  # fmt: skip
async def test_a_page_says_what_its_report_says(
    client: httpx.AsyncClient, shop: ActingTenant, path: str, words: list[str]
) -> None:
    page = await visit(client, shop, path)
    assert [word for word in words if word not in page.text] == []


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_with_nothing_to_show_says_what_to_do(
    client: httpx.AsyncClient, empty: ActingTenant, path: str
) -> None:
    page = await visit(client, empty, path)
    assert not page.all("svg")
    assert "between" in page.text
    inside = [a["href"] for a in page.all("a") if "/dashboard" in a.get("href", "")]
    assert inside
    assert re.search(r"Choose a longer period|snippet|tracker|Connect|connect|define one", page.text)


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_can_be_used_without_eyes_or_mouse(
    client: httpx.AsyncClient, shop: ActingTenant, path: str
) -> None:
    page = await visit(client, shop, path)
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert len(page.all("caption")) == len(page.all("table"))
    assert all("scope" in th for th in page.all("th"))
    assert all(
        svg.get("aria-hidden") or (svg["role"], bool(svg["aria-label"])) == ("img", True) for svg in page.all("svg")
    )
    assert not [attributes for _, attributes in page.tags if "style" in attributes]
    chosen = [a["href"] for a in page.all("a") if a.get("aria-current") == "true"]
    assert any(f"/dashboard/{path}" in link for link in chosen)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(attributes.get("aria-labelledby", ids[0]) in ids for _, attributes in page.tags)


@pytest.mark.parametrize(
    "path", ["models?range=8d", "funnel?by=moon", "journeys?by=", "content?by=x", "students?show=x"]
)
async def test_a_question_that_cannot_be_asked_is_refused(
    client: httpx.AsyncClient, shop: ActingTenant, path: str
) -> None:
    await visit(client, shop, path, status=422)


async def test_a_plan_at_risk_stands_out(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    tenant = await make_tenant()
    past = History(tenant)
    for number, failed in enumerate((None, NOW)):
        purchase = await past.sale(f"p{number}@example.com", 10_000, NOW - timedelta(days=9), product="In parts")
        async with tenant.transaction() as conn:
            await conn.execute(
                "update purchases set plan_payments = 3, plan_failed_at = $3 where tenant_id = $1 and id = $2",
                tenant.id, purchase, failed,
            )  # fmt: skip
    page = await visit(client, tenant, "products")
    for words in ("of 2 plans", "payment failed", "1 of 3", "$600.00", "$400.00", "At risk $200.00"):
        assert words in page.text, words
    assert len([span for span in page.all("span") if span.get("class") == "pill warning"]) == 1


async def test_every_purchase_to_look_at_can_be_opened(client: httpx.AsyncClient, shop: ActingTenant) -> None:
    page = await visit(client, shop, "coverage")
    (link,) = [a["href"] for a in page.all("a") if "/purchases/" in a.get("href", "")]
    opened = await visit(client, shop, link.partition("/dashboard/")[2])
    assert "Painting" in opened.text


# -- drawing -----------------------------------------------------------------------------------------------------------


def compared(**channels: dict[str, int]) -> ModelComparison:
    rows = tuple(
        ModelComparisonRow(
            name=name, channel=name, revenue_minor=amounts, lowest_minor=min(amounts.values()),
            highest_minor=max(amounts.values()), spread_minor=0, share={}, lowest_share=None, highest_share=None,
        )
        for name, amounts in channels.items()
    )  # fmt: skip
    return ModelComparison(
        from_=NOW.date(), to=NOW.date(), currency="USD", models=("a", "b"), rows=rows, channels=rows,
        unattributed_minor={}, net_revenue_minor=0,
    )  # fmt: skip


def test_lines_share_a_scale_from_nothing_or_less_to_the_most() -> None:
    first, second = spans(compared(Email={"a": 0, "b": 1000}, Audio={"a": 500, "b": 500}), "b")
    assert (first.x, first.width, first.own_minor) == ("2.00", "96.00", 1000)
    assert (second.x, second.width) == ("50.00", "0.00")
    assert [mark.own for mark in first.marks] == [False, True]
    (refunded,) = spans(compared(Email={"a": -1000, "b": 1000}), "absent")
    assert (refunded.x, refunded.width, refunded.own_minor) == ("2.00", "96.00", None)
    assert spans(compared(), "a") == []


def cohorts(*rows: tuple[tuple[int, int, float], ...]) -> CohortReport:
    lines = tuple(
        CohortRow(
            month=NOW.date().replace(day=1), students=4, net_revenue_minor=0,
            cells=tuple(
                CohortCell(
                    months_since=month, active_students=1, active_rate=rate, net_revenue_minor=0, cumulative_minor=0,
                    average_value_minor=value,
                )
                for month, value, rate in row
            ),
        )
        for row in rows
    )  # fmt: skip
    return CohortReport(
        from_=NOW.date(), to=NOW.date(), currency="USD", model="a", hint=None, time_zone="UTC", source=None, channel=None,
        rows=lines, students=0, net_revenue_minor=0, longest_months=max((len(row) for row in rows), default=0),
        other_currencies=(),
    )  # fmt: skip


def test_the_darkest_cell_holds_the_most_and_a_month_to_come_is_no_cell() -> None:
    report = cohorts(((0, 100, 100.0), (1, 200, 10.0)), ((0, 0, 100.0),))
    older, newer = triangle(report, "value")
    assert [cell and cell.shade for cell in older.cells] == [2, 5]
    assert [cell and cell.shade for cell in newer.cells] == [0, None]
    assert [cell and cell.shade for cell in triangle(report, "active")[0].cells] == [5, 5]
    assert triangle(cohorts(), "value") == []


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (None, "–"), (0.0, "a minute"), (0.25, "15 minutes"), (1 / 60, "1 minute"), (1.0, "1 hour"), (47.4, "47 hours"),
        (48.0, "2 days"), (60.0, "2.5 days"),
    ],
)  # fmt: skip
def test_a_time_between_reads_as_people_say_it(hours: float | None, words: str) -> None:
    assert span(hours) == words


def test_buckets_of_days_say_where_they_begin_and_end() -> None:
    ends = [(0, 1), (1, 3), (90, None)]
    assert [days(JourneyBucket(from_days=first, to_days=last, purchases=0)) for first, last in ends] == [
        "less than 1",
        "1 to 3",
        "90 or more",
    ]
