"""A small ledger computed by hand, read back through every report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

JUNE = {"from": "2026-06-01", "to": "2026-06-30"}
JULY = {"from": "2026-07-01", "to": "2026-07-31"}
MODELS = ("first_touch", "last_touch", "last_non_direct", "linear")


def at(month: int, day: int, hour: int = 12) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


@dataclass
class Shop:
    """The ledger of the module docstring's shop and how to ask about it."""

    http: httpx.AsyncClient
    tenant: ActingTenant
    ann: UUID
    bea: UUID
    cid: UUID

    async def get(self, report: str, **params: str) -> Any:
        answer = await self.http.get(f"/api/analytics/{report}", params=params, headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
async def shop(client: httpx.AsyncClient, make_tenant: TenantMaker) -> Shop:
    """June: Ann pays 100.00 after youtube and direct, Bea 50.01 after youtube, newsletter and instagram, an unknown buyer 30.00,
    Cid 99.00 in euros. July: Ann gets 40.00 back, Bea's renewal of 50.00 comes. Two visitors buy nothing.
    """
    tenant = await make_tenant()
    past = History(tenant)
    await past.visit(
        "ann", at(6, 1), "youtube", channel="Organic Video", campaign="spring", medium="video", email="ann@example.com"
    )
    await past.visit("ann-phone", at(6, 3), "(direct)", channel="Direct", direct=True, email="ann@example.com")
    ann = await past.sale("ann@example.com", 10_000, at(6, 3, 13), product="Painting")
    await past.visit("bea", at(6, 2), "youtube", channel="Organic Video", campaign="summer", email="bea@example.com")
    await past.visit("bea", at(6, 4), "newsletter", channel="Email")
    await past.visit("bea", at(6, 6), "instagram", channel="Organic Social")
    bea = await past.sale("bea@example.com", 5_001, at(6, 7), product="Drawing")
    await past.sale(None, 3_000, at(6, 8))
    await past.visit("cid", at(6, 9), "youtube", channel="Organic Video", email="cid@example.com")
    cid = await past.sale("cid@example.com", 9_900, at(6, 9, 13), currency="EUR", platform="kajabi")
    await past.visit("dan", at(6, 10), "instagram", channel="Organic Social")
    await past.visit("eve", at(6, 11), "pinterest", channel="Organic Social")
    await past.charge(ann, "refund", 4_000, at(7, 2))
    await past.charge(bea, "renewal", 5_000, at(7, 7))
    await past.credit()
    return Shop(client, tenant, ann, bea, cid)


async def test_the_summary_has_every_number_of_the_hand_written_ledger(shop: Shop) -> None:
    june = await shop.get("summary", **JUNE)
    assert june == {
        "from": "2026-06-01",
        "to": "2026-06-30",
        "timeZone": "UTC",
        "currency": "USD",
        "model": "last_non_direct",
        "dateBy": "charge",
        "window": 90,
        "source": None,
        "revenueMinor": 18_001,
        "refundedMinor": 0,
        "netRevenueMinor": 18_001,
        "purchases": 3,
        "students": 3,
        "averageOrderMinor": 6_000,
        "visitors": 6,
        "conversionRate": 50.0,
        "matchRate": 66.67,
        "unattributedMinor": 3_000,
        "trends": {
            "revenue": None, "netRevenue": None, "students": None, "averageOrder": None, "purchases": None, "visitors": None,
        },
        "otherCurrencies": [
            {"currency": "EUR", "revenueMinor": 9_900, "refundedMinor": 0, "netRevenueMinor": 9_900, "purchases": 1}
        ],
    }  # fmt: skip


async def test_a_refund_counts_on_its_own_day_and_trends_compare_with_the_period_before(shop: Shop) -> None:
    july = await shop.get("summary", **JULY)
    assert (july["revenueMinor"], july["refundedMinor"], july["netRevenueMinor"]) == (5_000, 4_000, 1_000)
    assert (july["purchases"], july["students"], july["averageOrderMinor"]) == (1, 1, 5_000)
    assert (july["visitors"], july["conversionRate"]) == (0, None)
    # 31 days before 1 July begin on 31 May: all of June's money.
    assert july["trends"]["revenue"] == round(100 * (5_000 - 18_001) / 18_001, 2)
    assert july["trends"]["students"] == round(100 * (1 - 3) / 3, 2)
    assert july["trends"]["averageOrder"] == round(100 * (5_000 - 6_000) / 6_000, 2)


async def test_sources_add_up_under_last_non_direct(shop: Shop) -> None:
    report = await shop.get("sources", **JUNE)
    rows = {row["source"]: row for row in report["rows"]}
    assert list(rows) == ["youtube", "instagram", "(direct)", "newsletter", "pinterest"]
    assert rows["youtube"] == {
        "source": "youtube",
        "channel": "Organic Video",
        "visitors": 3,
        "revenueMinor": 10_000,
        "chargedMinor": 10_000,
        "refundedMinor": 0,
        "students": 1,
        "purchases": 1,
        "conversionRate": 33.33,
        "averageOrderMinor": 10_000,
        "revenuePerVisitorMinor": 3_333,
    }
    assert (rows["instagram"]["revenueMinor"], rows["instagram"]["visitors"]) == (5_001, 2)
    assert rows["pinterest"]["purchases"] == 0
    assert rows["pinterest"]["averageOrderMinor"] is None
    assert report["unattributed"] == {
        "revenueMinor": 3_000, "chargedMinor": 3_000, "refundedMinor": 0, "purchases": 1, "students": 1,
    }  # fmt: skip
    assert report["totals"]["visitors"] == 6
    assert report["totals"]["purchases"] == 3


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("period", [JUNE, JULY, {"range": "all"}], ids=["june", "july", "all"])
async def test_rows_and_unattributed_are_the_totals_and_the_summary(
    shop: Shop, model: str, period: dict[str, str]
) -> None:
    report = await shop.get("sources", model=model, **period)
    summary = await shop.get("summary", model=model, **period)
    daily = await shop.get("daily-revenue", **period)
    for column in ("revenueMinor", "chargedMinor", "refundedMinor"):
        assert sum(row[column] for row in report["rows"]) + report["unattributed"][column] == report["totals"][column]
    assert (
        report["totals"]["revenueMinor"]
        == summary["netRevenueMinor"]
        == sum(d["netRevenueMinor"] for d in daily["days"])
    )
    assert summary["revenueMinor"] == sum(day["revenueMinor"] for day in daily["days"])
    assert summary["unattributedMinor"] == report["unattributed"]["revenueMinor"]
    assert report["model"] == summary["model"] == model


async def test_a_model_that_shares_counts_a_purchase_in_each_row_and_once_in_all(shop: Shop) -> None:
    report = await shop.get("sources", model="linear", **JUNE)
    rows = {row["source"]: (row["revenueMinor"], row["purchases"]) for row in report["rows"] if row["purchases"]}
    assert rows == {
        "youtube": (5_000 + 1_667, 2),
        "(direct)": (5_000, 1),
        "newsletter": (1_667, 1),
        "instagram": (1_667, 1),
    }
    assert report["totals"]["purchases"] == 3


async def test_a_refund_takes_back_what_its_sale_gave(shop: Shop) -> None:
    report = await shop.get("sources", model="linear", **JULY)
    rows = {row["source"]: (row["chargedMinor"], row["refundedMinor"], row["revenueMinor"]) for row in report["rows"]}
    assert rows["youtube"] == (1_667, 2_000, -333)
    assert rows["(direct)"] == (0, 2_000, -2_000)


async def test_the_summary_of_one_source_is_its_row(shop: Shop) -> None:
    summary = await shop.get("summary", source="youtube", **JUNE)
    row = next(r for r in (await shop.get("sources", **JUNE))["rows"] if r["source"] == "youtube")
    for name in ("purchases", "students", "visitors", "conversionRate", "averageOrderMinor"):
        assert summary[name] == row[name], name
    assert summary["netRevenueMinor"] == row["revenueMinor"]
    assert (summary["unattributedMinor"], summary["source"]) == (0, "youtube")
    assert summary["otherCurrencies"][0]["revenueMinor"] == 9_900


async def test_drilldown_splits_a_source_by_campaign(shop: Shop) -> None:
    report = await shop.get("drilldown/youtube", model="first_touch", **JUNE)
    rows = [(r["medium"], r["campaign"], r["revenueMinor"], r["visitors"], r["purchases"]) for r in report["rows"]]
    assert rows == [("video", "spring", 10_000, 1, 1), ("", "summer", 5_001, 1, 1), ("", "", 0, 1, 0)]
    assert report["totals"]["revenueMinor"] == 15_001
    assert report["totals"]["visitors"] == 3
    sources = await shop.get("sources", model="first_touch", **JUNE)
    row = next(r for r in sources["rows"] if r["source"] == "youtube")
    assert {name: row[name] for name in report["totals"]} == report["totals"]


async def test_drilldown_of_a_source_that_never_was_is_empty(shop: Shop) -> None:
    report = await shop.get("drilldown/nowhere", **JUNE)
    assert report["rows"] == []
    assert report["totals"]["revenueMinor"] == 0


async def test_reconciliation_is_zero_for_every_model_platform_and_currency(shop: Shop) -> None:
    for model in MODELS:
        report = await shop.get("reconciliation", range="all", model=model)
        assert report["balanced"] is True
        rows = {(r["currency"], r["platform"]): r for r in report["rows"]}
        assert rows["EUR", "kajabi"]["creditedMinor"] == 9_900
        usd = rows["USD", "teachable"]
        assert (usd["chargesMinor"], usd["refundsMinor"], usd["unattributedMinor"]) == (23_001, 4_000, 3_000)
        assert usd["creditedMinor"] == 23_001 - 4_000 - 3_000
        assert usd["differenceMinor"] == 0


async def test_reconciliation_shows_a_credit_that_is_off_by_one(shop: Shop) -> None:
    forge = "update credits set amount_minor = amount_minor + $3 where tenant_id = $1 and purchase_id = $2 and model = 'linear'"
    async with shop.tenant.transaction() as conn:
        await conn.execute(forge, shop.tenant.id, shop.cid, 1)
    try:
        report = await shop.get("reconciliation", range="all", model="linear")
    finally:
        async with shop.tenant.transaction() as conn:
            await conn.execute(forge, shop.tenant.id, shop.cid, -1)
    assert report["balanced"] is False
    assert [row["differenceMinor"] for row in report["rows"]] == [-1, 0]


async def test_the_ledger_lists_the_purchases_whose_money_moved(shop: Shop) -> None:
    july = await shop.get("ledger", model="linear", **JULY)
    assert [item["id"] for item in july["items"]] == [str(shop.bea), str(shop.ann)]
    renewal, refund = july["items"]
    assert (renewal["chargesMinor"], renewal["refundsMinor"], renewal["creditedMinor"]) == (5_000, 0, 5_000)
    assert [credit["source"] for credit in renewal["credits"]] == ["youtube", "newsletter", "instagram"]
    assert sorted(credit["amountMinor"] for credit in renewal["credits"]) == [1_666, 1_667, 1_667]
    assert (refund["chargesMinor"], refund["refundsMinor"], refund["creditedMinor"]) == (0, 4_000, -4_000)
    assert "nextCursor" not in july


async def test_the_ledger_of_a_source_has_its_purchases_only(shop: Shop) -> None:
    items = (await shop.get("ledger", source="instagram", **JUNE))["items"]
    assert [item["id"] for item in items] == [str(shop.bea)]


async def test_the_ledger_says_what_is_unattributed(shop: Shop) -> None:
    items = (await shop.get("ledger", **JUNE))["items"]
    unknown = next(item for item in items if item["email"] is None)
    assert (unknown["unattributedMinor"], unknown["credits"], unknown["source"]) == (3_000, [], None)


async def test_recent_purchases_name_the_source_with_the_most_credit(shop: Shop) -> None:
    items = (await shop.get("recent-purchases"))["items"]
    assert [item["purchasedAt"] for item in items] == sorted((item["purchasedAt"] for item in items), reverse=True)
    ann = next(item for item in items if item["id"] == str(shop.ann))
    assert ann == {
        "id": str(shop.ann),
        "platform": "teachable",
        "amountMinor": 10_000,
        "refundedMinor": 4_000,
        "currency": "USD",
        "product": "Painting",
        "email": "ann@example.com",
        "source": "youtube",
        "channel": "Organic Video",
        "purchasedAt": "2026-06-03T13:00:00Z",
        "status": "partially_refunded",
        "matched": True,
        "match": "email",
    }


async def test_a_purchase_explains_itself(shop: Shop) -> None:
    detail = await shop.get(f"purchases/{shop.ann}")
    assert [charge["amountMinor"] for charge in detail["charges"]] == [10_000, -4_000]
    assert (detail["netMinor"], detail["match"]) == (6_000, "email")
    assert detail["person"]["email"] == "ann@example.com"
    assert [(i["kind"], i["evidence"]) for i in detail["person"]["identifiers"]] == [("email", "identify")]
    assert [(t["source"], t["medium"], t["campaign"], t["inWindow"]) for t in detail["path"]] == [
        ("youtube", "video", "spring", True),
        ("(direct)", "", "", True),
    ]
    assert detail["path"][0]["landingUrl"] == "https://example.com/"
    credits = {c["model"]: c for c in detail["credits"]}
    assert detail["credits"][0]["model"] == "last_non_direct"
    assert set(MODELS) <= set(credits)
    assert [(t["source"], t["amountMinor"], t["weight"]) for t in credits["linear"]["touches"]] == [
        ("youtube", 3_000, 0.5), ("(direct)", 3_000, 0.5),
    ]  # fmt: skip
    assert all(c["creditedMinor"] + c["unattributedMinor"] == 6_000 for c in detail["credits"])


async def test_an_absent_purchase_and_another_tenants_are_the_same_404(shop: Shop, make_tenant: TenantMaker) -> None:
    other = await make_tenant()
    url = "/api/analytics/purchases/{}"
    theirs = await shop.http.get(url.format(shop.ann), headers=other.headers)
    absent = await shop.http.get(url.format(uuid4()), headers=other.headers)
    assert theirs.status_code == absent.status_code == 404
    assert theirs.content == absent.content


async def test_models_lists_what_model_may_be_the_default_first(shop: Shop) -> None:
    models = await shop.get("models")
    assert [model["slug"] for model in models if model["default"]] == ["last_non_direct"]
    assert models[0]["default"] is True
    assert set(MODELS) <= {model["slug"] for model in models}
    assert all(model["name"] and model["description"] for model in models)


async def test_the_tenants_default_model_is_used_without_model(shop: Shop, make_tenant: TenantMaker) -> None:
    tenant = await make_tenant()
    async with tenant.runtime.database.control() as conn:
        await conn.execute("update tenants set default_model = 'linear' where id = $1", tenant.id)
    answer = await shop.http.get("/api/analytics/summary", headers=tenant.headers)
    assert answer.json()["model"] == "linear"


async def test_reports_of_a_tenant_with_nothing_are_zeros_and_nulls(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    for range_ in ("7d", "30d", "90d", "all"):
        answer = await client.get("/api/analytics/summary", params={"range": range_}, headers=tenant.headers)
        summary = answer.json()
        assert (summary["revenueMinor"], summary["averageOrderMinor"], summary["matchRate"]) == (0, None, None)
    sources = (await client.get("/api/analytics/sources", headers=tenant.headers)).json()
    assert sources["rows"] == []
    days = (await client.get("/api/analytics/daily-revenue", params={"range": "7d"}, headers=tenant.headers)).json()[
        "days"
    ]
    assert len(days) == 7
    assert days[-1]["date"] == datetime.now(UTC).date().isoformat()


async def test_nothing_of_one_tenant_is_in_anothers_reports(shop: Shop, make_tenant: TenantMaker) -> None:
    other = await make_tenant()
    past = History(other)
    await past.visit("ann", at(6, 1), "facebook", email="ann@example.com")
    await past.sale("ann@example.com", 700, at(6, 2))
    await past.credit()
    answer = await shop.http.get("/api/analytics/sources", params=JUNE, headers=other.headers)
    assert [(row["source"], row["revenueMinor"]) for row in answer.json()["rows"]] == [("facebook", 700)]
    mine = await shop.get("sources", **JUNE)
    assert "facebook" not in {row["source"] for row in mine["rows"]}


async def test_a_touch_older_than_the_window_is_shown_and_not_credited(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    past = History(tenant)
    await past.visit("old", at(6, 1) - timedelta(days=91), "podcast", email="old@example.com")
    await past.visit("old", at(5, 20), "youtube")
    sale = await past.sale("old@example.com", 100, at(6, 1))
    await past.credit()
    detail = (await client.get(f"/api/analytics/purchases/{sale}", headers=tenant.headers)).json()
    assert [(touch["source"], touch["inWindow"]) for touch in detail["path"]] == [("podcast", False), ("youtube", True)]
    first = next(c for c in detail["credits"] if c["model"] == "first_touch")
    assert [touch["source"] for touch in first["touches"]] == ["youtube"]
