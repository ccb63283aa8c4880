"""``ctx.reports``: every report that the API answers, with the same numbers."""

from __future__ import annotations

import inspect
import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import httpx
import msgspec
import pytest

from coursesignal.analytics.reader import Reports as Reader
from coursesignal.plugin import Invalid, Reports
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

NOW = datetime.now(UTC).replace(microsecond=0)
ADDRESSES: dict[str, tuple[str, dict[str, str]]] = {
    "summary": ("summary", {}),
    "sources": ("sources", {}),
    "daily_revenue": ("daily-revenue", {}),
    "compare": ("models/compare", {}),
    "students": ("students", {}),
    "lifetime_value": ("lifetime-value", {"range": "all"}),
    "cohorts": ("cohorts", {"range": "all"}),
    "new_returning": ("new-returning", {}),
    "funnel": ("funnel", {}),
    "journeys": ("journeys", {}),
    "content": ("content", {}),
    "coverage": ("coverage", {}),
    "goals": ("goals/report", {}),
    "self_reported": ("self-reported", {}),
    "plans": ("plans", {"range": "all"}),
    "products": ("products", {}),
}
"""Where the API answers what a method does; the others need to know more."""
NEED_MORE = {"drilldown", "of_purchases", "purchase", "recent_purchases", "setup"}
METHODS = {name for name, _ in inspect.getmembers(Reports, inspect.isfunction) if not name.startswith("_")}


@pytest.fixture(scope="module")
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    """Two buyers who came twice, one nobody saw, a refund."""
    shop = await make_tenant()
    past = History(shop)
    for number, source in enumerate(("youtube", "newsletter")):
        buyer = f"buyer{number}@example.com"
        await past.visit(f"v{number}", NOW - timedelta(days=9), source, email=buyer, opt_in=True, campaign="spring")
        await past.visit(f"v{number}", NOW - timedelta(days=3), "google", channel="Organic Search")
        await past.sale(buyer, 10_000, NOW - timedelta(days=2), product="Drawing")
    await past.charge(await past.sale(None, 3_000, NOW - timedelta(days=1)), "refund", 500, NOW)
    await past.credit()
    return shop


def reports_of(tenant: ActingTenant) -> Reports:
    return Reader(tenant.runtime.database, tenant.tenant, tenant.runtime.registry.models)


def test_every_method_is_implemented_held_against_the_api_and_documented() -> None:
    assert set(ADDRESSES) | NEED_MORE == METHODS
    for name in METHODS:
        assert inspect.signature(getattr(Reader, name)).parameters.keys() == (
            inspect.signature(getattr(Reports, name)).parameters.keys()
        ), name
    page = (files("coursesignal.docs") / "context.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)\(", page, re.MULTILINE)) >= METHODS


@pytest.mark.parametrize("name", ADDRESSES)
async def test_a_plugin_reads_what_the_api_answers(client: httpx.AsyncClient, tenant: ActingTenant, name: str) -> None:
    path, query = ADDRESSES[name]
    answer = (await client.get(f"/api/analytics/{path}", params=query, headers=tenant.headers)).json()
    read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(await getattr(reports_of(tenant), name)()))
    assert {field: answer[field] for field in read} == read
    assert len(read) > 2


async def test_what_a_plugin_asks_wrongly_is_refused(tenant: ActingTenant) -> None:
    for wrong in (
        reports_of(tenant).funnel("8d"),  # type: ignore[arg-type]
        reports_of(tenant).coverage(model="astrology"),
        reports_of(tenant).content(limit=0),
        reports_of(tenant).journeys(limit=9999),
    ):
        with pytest.raises(Invalid):
            await wrong


async def test_a_plugin_reads_reports_of_chosen_purchases_alone(make_tenant: TenantMaker) -> None:
    """Dated by their orders, without what was charged after the window, less what went back of what counts."""
    shop, start, end = await make_tenant(), NOW - timedelta(days=9), NOW - timedelta(days=5)
    past = History(shop)
    await past.visit("v", start, "youtube", email="pat@example.com")
    plan = await past.sale("pat@example.com", 10_000, start + timedelta(hours=1))
    late = await past.sale(None, 2_000, end + timedelta(hours=1))
    await past.sale("other@example.com", 70_000, start + timedelta(hours=2))
    await past.charge(plan, "instalment", 9_000, end + timedelta(days=1))
    await past.charge(plan, "refund", 400, end + timedelta(days=2))
    await past.credit()
    reports = reports_of(shop).of_purchases([plan, late], within=(start, end))
    summary, sources = await reports.summary((start, end)), await reports.sources((start, end))
    assert (summary.revenue_minor, summary.refunded_minor, summary.purchases) == (12_000, 400, 2)
    assert (summary.visitors, summary.unattributed_minor) == (1, 2_000)
    assert [(row.source, row.revenue_minor) for row in sources.rows] == [("youtube", 9_600)]
    assert sum(day.revenue_minor for day in (await reports.daily_revenue((start, end))).days) == 12_000
    assert (await reports_of(shop).of_purchases([], within=(start, end)).summary((start, end))).revenue_minor == 0
