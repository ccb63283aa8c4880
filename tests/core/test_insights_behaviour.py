"""Reports on visitors' behaviour and on what is not matched, read back from a small history worked out by hand."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from coursesignal.commerce.matching import match
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

JUNE = {"from": "2024-06-01", "to": "2024-06-30"}
START, OFFER, BLOG = "https://example.com/start?utm_x=1", "https://example.com/offer", "https://example.com/blog"
VIDEO, SEARCH = {"channel": "Organic Video"}, {"channel": "Organic Search"}


def at(day: int, hour: int = 10, month: int = 6, year: int = 2024) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


@dataclass
class School:
    """A tenant, its purchases by their buyer, and how to ask about them."""

    http: httpx.AsyncClient
    tenant: ActingTenant
    sales: dict[str, str]

    async def get(self, report: str, **params: object) -> Any:
        answer = await self.http.get(f"/api/analytics/{report}", params=params, headers=self.tenant.headers)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
async def school(client: httpx.AsyncClient, make_tenant: TenantMaker) -> School:
    """Ann and Bea opt in and buy, Cid and Lea buy without; Dan and Eve only look. Five more buy whose way nobody saw, each for a
    reason of their own, and somebody's old subscription renews.
    """
    past = History(await make_tenant())
    spring: dict[str, Any] = {**VIDEO, "campaign": "spring"}
    sales = {}
    await past.visit("ann", at(1), "youtube", **spring, content="video-1", landing_url=START, email="ann@example.com")
    await past.visit("ann", at(3), "newsletter", channel="Email", landing_url=OFFER, opt_in=True)
    await past.visit("ann", at(4), "youtube", **spring, content="video-2", landing_url=OFFER)
    sales["ann"] = await past.sale("ann@example.com", 10_000, at(5))
    await past.visit("bea", at(2), "google", **SEARCH, landing_url=BLOG, email="bea@example.com")
    await past.visit("bea-phone", at(2, 12), "google", **SEARCH, landing_url=BLOG, email="bea@example.com", opt_in=True)
    sales["bea"] = await past.sale("bea@example.com", 5_000, at(2, 18))
    await past.visit(
        "cid", at(10), "youtube", **spring, content="video-1", landing_url=START, email="cid@example.com",
        referrer="https://www.blog.test/review/?a=1#x",
    )  # fmt: skip
    sales["cid"] = await past.sale("cid@example.com", 4_000, at(11))
    await past.visit("lea", at(14), "youtube", **spring, content="video-2", landing_url=START, email="lea@example.com")
    sales["lea"] = await past.sale("lea@example.com", 6_000, at(15))
    await past.visit("dan", at(12), "youtube", **VIDEO, landing_url=START)
    await past.visit("eve", at(12), "google", **SEARCH, landing_url=BLOG)
    await past.visit("eve", at(13), "youtube", **VIDEO, landing_url=START, opt_in=True)
    sales["fay"] = await past.sale(None, 3_000, at(20))
    sales["gil"] = await past.sale("gil@example.com", 2_000, at(21))
    await past.visit("hal", at(1, month=12, year=2023), "podcast", channel="Audio", email="hal@example.com")
    sales["hal"] = await past.sale("hal@example.com", 1_000, at(22))
    sales["ida"] = await past.sale("ida@example.com", 1_500, at(23))
    await past.visit("ida", at(25), "instagram", channel="Organic Social", email="ida@example.com")
    sales["kim"] = await past.sale("kim@example.com", 2_500, at(24))
    sales["jon"] = await past.sale("jon@example.com", 1_200, at(5, month=1, year=2023))
    await past.charge(sales["jon"], "renewal", 1_200, at(28))
    await past.credit()
    async with past.tenant.transaction() as conn:
        # Only Kim's address was given on the site, in a browser that was somebody's already.
        await conn.execute(
            "update person_identifiers set evidence = 'webhook' where tenant_id = $1 and value_key = any($2)",
            past.tenant.id, ["gil@example.com", "jon@example.com"],
        )  # fmt: skip
        await match(conn, past.tenant.id, past.purchases)
    return School(client, past.tenant, {name: str(sale) for name, sale in sales.items()})


async def test_the_funnel_counts_people_of_the_step_before(school: School) -> None:
    report = await school.get("funnel", **JUNE)
    assert report["totals"] == {
        "visitors": 7,
        "optIns": 3,
        "sales": 2,
        "optInRate": 42.86,
        "saleRate": 66.67,
        "overallRate": 28.57,
        "medianHoursToOptIn": 24.0,
        "medianHoursToSale": 27.0,
        "salesWithoutOptIn": 2,
    }
    rows = {row["name"]: row for row in report["rows"]}
    assert list(rows) == ["youtube", "google", "instagram"]
    assert [rows["youtube"][step] for step in ("visitors", "optIns", "sales", "salesWithoutOptIn")] == [4, 1, 1, 2]
    # Bea's laptop and phone are one person, who opted in on the phone two hours later; Eve did so a day later.
    assert [rows["google"][step] for step in ("visitors", "optIns", "sales", "medianHoursToOptIn")] == [2, 2, 1, 13.0]
    assert rows["google"]["medianHoursToSale"] == 6.0
    # Ida came after she had bought.
    assert [rows["instagram"][step] for step in ("visitors", "optIns", "salesWithoutOptIn")] == [1, 0, 0]
    assert rows["instagram"]["medianHoursToOptIn"] is None


async def test_the_funnel_by_channel_has_the_same_totals(school: School) -> None:
    by_source, by_channel = await school.get("funnel", **JUNE), await school.get("funnel", by="channel", **JUNE)
    assert by_channel["totals"] == by_source["totals"]
    for report in (by_source, by_channel):
        for step in ("visitors", "optIns", "sales", "salesWithoutOptIn"):
            assert sum(row[step] for row in report["rows"]) == report["totals"][step]
    assert [(row["name"], row["visitors"]) for row in by_channel["rows"]] == [
        ("Organic Video", 4), ("Organic Search", 2), ("Organic Social", 1),
    ]  # fmt: skip


async def test_a_step_outside_the_period_is_not_taken_in_it(school: School) -> None:
    report = await school.get("funnel", **{"from": "2024-06-04", "to": "2024-06-30"})
    youtube = next(row for row in report["rows"] if row["name"] == "youtube")
    # Ann opted in on the third: in this period she only bought.
    assert [youtube[step] for step in ("visitors", "optIns", "sales", "salesWithoutOptIn")] == [4, 0, 0, 3]


async def test_journeys_are_told_without_repeats(school: School) -> None:
    report = await school.get("journeys", **JUNE)
    assert [(path["steps"], path["purchases"], path["revenueMinor"]) for path in report["paths"]] == [
        (["Organic Video"], 2, 10_000),
        (["Organic Video", "Email", "Organic Video"], 1, 10_000),
        (["Organic Search"], 1, 5_000),
    ]
    assert report["paths"][2] == {
        "steps": ["Organic Search"],
        "purchases": 1,
        "share": 25.0,
        "revenueMinor": 5_000,
        "averageTouches": 2.0,
        "medianDays": 0.33,
    }
    assert report["withoutJourney"] == {"purchases": 5, "revenueMinor": 10_000}
    assert report["totals"] == {"purchases": 9, "revenueMinor": 35_000}
    assert report["madeEarlier"] == {"purchases": 1, "revenueMinor": 1_200}
    assert report["otherPaths"] == {"purchases": 0, "revenueMinor": 0}


async def test_the_length_of_journeys(school: School) -> None:
    lengths = (await school.get("journeys", **JUNE))["lengths"]
    assert (lengths["averageTouches"], lengths["medianTouches"], lengths["averageSteps"]) == (1.75, 1.5, 1.5)
    assert (lengths["firstQuartileDays"], lengths["medianDays"], lengths["thirdQuartileDays"]) == (0.83, 1.0, 1.75)
    assert [(b["fromDays"], b["toDays"], b["purchases"]) for b in lengths["days"][:4]] == [
        (0, 1, 1), (1, 3, 2), (3, 7, 1), (7, 14, 0),
    ]  # fmt: skip
    assert lengths["days"][-1] == {"fromDays": 90, "toDays": None, "purchases": 0}
    assert [count["purchases"] for count in lengths["touches"][:4]] == [2, 1, 1, 0]


async def test_ways_that_are_not_listed_are_summed(school: School) -> None:
    report = await school.get("journeys", by="source", limit=1, **JUNE)
    assert [path["steps"] for path in report["paths"]] == [["youtube"]]
    assert report["otherPaths"] == {"purchases": 2, "revenueMinor": 15_000}


async def test_the_ends_of_a_very_long_way_are_told(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    past = History(await make_tenant())
    for day in range(1, 21):
        await past.visit("zoe", at(day), f"source-{day}", email="zoe@example.com")
    await past.sale("zoe@example.com", 100, at(21))
    await past.credit()
    report = await School(client, past.tenant, {}).get("journeys", by="source", **JUNE)
    wanted = [f"source-{n}" for n in (1, 2, 3, 4, 5, 6)], ["…"], [f"source-{n}" for n in (16, 17, 18, 19, 20)]
    assert report["paths"][0]["steps"] == [step for part in wanted for step in part]
    assert (report["lengths"]["averageSteps"], report["lengths"]["touches"][-1]["purchases"]) == (20.0, 1)


async def test_landing_pages(school: School) -> None:
    report = await school.get("content", **JUNE)
    columns = ("name", "visitors", "optIns", "revenueMinor", "purchases", "students", "revenuePerVisitorMinor")
    assert [tuple(row[column] for column in columns) for row in report["rows"]] == [
        ("example.com/start", 5, 1, 10_000, 2, 2, 2_000),
        ("example.com/offer", 1, 1, 10_000, 1, 1, 10_000),
        ("example.com/blog", 3, 1, 5_000, 1, 1, 1_667),
        ("example.com/", 1, 0, 0, 0, 0, 0),
    ]
    assert report["unattributed"] == {"chargedMinor": 11_200, "refundedMinor": 0, "revenueMinor": 11_200}
    assert report["totals"] == {
        "chargedMinor": 36_200, "refundedMinor": 0, "revenueMinor": 36_200, "visitors": 8, "optIns": 3,
    }  # fmt: skip
    assert (report["rows"][0]["source"], report["rowsLeftOut"]) == (None, 0)


async def test_videos_by_the_links_they_carry(school: School) -> None:
    report = await school.get("content", by="content", **JUNE)
    assert [
        (row["name"], row["source"], row["campaign"], row["visitors"], row["revenueMinor"]) for row in report["rows"]
    ] == [("video-2", "youtube", "spring", 2, 16_000), ("video-1", "youtube", "spring", 2, 4_000)]
    assert (report["unnamed"]["revenueMinor"], report["unattributed"]["revenueMinor"]) == (5_000, 11_200)
    first = await school.get("content", by="content", limit=1, model="first_touch", **JUNE)
    assert [(row["name"], row["revenueMinor"]) for row in first["rows"]] == [("video-1", 14_000)]
    assert (first["otherRows"]["revenueMinor"], first["rowsLeftOut"]) == (6_000, 1)


async def test_campaigns_and_referring_pages(school: School) -> None:
    campaigns = await school.get("content", by="campaign", **JUNE)
    assert [(row["name"], row["source"], row["visitors"], row["revenueMinor"]) for row in campaigns["rows"]] == [
        ("spring", "youtube", 3, 20_000)
    ]
    pages = await school.get("content", by="referrer", **JUNE)
    assert [(row["name"], row["revenueMinor"]) for row in pages["rows"]] == [("www.blog.test/review", 4_000)]


async def test_every_purchase_is_matched_or_has_a_reason(school: School) -> None:
    report = await school.get("coverage", **JUNE)
    columns = ("status", "reason", "purchases", "netRevenueMinor")
    assert [tuple(row[column] for column in columns) for row in report["rows"]] == [
        ("matched", "credited", 4, 25_000),
        ("matched", "visits-outside-window", 1, 1_000),
        ("matched", "visits-after-purchase", 1, 1_500),
        ("unmatched", "no-email", 1, 3_000),
        ("unmatched", "tracker-silent", 1, 1_200),
        ("unmatched", "shared-browser", 1, 2_500),
        ("unmatched", "never-identified", 1, 2_000),
    ]
    assert report["matched"] == {"purchases": 6, "share": 60.0, "netRevenueMinor": 27_500}
    assert report["unmatched"] == {"purchases": 4, "share": 40.0, "netRevenueMinor": 8_700}
    assert (report["matchRate"], report["creditedRate"]) == (60.0, 40.0)
    assert report["totals"]["netRevenueMinor"] == 36_200
    summary = await school.get("summary", **JUNE)
    assert summary["matchRate"] == report["matchRate"]


async def test_what_is_missing_has_examples_and_a_next_step(school: School) -> None:
    rows = {row["reason"]: row for row in (await school.get("coverage", **JUNE))["rows"]}
    assert rows["credited"]["examples"] == []
    assert rows["credited"]["nextStep"] is None
    for reason, name in (
        ("visits-outside-window", "hal"), ("visits-after-purchase", "ida"), ("no-email", "fay"), ("tracker-silent", "jon"),
        ("shared-browser", "kim"), ("never-identified", "gil"),
    ):  # fmt: skip
        assert [example["id"] for example in rows[reason]["examples"]] == [school.sales[name]], reason
        assert rows[reason]["explanation"]
        assert rows[reason]["nextStep"]
    assert rows["never-identified"]["examples"][0] == {
        "id": school.sales["gil"],
        "platform": "teachable",
        "email": "gil@example.com",
        "purchasedAt": "2024-06-21T10:00:00Z",
        "netRevenueMinor": 2_000,
    }


async def test_a_model_that_credits_none_of_the_visits_is_a_reason(school: School) -> None:
    rows = (await school.get("coverage", model="opt_in", **JUNE))["rows"]
    assert [(row["reason"], row["purchases"]) for row in rows[:2]] == [("credited", 2), ("model-credits-none", 2)]
    assert {example["id"] for example in rows[1]["examples"]} == {school.sales["cid"], school.sales["lea"]}


async def test_a_longer_window_finds_older_visits(school: School) -> None:
    rows = {row["reason"]: row for row in (await school.get("coverage", window="365", **JUNE))["rows"]}
    assert (rows["credited"]["purchases"], rows["credited"]["netRevenueMinor"]) == (5, 26_000)
    assert "visits-outside-window" not in rows
    journeys = await school.get("journeys", window="365", **JUNE)
    assert (["Audio"], 1_000) in [(path["steps"], path["revenueMinor"]) for path in journeys["paths"]]
    assert journeys["withoutJourney"]["purchases"] == 4
    short = await school.get("journeys", window="1", **JUNE)
    assert (["Organic Video"], 3) in [(path["steps"], path["purchases"]) for path in short["paths"]]


async def test_a_probable_match_is_told_apart(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    past = History(await make_tenant())
    for name in ("max", "nia"):
        await past.visit(name, at(1), "youtube", email=f"{name}@example.com")
        await past.sale(f"{name}@example.com", 100, at(2))
    await past.credit()
    async with past.tenant.transaction() as conn:
        await conn.execute(
            "update purchases set match = 'probable' where tenant_id = $1 and id = $2",
            past.tenant.id,
            past.purchases[0],
        )
    report = await School(client, past.tenant, {}).get("coverage", **JUNE)
    assert [(row["status"], row["reason"], row["share"]) for row in report["rows"]] == [
        ("matched", "credited", 50.0),
        ("probable", "credited", 50.0),
    ]
    assert report["rows"][1]["nextStep"]
    assert (report["matchRate"], report["probable"]["netRevenueMinor"]) == (100.0, 100)


@pytest.mark.parametrize(
    ("report", "column"), [("content", "revenue"), ("journeys", "revenue"), ("coverage", "net_revenue")]
)
async def test_the_lines_of_a_file_add_up(school: School, report: str, column: str) -> None:
    answer = await school.http.get(
        "/api/analytics/export", params={"report": report, "by": "", **JUNE}, headers=school.tenant.headers
    )
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert sum(Decimal(line[column]) for line in lines) == Decimal("362.00")
    if report == "journeys":
        assert lines[1]["steps"] == "Organic Video > Email > Organic Video"
    if report == "coverage":
        assert [line["examples"] for line in lines if line["reason"] == "no-email"] == [school.sales["fay"]]


@pytest.mark.parametrize("report", ["funnel", "journeys", "content", "coverage"])
async def test_a_tenant_with_nothing_is_told_so(
    client: httpx.AsyncClient, make_tenant: TenantMaker, report: str
) -> None:
    school = School(client, await make_tenant(), {})
    for range_ in ("7d", "all"):
        answer = await school.get(report, range=range_)
        assert answer["hint"]
        assert not answer.get("rows")


async def test_what_cannot_be_asked_is_refused(school: School) -> None:
    for report, params in (
        ("journeys", {"limit": "0"}), ("journeys", {"by": "person"}), ("content", {"by": "colour"}), ("funnel", {"by": "x"}),
        ("content", {"limit": "201"}), ("new-returning", {"interval": "hour"}), ("lifetime-value", {"by": "x"}),
    ):  # fmt: skip
        answer = await school.http.get(f"/api/analytics/{report}", params=params, headers=school.tenant.headers)
        assert answer.status_code in (400, 422), (report, params)
        assert [error["path"] for error in answer.json()["errors"]] == list(params)
