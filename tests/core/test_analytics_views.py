"""Every report under segments, filters and the other date: what is narrowed still adds up, and the parts make the whole."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from coursesignal.analytics.views import Definition, View
from coursesignal.attribution.service import credit
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
SPAN = {"from": "2026-03-01", "to": "2026-09-30"}
SOURCES = ("youtube", "newsletter", "google", "(direct)")
MODELS = ("first_touch", "last_non_direct", "linear")
FILTERS = [
    "source:youtube",
    "source:youtube|newsletter",
    "source!:youtube",
    "source:youtube;campaign:spring",
    "campaign:s*",
    "channel:Organic*;platform:kajabi",
    "platform:kajabi",
    "product:Painting",
    "product!:Painting;source!:google",
    "match:unmatched",
    "currency:EUR",
    "buyer:new",
    "buyer:returning",
    "coupon:early*",
    "firstSource:google",
    "firstSource!:google;buyer:new",
    "landing:/course*;device:mobile",
    "country:DE|CH;source!:google",
]
each_filter = pytest.mark.parametrize("narrowed", FILTERS)


@dataclass
class Shop:
    """A tenant with a past, and how to ask about it."""

    http: httpx.AsyncClient
    tenant: ActingTenant

    async def get(self, report: str, /, *, status: int = 200, **params: Any) -> Any:
        answer = await self.http.get(f"/api/analytics/{report}", params={**SPAN, **params}, headers=self.tenant.headers)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture(scope="module")
async def shop(client: httpx.AsyncClient, make_tenant: TenantMaker) -> Shop:
    """Forty purchases of a dozen buyers with several browsers, and of buyers nobody saw; refunds and renewals a while after."""
    rng, tenant = random.Random(7), await make_tenant()
    past = History(tenant)
    emails = [f"buyer{n}@example.com" for n in range(12)]
    owners = {f"browser{n}": rng.choice([*emails, None]) for n in range(24)}
    for _ in range(70):
        visitor, source = rng.choice(list(owners)), rng.choice(SOURCES)
        await past.visit(
            visitor, _moment(rng), source, campaign=rng.choice(["", "spring", "summer", "autumn"]),
            channel="Direct" if source == "(direct)" else "Organic Video" if source == "youtube" else "Email",
            direct=source == "(direct)", email=owners[visitor],
        )  # fmt: skip
    for _ in range(40):
        await _buy(rng, past, rng.choice([*emails, None]))
    await past.credit()
    async with tenant.transaction() as conn:
        await conn.execute(
            "update touches set landing_path = case when campaign = 'spring' then '/course/a' else '/blog' end "
            "where tenant_id = $1", tenant.id,
        )  # fmt: skip
        await conn.execute(
            "update sessions set country = (array['DE', 'CH', 'US'])[1 + extract(day from started_at)::int % 3], "
            "device = case when extract(hour from started_at) < 12 then 'mobile' else 'desktop' end where tenant_id = $1",
            tenant.id,
        )
        await conn.execute(
            "update purchases set hints = jsonb_build_object('coupon', 'EARLY20') where tenant_id = $1 and charged_minor % 3 = 0",
            tenant.id,
        )
    return Shop(client, tenant)


async def _buy(rng: random.Random, past: History, email: str | None) -> None:
    at, currency = _moment(rng), rng.choice(["USD", "USD", "EUR"])
    platform, product = rng.choice(["kajabi", "teachable"]), rng.choice(["Painting", "Drawing"])
    amount = rng.randint(1, 50_000)
    bought = await past.sale(email, amount, at, currency=currency, platform=platform, product=product)
    for kind in rng.sample(["renewal", "refund", "dispute"], k=rng.choice([0, 0, 1, 2])):
        later = at + timedelta(days=rng.uniform(1, 50))
        await past.charge(bought, kind, rng.randint(1, amount), later, currency=currency)


def _moment(rng: random.Random) -> datetime:
    return BEGIN + timedelta(seconds=rng.randrange(120 * 86_400), microseconds=rng.randrange(10**6))


MONEY = ("revenueMinor", "chargedMinor", "refundedMinor", "purchases")


@each_filter
async def test_a_segment_adds_up_and_with_its_complement_is_everything(shop: Shop, narrowed: str) -> None:
    saved = await _save(shop, narrowed)
    for model in MODELS:
        whole = await shop.get("sources", model=model)
        mine = await shop.get("sources", model=model, filter=narrowed)
        rest = await shop.get("sources", model=model, segment=f"!{saved}")
        for report in (mine, rest):
            _adds_up(report)
        for name in MONEY:
            assert mine["totals"][name] + rest["totals"][name] == whole["totals"][name]
            assert mine["unattributed"][name] + rest["unattributed"][name] == whole["unattributed"][name]
        for source in {row["source"] for row in whole["rows"]}:
            assert _money(mine, source) + _money(rest, source) == _money(whole, source)


def _adds_up(report: Any) -> None:
    for name in ("revenueMinor", "chargedMinor", "refundedMinor"):
        assert sum(row[name] for row in report["rows"]) + report["unattributed"][name] == report["totals"][name]


def _money(report: Any, source: str) -> int:
    return sum(int(row["revenueMinor"]) for row in report["rows"] if row["source"] == source)


async def _save(shop: Shop, narrowed: str) -> str:
    """The filter as a segment; reused when it is there."""
    conditions = []
    for part in narrowed.split(";"):
        field, values = part.split(":")
        operator = "isNot" if field.endswith("!") else "is"
        conditions.append({"field": field.rstrip("!"), "operator": operator, "values": values.split("|")})
    slug = f"s{FILTERS.index(narrowed)}"
    body = {"name": narrowed, "slug": slug, "filter": {"conditions": conditions}}
    answer = await shop.http.post("/api/analytics/segments", json=body, headers=shop.tenant.headers)
    assert answer.status_code in {201, 409}, answer.text
    return slug


@pytest.mark.parametrize("narrowed", FILTERS[::2])
async def test_every_report_tells_the_same_of_a_segment(shop: Shop, narrowed: str) -> None:
    sources = await shop.get("sources", filter=narrowed)
    summary = await shop.get("summary", filter=narrowed)
    assert summary["netRevenueMinor"] == sources["totals"]["revenueMinor"]
    assert summary["visitors"] == sources["totals"]["visitors"]
    daily = await shop.get("daily-revenue", filter=narrowed)
    assert sum(day["netRevenueMinor"] for day in daily["days"]) == summary["netRevenueMinor"]
    compared = await shop.get("models/compare", filter=narrowed)
    assert compared["netRevenueMinor"] == summary["netRevenueMinor"]
    for row in sources["rows"]:
        opened = await shop.get(f"drilldown/{row['source']}", filter=narrowed)
        assert opened["totals"]["revenueMinor"] == row["revenueMinor"]
        assert opened["totals"]["visitors"] == row["visitors"]
    reconciled = await shop.get("reconciliation", filter=narrowed)
    assert reconciled["balanced"]
    mine = [row for row in reconciled["rows"] if row["currency"] == "USD"]
    assert sum(row["chargesMinor"] - row["refundsMinor"] for row in mine) == summary["netRevenueMinor"]
    ledger = await shop.get("ledger", filter=narrowed, limit=200)
    lines = [line for line in ledger["items"] if line["currency"] == "USD"]
    assert sum(line["chargesMinor"] - line["refundsMinor"] for line in lines) == summary["netRevenueMinor"]


async def test_by_order_all_money_of_a_purchase_counts_on_its_day(shop: Shop) -> None:
    async with shop.tenant.transaction() as conn:
        rows = await conn.fetch(
            "select p.purchased_at::date as day, sum(c.amount_minor)::bigint as net from charges c "
            "join purchases p on p.tenant_id = c.tenant_id and p.id = c.purchase_id "
            "where c.tenant_id = $1 and c.currency = 'USD' group by 1", shop.tenant.id,
        )  # fmt: skip
    wanted = {str(row["day"]): row["net"] for row in rows}
    daily = await shop.get("daily-revenue", dateBy="order")
    assert daily["dateBy"] == "order"
    assert {d["date"]: d["netRevenueMinor"] for d in daily["days"] if d["date"] in wanted} == wanted
    assert sum(d["netRevenueMinor"] for d in daily["days"]) == sum(wanted.values())
    by_charge = await shop.get("daily-revenue")
    assert [d["netRevenueMinor"] for d in daily["days"]] != [d["netRevenueMinor"] for d in by_charge["days"]]
    for model in MODELS:
        april: dict[str, Any] = {"from": "2026-04-01", "to": "2026-04-30"}
        _adds_up(await shop.get("sources", model=model, dateBy="order", **april))


async def test_another_window_answers_as_if_it_were_the_tenants(shop: Shop) -> None:
    """Every report that reads credits, before and after the tenant makes the window its own."""
    reports = ("sources", "drilldown/youtube", "ledger", "models/compare", "students", "journeys", "reconciliation")
    asked = [(report, model) for report in reports for model in MODELS]
    own = {one: await shop.get(one[0], model=one[1]) for one in asked}
    for window in ("7", "lifetime"):
        found = {one: await shop.get(one[0], model=one[1], window=window) for one in asked}
        assert own != found
        for model in MODELS:
            _adds_up(found["sources", model])
        await _look_back(shop, 7 if window == "7" else 3_650)
        told = {one: await shop.get(one[0], model=one[1]) for one in asked}
        for answer in (*found.values(), *told.values()):
            del answer["window"]
        assert found == told
    await _look_back(shop, 90)
    assert {one: await shop.get(one[0], model=one[1]) for one in asked} == own


async def _look_back(shop: Shop, days: int) -> None:
    """Another window for the tenant, and its credits."""
    runtime = shop.tenant.runtime
    async with runtime.database.control() as conn:
        await conn.execute("update tenants set lookback_days = $2 where id = $1", shop.tenant.id, days)
    async with shop.tenant.transaction() as conn:
        ids = [row["id"] for row in await conn.fetch("select id from purchases where tenant_id = $1", shop.tenant.id)]
        await credit(conn, shop.tenant.id, ids, runtime.registry.models)


async def test_a_currency_that_is_asked_for_is_the_one_added_up(shop: Shop) -> None:
    dollars, euros = await shop.get("sources"), await shop.get("sources", currency="EUR")
    assert euros["currency"] == "EUR"
    _adds_up(euros)
    (other,) = dollars["otherCurrencies"]
    assert other["netRevenueMinor"] == euros["totals"]["revenueMinor"]
    assert [one["currency"] for one in euros["otherCurrencies"]] == ["USD"]


async def test_conditions_about_purchases_leave_visitors_alone(shop: Shop) -> None:
    everybody = (await shop.get("summary"))["visitors"]
    assert (await shop.get("summary", filter="product:Painting"))["visitors"] == everybody
    assert 0 < (await shop.get("summary", filter="source:youtube;campaign:spring"))["visitors"] < everybody


async def test_conditions_about_visits_are_met_by_one_visit(
    client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    tenant = await make_tenant()
    past = History(tenant)
    await past.visit("ann", BEGIN, "youtube", campaign="spring", email="ann@example.com")
    await past.visit("ann", BEGIN + timedelta(days=1), "newsletter", campaign="summer", email="ann@example.com")
    await past.sale("ann@example.com", 100, BEGIN + timedelta(days=2))
    await past.visit("ann", BEGIN + timedelta(days=3), "google", campaign="late", email="ann@example.com")
    await past.credit()
    mine = Shop(client, tenant)
    found = {
        narrowed: (await mine.get("summary", filter=narrowed))["netRevenueMinor"]
        for narrowed in (
            "source:youtube;campaign:spring", "source:youtube;campaign:summer", "source!:youtube", "campaign:late",
            "firstSource:youtube", "firstSource:newsletter", "buyer:new", "buyer:returning",
        )
    }  # fmt: skip
    assert [narrowed for narrowed, net in found.items() if net] == [
        "source:youtube;campaign:spring", "firstSource:youtube", "buyer:new",
    ]  # fmt: skip
    assert set(found.values()) == {0, 100}


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"filter": "nonsense"}, "filter.0"),
        ({"filter": "colour:red"}, "filter.conditions.0.field"),
        ({"filter": "buyer:old"}, "filter.conditions.0.values.0"),
        ({"filter": '{"conditions": []}'}, "filter.conditions"),
        ({"filter": "{"}, "filter"),
        ({"segment": "absent"}, "segment"),
        ({"segment": "!"}, "segment"),
        ({"dateBy": "moon"}, "dateBy"),
        ({"window": "8"}, "window"),
        ({"currency": "XXY"}, "currency"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_its_path(shop: Shop, params: dict[str, str], path: str) -> None:
    refused = await shop.get("summary", status=422, **params)
    assert refused["errors"][0]["path"] == path


async def test_segments_are_saved_changed_audited_and_missed(shop: Shop) -> None:
    http, headers = shop.http, shop.tenant.headers
    where = "/api/analytics/segments"
    body = {"name": "From video", "filter": {"conditions": [{"field": "source", "values": ["youtube"]}]}}
    made = await http.post(where, json=body, headers=headers)
    assert made.status_code == 201, made.text
    assert made.json()["slug"] == "from-video"
    assert (await http.post(where, json={**body, "slug": "from-video"}, headers=headers)).status_code == 409
    narrowed = await shop.get("summary", segment="from-video")
    assert narrowed["segment"] == "from-video"
    changed = {"filter": {"conditions": [{"field": "platform", "values": ["kajabi"]}]}}
    assert (await http.patch(f"{where}/from-video", json=changed, headers=headers)).status_code == 200
    assert await shop.get("summary", segment="from-video") != narrowed
    assert "from-video" in {one["slug"] for one in (await http.get(where, headers=headers)).json()}
    assert (await http.get(f"{where}/from-video", headers=headers)).json()["filter"]["conditions"][0]["values"] == [
        "kajabi"
    ]
    assert (await http.delete(f"{where}/from-video", headers=headers)).status_code == 204
    assert (await http.get(f"{where}/from-video", headers=headers)).status_code == 404
    refused = await shop.get("summary", status=422, segment="from-video")
    assert refused["errors"][0]["path"] == "segment"
    audited = (await http.get("/api/audit", headers=headers)).json()["items"]
    actions = [entry["action"] for entry in audited if entry["subject"] == "from-video"]
    assert actions == ["segment.deleted", "segment.changed", "segment.created"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (
            {"name": "x", "filter": {"conditions": [{"field": "colour", "values": ["red"]}]}},
            "filter.conditions.0.field",
        ),
        ({"name": "x", "filter": {"conditions": [{"field": "source", "values": []}]}}, "filter.conditions.0.values"),
        ({"name": "", "filter": {"conditions": [{"field": "source", "values": ["a"]}]}}, "name"),
        ({"name": "x", "slug": "A b", "filter": {"conditions": [{"field": "source", "values": ["a"]}]}}, "slug"),
    ],
)
async def test_a_segment_that_cannot_be_is_refused_with_its_path(shop: Shop, body: Any, path: str) -> None:
    answer = await shop.http.post("/api/analytics/segments", json=body, headers=shop.tenant.headers)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["path"] == path


def test_a_view_that_nothing_was_asked_of_leaves_the_query_alone() -> None:
    sql, values = "\n  with a as (select 1 from charges) select * from a where b = $1", ("x",)
    assert View().over(sql, values) == (sql, values)
    named = View({"touches": Definition("select 1", ("y",))})
    assert named.over(sql, values) == (sql, values)


def test_a_view_stands_before_the_query_with_its_values_after_the_querys() -> None:
    view = View(
        {"charges": Definition("select * from public.charges where id in (select id from step) and k = $1", ("c",))},
        {"step": Definition("select $1::text as id", ("s",), kept=True), "unused": Definition("select 1", ("u",))},
    )
    sql, values = view.over("with a as (select from charges where x = $1) select", ("q",))
    assert sql == (
        "with step as materialized (select $2::text as id), charges as not materialized "
        "(select * from public.charges where id in (select id from step) and k = $3), "
        "a as (select from charges where x = $1) select"
    )
    assert values == ("q", "s", "c")
