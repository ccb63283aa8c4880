"""Lists page completely and stably, files open harmlessly, and hostile text comes out as the text it is."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
MAY = {"from": "2026-05-01", "to": "2026-05-31"}
HOSTILE = (
    "=HYPERLINK(\"http://evil.test\",\"click\")",
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1:A9)",
    "\tx",
    "\r\nx",
    "＝1+1",
    "a\"quoted\",b\r\nnext line",
    "<script>alert(1)</script>",
    "{{ 7*7 }}",
    "\u202eright-to-left",
    "a//b/",
    "..",
    "%2e%2e%2f?x=1#y",
    "x" * 4000,
)  # fmt: skip


@pytest.fixture(scope="module")
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


@pytest.fixture(scope="module")
async def history(tenant: ActingTenant) -> History:
    """25 purchases, five at each of five instants, so that the order within an instant matters."""
    past = History(tenant)
    for number in range(25):
        await past.sale(f"p{number}@example.com", 100 + number, START + timedelta(hours=number // 5))
    await past.credit()
    return past


async def pages(http: httpx.AsyncClient, tenant: ActingTenant, report: str, limit: int) -> list[list[str]]:
    """The ids on every page."""
    found: list[list[str]] = []
    query: dict[str, Any] = {**MAY, "limit": limit}
    while True:
        answer = (await http.get(f"/api/analytics/{report}", params=query, headers=tenant.headers)).json()
        found.append([item["id"] for item in answer["items"]])
        if "nextCursor" not in answer:
            return found
        query["cursor"] = answer["nextCursor"]


@pytest.mark.parametrize("report", ["recent-purchases", "ledger"])
@pytest.mark.parametrize("limit", [1, 7, 25, 200])
async def test_pages_show_everything_once_newest_first(
    client: httpx.AsyncClient, tenant: ActingTenant, history: History, report: str, limit: int
) -> None:
    found = await pages(client, tenant, report, limit)
    ids = [purchase for page in found for purchase in page]
    assert len(ids) == len(set(ids)) == 25
    assert set(ids) == {str(purchase) for purchase in history.purchases}
    assert all(len(page) == limit for page in found[:-1])


async def test_a_new_purchase_neither_repeats_nor_skips_one(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    past = History(tenant)
    for number in range(6):
        await past.sale(f"p{number}@example.com", 100, START + timedelta(hours=number))
    url = "/api/analytics/recent-purchases"
    first = (await client.get(url, params={"limit": 3}, headers=tenant.headers)).json()
    await past.sale("new@example.com", 100, START + timedelta(days=1))
    second = (await client.get(url, params={"limit": 3, "cursor": first["nextCursor"]}, headers=tenant.headers)).json()
    emails = [item["email"] for item in first["items"] + second["items"]]
    assert emails == [f"p{number}@example.com" for number in (5, 4, 3, 2, 1, 0)]
    assert "nextCursor" not in second


@pytest.mark.parametrize("report", ["recent-purchases", "ledger"])
@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "WzEsMl0"}, "cursor"),
    ],
)
async def test_a_page_that_cannot_be_is_refused(
    client: httpx.AsyncClient, tenant: ActingTenant, report: str, query: dict[str, str], path: str
) -> None:
    answer = await client.get(f"/api/analytics/{report}", params=query, headers=tenant.headers)
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == [path]


async def test_a_purchase_of_which_only_facts_are_known_is_not_listed(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    past = History(tenant)
    await past.sale("free@example.com", 0, START)
    answer = (await client.get("/api/analytics/recent-purchases", headers=tenant.headers)).json()
    assert answer["items"] == []


# -- files -------------------------------------------------------------------------------------------------------------


async def export(http: httpx.AsyncClient, tenant: ActingTenant, report: str, **query: str) -> httpx.Response:
    return await http.get("/api/analytics/export", params={"report": report, **MAY, **query}, headers=tenant.headers)


def rows_of(answer: httpx.Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline=""), strict=True))


async def test_an_export_is_a_csv_attachment(client: httpx.AsyncClient, tenant: ActingTenant, history: History) -> None:
    answer = await export(client, tenant, "ledger")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == (
        'attachment; filename="coursesignal-ledger-2026-05-01-to-2026-05-31.csv"'
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content.endswith(b"\r\n")
    rows = rows_of(answer)
    assert len(rows) == 25
    assert sum(round(100 * float(row["amount"])) for row in rows) == sum(100 + number for number in range(25))


@pytest.mark.parametrize(("currency", "amount"), [("JPY", "1234"), ("USD", "12.34"), ("BHD", "1.234")])
async def test_amounts_are_decimal_by_their_currency(
    client: httpx.AsyncClient, make_tenant: TenantMaker, currency: str, amount: str
) -> None:
    tenant = await make_tenant(currency=currency)
    past = History(tenant)
    sale = await past.sale("a@example.com", 1_234, START, currency=currency)
    await past.charge(sale, "refund", 1_234, START + timedelta(days=1), currency=currency)
    days = {row["date"]: row for row in rows_of(await export(client, tenant, "daily"))}
    assert len(days) == 31
    assert (days["2026-05-01"]["revenue"], days["2026-05-01"]["currency"]) == (amount, currency)
    assert days["2026-05-02"]["net_revenue"] == f"-{amount}"


async def test_an_unknown_report_is_refused(client: httpx.AsyncClient, tenant: ActingTenant) -> None:
    answer = await export(client, tenant, "people")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "report"


# -- hostile text ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def attacked(make_tenant: TenantMaker) -> ActingTenant:
    """Every hostile text as source, campaign and product of a purchase of 1.00."""
    tenant = await make_tenant()
    past = History(tenant)
    for number, text in enumerate(HOSTILE):
        email = f"v{number}@example.com"
        await past.visit(
            f"v{number}", START, text, channel=text, campaign=text, medium=text, email=email, landing_url=text
        )
        await past.sale(email, 100, START + timedelta(hours=1), product=text)
    await past.credit()
    return tenant


async def test_hostile_sources_come_back_literally_in_json(client: httpx.AsyncClient, attacked: ActingTenant) -> None:
    answer = await client.get("/api/analytics/sources", params=MAY, headers=attacked.headers)
    assert answer.headers["content-type"].startswith("application/json")
    assert {row["source"] for row in answer.json()["rows"]} == set(HOSTILE)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_source_can_be_opened(client: httpx.AsyncClient, attacked: ActingTenant, text: str) -> None:
    url = f"/api/analytics/drilldown/{quote(text, safe='').replace('.', '%2E')}"
    answer = await client.get(url, params=MAY, headers=attacked.headers)
    assert answer.status_code == 200
    assert [(row["source"], row["campaign"], row["revenueMinor"]) for row in answer.json()["rows"]] == [
        (text, text, 100)
    ]


@pytest.mark.parametrize("report", ["sources", "ledger"])
async def test_no_cell_of_an_export_is_a_formula(
    client: httpx.AsyncClient, attacked: ActingTenant, report: str
) -> None:
    answer = await export(client, attacked, report)
    rows = rows_of(answer)
    numbers = {
        "revenue",
        "charged",
        "refunded",
        "amount",
        "average_order",
        "revenue_per_visitor",
        "conversion_rate",
        "weight",
    }
    for row in rows:
        for column, cell in row.items():
            if column not in numbers:
                assert not cell.startswith(tuple("=+-@\t\r\n＝＋－＠")), (column, cell)
    sources = {row["source"].removeprefix("'") for row in rows}
    assert set(HOSTILE) <= sources
