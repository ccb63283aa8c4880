"""Reports in one currency at the tenant's own rates: every charge at the rate of its day, credits to the last unit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

SPAN = {"from": "2026-06-01", "to": "2026-07-31"}
MODELS = ("first_touch", "linear", "position_based", "time_decay")
RATES = "/api/analytics/rates"


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

    async def put(self, path: str, **body: Any) -> httpx.Response:
        return await self.http.put(f"{RATES}/{path}", json=body, headers=self.tenant.headers)


@pytest.fixture(scope="module")
async def shop(client: httpx.AsyncClient, make_tenant: TenantMaker) -> Shop:
    """10.00 $; 99.99 € at 1.1, of which 33.33 € go back at 1.25; 1,001 ¥ at 0.0067; 5.00 £ without a rate; euros before any."""
    tenant = await make_tenant(time_zone="America/New_York")
    past = History(tenant)
    for number, source in enumerate(("youtube", "newsletter", "google")):
        await past.visit("ann", at(6, 1 + number), source, channel="Referral", email="ann@example.com")
    await past.sale("ann@example.com", 1_000, at(6, 10))
    euros = await past.sale("ann@example.com", 9_999, at(6, 11), currency="EUR", platform="kajabi")
    await past.charge(euros, "refund", 3_333, at(7, 2), currency="EUR")
    await past.sale("ann@example.com", 1_001, at(6, 12), currency="JPY")
    await past.sale("ann@example.com", 500, at(6, 13), currency="GBP")
    await past.sale("ann@example.com", 700, at(6, 5), currency="EUR")
    await past.credit()
    mine = Shop(client, tenant)
    for path, rate in (("EUR/2026-06-08", 1.1), ("EUR/2026-07-01", 1.25), ("JPY/2026-06-01", 0.0067)):
        assert (await mine.put(path, rate=rate)).status_code == 200
    return mine


# 9,999 × 1.1 = 10,998.9; 3,333 × 1.25 = 4,166.25; 1,001 whole yen × 0.0067 = 6.7067 $
CHARGED, REFUNDED = 1_000 + 10_999 + 671, 4_166


async def test_every_charge_is_converted_at_the_rate_of_its_day(shop: Shop) -> None:
    summary = await shop.get("summary", convert=True)
    assert (summary["revenueMinor"], summary["refundedMinor"], summary["purchases"]) == (CHARGED, REFUNDED, 3)
    assert summary["rates"] == [
        {"currency": "EUR", "rate": 1.1, "validFrom": "2026-06-08"},
        {"currency": "EUR", "rate": 1.25, "validFrom": "2026-07-01"},
        {"currency": "JPY", "rate": 0.0067, "validFrom": "2026-06-01"},
    ]
    assert summary["withoutRate"] == ["EUR", "GBP"]
    assert [(one["currency"], one["netRevenueMinor"]) for one in summary["otherCurrencies"]] == [
        ("EUR", 700),
        ("GBP", 500),
    ]
    july = await shop.get("summary", convert=True, **{"from": "2026-07-01", "to": "2026-07-31"})
    assert [rate["validFrom"] for rate in july["rates"]] == ["2026-07-01"]


async def test_without_being_asked_nothing_is_converted(shop: Shop) -> None:
    summary = await shop.get("summary")
    assert (summary["revenueMinor"], summary["refundedMinor"]) == (1_000, 0)
    assert "rates" not in summary
    assert [one["currency"] for one in summary["otherCurrencies"]] == ["EUR", "GBP", "JPY"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("more", [{}, {"dateBy": "order"}, {"window": "14"}, {"filter": "platform:kajabi"}])
async def test_converted_credits_add_up_to_the_unit(shop: Shop, model: str, more: dict[str, str]) -> None:
    report = await shop.get("sources", model=model, convert=True, **more)
    for name in ("revenueMinor", "chargedMinor", "refundedMinor"):
        assert sum(row[name] for row in report["rows"]) + report["unattributed"][name] == report["totals"][name]
    assert report["unattributed"]["revenueMinor"] == 0
    kajabi = 10_999 - REFUNDED
    assert report["totals"]["revenueMinor"] == (kajabi if "filter" in more else CHARGED - REFUNDED)
    reconciled = await shop.get("reconciliation", model=model, convert=True, **more)
    assert reconciled["balanced"]
    for row in report["rows"]:
        page = await shop.get("ledger", model=model, source=row["source"], convert=True, currency="USD", **more)
        assert sum(line["selectedMinor"] for line in page["items"]) == row["revenueMinor"]
    compared = await shop.get("models/compare", convert=True, **more)
    found = {row["name"]: row["revenueMinor"][model] for row in compared["rows"]}
    assert {row["source"]: found.get(row["source"], 0) for row in report["rows"]} == {
        row["source"]: row["revenueMinor"] for row in report["rows"]
    }


async def test_purchases_are_shown_converted_where_all_of_their_money_has_a_rate(shop: Shop) -> None:
    items = (await shop.get("recent-purchases", convert=True))["items"]
    assert sorted((item["currency"], item["amountMinor"], item["refundedMinor"]) for item in items) == [
        ("EUR", 700, 0), ("GBP", 500, 0), ("USD", 671, 0), ("USD", 1_000, 0), ("USD", 10_999, REFUNDED),
    ]  # fmt: skip


async def test_a_rate_into_another_currency_serves_reports_in_that_one(shop: Shop) -> None:
    assert (await shop.put("USD/2026-01-01", rate=0.9, base="EUR")).status_code == 200
    report = await shop.get("summary", convert=True, currency="EUR")
    assert report["currency"] == "EUR"
    assert report["revenueMinor"] == 9_999 + 700 + 900
    assert report["withoutRate"] == ["GBP", "JPY"]


async def test_rates_are_set_listed_deleted_and_audited(shop: Shop) -> None:
    assert (await shop.put("CHF/2026-06-01", rate=1.2)).status_code == 200
    assert (await shop.put("CHF/2026-06-01", rate=1.3)).status_code == 200
    listed = (await shop.http.get(RATES, headers=shop.tenant.headers)).json()
    assert {"base": "USD", "currency": "CHF", "validFrom": "2026-06-01", "rate": 1.3} in listed
    url = f"{RATES}/CHF/2026-06-01"
    assert (await shop.http.delete(url, headers=shop.tenant.headers)).status_code == 204
    assert (await shop.http.delete(url, headers=shop.tenant.headers)).status_code == 404
    audited = (await shop.http.get("/api/audit", headers=shop.tenant.headers)).json()["items"]
    actions = [entry["action"] for entry in audited if entry["subject"] == "CHF/USD"]
    assert actions == ["rate.deleted", "rate.set", "rate.set"]


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("EUR/2026-06-31", {"rate": 1.0}, "validFrom"),
        ("EURO/2026-06-01", {"rate": 1.0}, "currency"),
        ("USD/2026-06-01", {"rate": 1.0}, "currency"),
        ("EUR/2026-06-01", {"rate": 0}, "rate"),
        ("EUR/2026-06-01", {"rate": -1.5}, "rate"),
        ("EUR/2026-06-01", {"rate": 1e300}, "rate"),
        ("EUR/2026-06-01", {"rate": "much"}, "rate"),
    ],
)
async def test_a_rate_that_is_none_is_refused_with_its_path(shop: Shop, path: str, body: Any, wrong: str) -> None:
    answer = await shop.put(path, **body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["path"] == wrong
