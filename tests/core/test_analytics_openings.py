"""From every row of every report down to its orders, and every report as a file; for a reading key too."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar.routes import HTTPRoute

from coursesignal.analytics.exportable import EXPORTABLE
from coursesignal.app import create_litestar
from coursesignal.runtime import Runtime
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

MODELS = ("first_touch", "last_non_direct", "linear", "position_based", "time_decay", "linear_paid", "w_shaped")
SPAN = {"from": "2026-06-01", "to": "2026-07-31"}
each_model = pytest.mark.parametrize("model", MODELS)


def at(month: int, day: int, hour: int = 12) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


@dataclass
class Shop:
    """A tenant with a past, and how to ask about it."""

    http: httpx.AsyncClient
    tenant: ActingTenant

    async def get(self, report: str, /, **params: Any) -> Any:
        answer = await self.http.get(f"/api/analytics/{report}", params={**SPAN, **params}, headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def lines(self, **params: Any) -> list[Any]:
        """All pages of the ledger."""
        items: list[Any] = []
        cursor = ""
        while True:
            page = await self.get("ledger", limit=2, cursor=cursor, **params)
            items += page["items"]
            cursor = page.get("nextCursor", "")
            if not cursor:
                return items


@pytest.fixture(scope="module")
async def shop(client: httpx.AsyncClient, make_tenant: TenantMaker) -> Shop:
    """Three buyers who were seen, one who was not, one who paid in euros; a refund and a renewal a month later."""
    tenant = await make_tenant()
    past = History(tenant)
    for name, sources in (
        ("ann", ("youtube", "newsletter", "(direct)")),
        ("bea", ("newsletter", "youtube", "youtube", "google")),
        ("cid", ("=cmd|x",)),
        ("dan", ("google", "youtube")),
    ):
        for number, source in enumerate(sources):
            await past.visit(
                name, at(6, 1 + number), source, medium="" if number % 2 else "video",
                campaign=("spring", "", "summer")[number % 3], content="bio" if number == 1 else "",
                channel="Direct" if source == "(direct)" else "Referral", direct=source == "(direct)",
                email=f"{name}@example.com",
            )  # fmt: skip
    ann = await past.sale("ann@example.com", 10_000, at(6, 10), product="Painting", platform="kajabi")
    bea = await past.sale("bea@example.com", 5_001, at(6, 10, 13), product="Drawing")
    await past.sale("cid@example.com", 777, at(6, 12), product="+SUM(1)")
    await past.sale("dan@example.com", 9_900, at(6, 12), currency="EUR")
    await past.sale(None, 3_000, at(6, 13), product="Painting")
    await past.charge(ann, "refund", 4_000, at(7, 2))
    await past.charge(bea, "renewal", 5_001, at(7, 7))
    await past.credit()
    return Shop(client, tenant)


@each_model
async def test_the_ledger_of_a_row_adds_up_to_the_row(shop: Shop, model: str) -> None:
    report = await shop.get("sources", model=model)
    for row in report["rows"]:
        lines = await shop.lines(model=model, source=row["source"], currency="USD")
        assert sum(line["selectedMinor"] for line in lines) == row["revenueMinor"], row["source"]
        page = await shop.get("ledger", model=model, source=row["source"], currency="USD")
        assert [one["amountMinor"] for one in page["selected"]] == ([row["revenueMinor"]] if lines else [])
        opened = await shop.get(f"drilldown/{row['source']}", model=model)
        for part in opened["rows"]:
            asked = {name: part[name] for name in ("source", "medium", "campaign", "content")}
            lines = await shop.lines(model=model, currency="USD", **asked)
            assert sum(line["selectedMinor"] for line in lines) == part["revenueMinor"], asked
    rest = await shop.lines(model=model, unattributed=True, currency="USD")
    assert sum(line["selectedMinor"] for line in rest) == report["unattributed"]["revenueMinor"] == 3_000


async def test_the_ledger_of_a_channel_a_day_and_a_product_adds_up(shop: Shop) -> None:
    by_channel = await shop.get("models/compare", by="channel")
    for row in by_channel["rows"]:
        lines = await shop.lines(model="linear", channel=row["name"], currency="USD")
        assert sum(line["selectedMinor"] for line in lines) == row["revenueMinor"]["linear"]
    for day in (await shop.get("daily-revenue"))["days"]:
        answer = await shop.http.get(
            "/api/analytics/ledger", params={"day": day["date"], "currency": "USD"}, headers=shop.tenant.headers
        )
        net = sum(line["chargesMinor"] - line["refundsMinor"] for line in answer.json()["items"])
        assert net == day["netRevenueMinor"]
    lines = await shop.lines(product="Painting")
    assert [line["product"] for line in lines] == ["Painting", "Painting"]
    assert [line["platform"] for line in await shop.lines(platform="kajabi")] == ["kajabi"]


async def test_every_credit_says_its_reason_and_every_line_its_evidence(shop: Shop) -> None:
    wanted = {
        "first_touch": {"youtube": "first of 3 touches under First touch"},
        "last_non_direct": {"newsletter": "last of 2 touches that came from somewhere, touch 2 of 3 under Last non-direct touch"},
        "linear": {
            "youtube": "weight 0.3333: touch 1 of 3, each with the same share under Linear",
            "newsletter": "weight 0.3333: touch 2 of 3, each with the same share under Linear",
            "(direct)": "weight 0.3333: touch 3 of 3, each with the same share under Linear",
        },
        "position_based": {
            "youtube": "weight 0.4: position-based first of 3 touches under Position based",
            "newsletter": "weight 0.2: position-based between first and last, touch 2 of 3 under Position based",
            "(direct)": "weight 0.4: position-based last of 3 touches under Position based",
        },
    }  # fmt: skip
    for model, reasons in wanted.items():
        (line,) = await shop.lines(model=model, platform="kajabi")
        assert {credit["source"]: credit["reason"] for credit in line["credits"]} == reasons
        assert (line["match"], line["evidence"]) == ("email", "The buyer gave this e-mail address on your website.")
    (decayed, *_) = (await shop.lines(model="time_decay", platform="kajabi"))[0]["credits"]
    assert "touch 1 of 3, 9.0 days before the purchase under Time decay" in decayed["reason"]
    (unknown,) = await shop.lines(unattributed=True)
    assert (unknown["credits"], unknown["match"]) == ([], "unmatched")


@pytest.mark.parametrize("query", [{"day": "2026-13-01"}, {"person": "nobody"}, {"unattributed": "perhaps"}])
async def test_a_row_that_cannot_be_is_refused_with_its_path(shop: Shop, query: dict[str, str]) -> None:
    answer = await shop.http.get("/api/analytics/ledger", params=query, headers=shop.tenant.headers)
    assert answer.status_code == 422, answer.text
    assert [error["path"] for error in answer.json()["errors"]] == list(query)


NEEDED = {"drilldown": {"source": "youtube"}}
EMPTY = {"goals", "self-reported"}
"""Nothing of theirs is in the past of the shop."""
each_report = pytest.mark.parametrize("report", EXPORTABLE)


async def _file(shop: Shop, report: str, **params: str) -> httpx.Response:
    query = {"report": report, **SPAN, **NEEDED.get(report, {}), **params}
    answer = await shop.http.get("/api/analytics/export", params=query, headers=shop.tenant.headers)
    assert answer.status_code == 200, answer.text
    return answer


@each_report
async def test_every_report_is_a_table_and_a_json_of_the_same(shop: Shop, report: str) -> None:
    rows = list(csv.reader(io.StringIO((await _file(shop, report)).text)))
    assert len({len(row) for row in rows}) == 1
    assert len(rows) > (report not in EMPTY)
    assert len(set(rows[0])) == len(rows[0])
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@"))]
    answer = await _file(shop, report, format="json")
    assert answer.headers["content-type"].startswith("application/json")
    assert '.json"' in answer.headers["content-disposition"]
    assert answer.json()["dateBy"] == "charge"


async def test_tables_have_decimals_and_add_up(shop: Shop) -> None:
    sources = list(csv.DictReader(io.StringIO((await _file(shop, "sources")).text)))
    totals = (await shop.get("sources"))["totals"]
    assert sum(Decimal(row["revenue"]) for row in sources) * 100 == totals["revenueMinor"]
    compared = list(csv.DictReader(io.StringIO((await _file(shop, "compare", by="channel")).text)))
    found = (await shop.get("models/compare", by="channel"))["rows"]
    assert {row["name"]: Decimal(row["revenue_linear"]) * 100 for row in compared} == {
        row["name"]: row["revenueMinor"]["linear"] for row in found
    }
    youtube = list(csv.DictReader(io.StringIO((await _file(shop, "ledger", source="youtube", currency="USD")).text)))
    (row,) = (one for one in (await shop.get("sources"))["rows"] if one["source"] == "youtube")
    assert sum(Decimal(one["amount"]) for one in youtube) * 100 == row["revenueMinor"]
    assert all(one["reason"] for one in youtube)


async def test_a_file_is_of_the_segment_that_was_asked_for(shop: Shop) -> None:
    rows = list(csv.DictReader(io.StringIO((await _file(shop, "purchases", filter="platform:kajabi")).text)))
    assert [(row["product"], row["amount"]) for row in rows] == [("Painting", "100.00")]
    assert (await _file(shop, "summary", format="json", filter="platform:kajabi")).json()["filter"] == "platform:kajabi"


async def test_a_report_that_needs_more_says_so(shop: Shop) -> None:
    for query, path in (({"report": "drilldown"}, "source"), ({"report": "compare", "by": "moon"}, "by")):
        answer = await shop.http.get("/api/analytics/export", params=query, headers=shop.tenant.headers)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["path"] == path


async def test_a_reading_key_reads_every_report_and_changes_nothing(
    shop: Shop, client: httpx.AsyncClient, installation: Runtime
) -> None:
    body = {"name": "reader", "scopes": ["analytics:read"]}
    made = await client.post("/api/api-keys", json=body, headers=shop.tenant.headers)
    headers = {"authorization": f"Bearer {made.json()['key']}"}
    called = 0
    for route in create_litestar(installation, manage_runtime=False).routes:
        if not isinstance(route, HTTPRoute) or not route.path.startswith("/api/analytics"):
            continue
        filled = [
            part if isinstance(part, str) else str(shop.tenant.id) if part.type is UUID else "absent"
            for part in route.path_components
        ]
        url = "/" + "/".join(filled)
        for method in {str(m) for handler in route.route_handlers for m in handler.http_methods} - {"OPTIONS"}:
            answer = await client.request(method, url, headers=headers)
            allowed = method in {"GET", "HEAD"}
            assert (answer.status_code != 403) is allowed, f"{method} {url} {answer.text}"
            assert answer.status_code < 500, f"{method} {url} {answer.text}"
            called += 1
    assert called > 15
    for report in EXPORTABLE:
        query = {"report": report, **NEEDED.get(report, {})}
        assert (await client.get("/api/analytics/export", params=query, headers=headers)).status_code == 200


async def test_models_are_a_range_per_channel(shop: Shop) -> None:
    report = await shop.get("models/compare", by="channel")
    net = report["netRevenueMinor"]
    for row in report["rows"]:
        amounts = row["revenueMinor"].values()
        assert (row["lowestMinor"], row["highestMinor"]) == (min(amounts), max(amounts))
        assert row["spreadMinor"] == max(amounts) - min(amounts)
        assert row["share"] == {slug: round(100 * amount / net, 2) for slug, amount in row["revenueMinor"].items()}
        assert (row["lowestShare"], row["highestShare"]) == (min(row["share"].values()), max(row["share"].values()))
    for model in MODELS:
        credited = sum(row["revenueMinor"][model] for row in report["rows"])
        assert credited + report["unattributedMinor"][model] == net


@each_report
async def test_every_report_answers_every_question(shop: Shop, report: str) -> None:
    everything = {
        "dateBy": "order", "window": "lifetime", "currency": "EUR", "convert": "true",
        "filter": "source:youtube;country!:US;platform!:kajabi;firstSource!:nowhere;buyer:new|returning",
    }  # fmt: skip
    heard = (await _file(shop, report, format="json", **everything)).json()
    assert (heard["dateBy"], heard["window"], heard["rates"]) == ("order", "lifetime", [])
    assert heard["filter"] == everything["filter"]
