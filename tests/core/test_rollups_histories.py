"""Random pasts, in zones whose days have 23, 23.5, 24.5, 25 or no hours: what is kept equals a count from nothing."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest

from coursesignal.analytics.counting import refresh
from coursesignal.analytics.rollup_check import check
from coursesignal.connections.intake import apply
from coursesignal.db.stale import hours
from coursesignal.plugin import Charge, Contact
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.history import History

RunJobs = Callable[[], Awaitable[None]]
NOW = datetime.now(UTC)
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
DAY = timedelta(days=1)
ODD_DAYS = {
    "Europe/Berlin": [date(2026, 3, 29), date(2026, 10, 25)],  # 23 and 25 hours
    "America/New_York": [date(2026, 3, 8), date(2025, 11, 2)],
    "Australia/Lord_Howe": [date(2026, 4, 5), date(2026, 10, 4)],  # 24.5 and 23.5
    "America/Sao_Paulo": [date(2018, 11, 4), date(2018, 2, 17)],  # begins at one o'clock; ends twice
    "America/Havana": [date(2026, 11, 1)],  # begins twice
    "Pacific/Apia": [date(2011, 12, 29), date(2011, 12, 30), date(2011, 12, 31)],  # the second one never was
    "Asia/Kathmandu": [date(2026, 5, 1)],  # 5:45 ahead
}


class Books:
    """A tenant, what happened to it, and how to ask about it."""

    def __init__(self, http: httpx.AsyncClient, tenant: ActingTenant) -> None:
        self.http, self.tenant, self.zone = http, tenant, ZoneInfo(tenant.tenant.time_zone)
        self.db = tenant.runtime.database

    async def get(self, path: str, **params: str) -> Any:
        answer = await self.http.get(f"/api/analytics/{path}", params=params, headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        return {name: value for name, value in answer.json().items() if name not in ("filter", "segment")}

    async def move_to(self, zone: str) -> None:
        url = f"/api/tenants/{self.tenant.tenant.slug}"
        answer = await self.http.patch(url, json={"timeZone": zone}, headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        self.zone = ZoneInfo(zone)

    async def refresh(self) -> int:
        return await refresh(self.db, self.tenant.id)

    async def rows(self, sql: str) -> Sequence[Any]:
        async with self.tenant.transaction() as conn:
            found: Sequence[Any] = await conn.fetch(f"select {sql} where tenant_id = $1", self.tenant.id)
        return found

    def day(self, moment: datetime) -> str:
        return moment.astimezone(self.zone).date().isoformat()

    async def counted(self) -> dict[str, dict[str, Any]]:
        """By day, in the plainest way: visitors, sessions, opt-ins, revenue, refunds, purchases, touches by source."""
        days: dict[str, dict[str, Any]] = defaultdict(lambda: {"visitors": set(), "bought": set(), "sums": Counter()})
        for row in await self.rows("visitor_id, started_at, pageviews from sessions"):
            day = days[self.day(row["started_at"])]
            day["visitors"].add(row["visitor_id"])
            day["sums"].update(sessions=1, pageviews=row["pageviews"])
        for row in await self.rows("occurred_at, source, is_opt_in from touches"):
            days[self.day(row["occurred_at"])]["sums"].update({"optIns": row["is_opt_in"], f"from {row['source']}": 1})
        for row in await self.rows("occurred_at, kind, amount_minor, purchase_id from charges"):
            sale = row["kind"] in ("sale", "renewal", "instalment")
            day = days[self.day(row["occurred_at"])]
            day["sums"]["revenueMinor" if sale else "refundedMinor"] += abs(row["amount_minor"])
            if sale and row["amount_minor"] > 0:
                day["bought"].add(row["purchase_id"])
        return {
            name: {"visitors": len(day["visitors"]), "purchases": len(day["bought"])} | +day["sums"]
            for name, day in days.items()
        }

    async def reported(self, **span: str) -> dict[str, dict[str, Any]]:
        """The same from the reports, days without anything left out."""
        days: dict[str, Counter[str]] = defaultdict(Counter)
        for report in ("daily-visits", "daily-revenue"):
            for line in (await self.get(report, **span))["days"]:
                line.pop("netRevenueMinor", None)
                days[line.pop("date")].update(line)
        for line in (await self.get("export", report="daily-sources", format="json", **span))["rows"]:
            days[line["date"]][f"from {line['source']}"] += line["touches"]
        return {name: {"visitors": 0, "purchases": 0} | +found for name, found in days.items() if +found}


@pytest.mark.parametrize("zone", ODD_DAYS)
async def test_days_with_odd_hours_hold_what_happened_on_them_and_another_zone_has_other_days(
    zone: str, client: httpx.AsyncClient, make_tenant: TenantMaker
) -> None:
    dice, books = random.Random(zone), Books(client, await make_tenant(time_zone=zone))
    past, days = History(books.tenant), ODD_DAYS[zone]
    for at in moments(dice, ZoneInfo(zone), days):
        await past.visit(dice.choice("abcd"), at, dice.choice(["youtube", "direct"]), opt_in=dice.random() < 0.3)
        if dice.random() < 0.4:
            bought = await past.sale("buyer@example.com", dice.randint(1, 9_999), at)
            await past.charge(bought, "refund", 1, at + timedelta(minutes=30))
    span = {"from": (min(days) - 3 * DAY).isoformat(), "to": (max(days) + 3 * DAY).isoformat()}
    for where in (zone, "Asia/Tokyo", zone):
        await books.move_to(where)
        counted = await books.counted()
        assert await books.reported(**span) == counted, f"from the tables, in {where}"
        assert await books.refresh() >= len(counted)
        assert await books.reported(**span) == counted, f"as it is kept, in {where}"
        assert (await check(books.db, books.tenant.id)).differences == ()


def moments(dice: random.Random, zone: ZoneInfo, days: Sequence[date]) -> list[datetime]:
    """Some on each day, and some around its two midnights."""
    found: list[datetime] = []
    for day in days:
        begin = datetime.combine(day, time.min, zone).astimezone(UTC)
        end = datetime.combine(day + timedelta(days=1), time.min, zone).astimezone(UTC)
        for edge in (begin, end):
            found += [edge, edge - timedelta(microseconds=1), edge + timedelta(minutes=dice.randrange(-90, 90))]
        found.append(begin + (end - begin) * dice.random())
    return found


@pytest.mark.parametrize("seed", [1, 2, 4])
async def test_a_past_told_in_any_order_is_kept_as_it_would_be_counted_from_nothing(
    seed: int, client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: RunJobs
) -> None:
    dice = random.Random(seed)
    books = Books(client, await make_tenant(time_zone=dice.choice(sorted(ODD_DAYS))))
    world = World(books, dice, run_jobs, await _connection(books.tenant))
    steps = [world.visit] * 12 + [world.tell_again, world.sell, world.sell, world.refund, world.change_rules]
    steps += [world.process] * 2 + [world.refresh] * 3
    for number in range(120):
        await dice.choice(steps)()
        if number in (40, 60):  # after these everything is counted again, which would hide a change that nobody noted
            await (world.erase if number == 40 else world.move)()
    await run_jobs()
    span = {"from": (NOW - timedelta(days=40)).date().isoformat()}
    counted = await books.counted()
    assert len(counted) > 5
    for _ in range(2):
        assert await books.reported(**span) == counted
        assert await books.reported(**span, filter="source!:nowhere") == counted, "without what is kept"
        assert (await check(books.db, books.tenant.id)).differences == ()
        await books.refresh()


class World:
    """Things that happen to a tenant, each a step; times lie up to thirty days back, in no order."""

    def __init__(self, books: Books, dice: random.Random, run_jobs: RunJobs, connection: UUID) -> None:
        self.books, self.dice, self.run_jobs, self.connection = books, dice, run_jobs, connection
        self.tenant = books.tenant
        self.visitors = [str(UUID(int=dice.getrandbits(128), version=4)) for _ in range(6)]
        self.told: list[dict[str, Any]] = []
        self.sold: list[Charge] = []
        self.rules = 0

    def moment(self) -> datetime:
        """Often within the hour of another."""
        day, minute = self.dice.choice([2, 3, 9, 28, self.dice.randrange(1, 30)]), self.dice.randrange(90)
        return NOW - timedelta(days=day, minutes=minute)

    async def visit(self) -> None:
        query = self.dice.choice(
            ["", "?utm_source=youtube", "?utm_source=podcast&utm_medium=audio&utm_campaign=spring"]
        )
        event: dict[str, Any] = {
            "eventId": str(uuid4()), "at": self.moment().isoformat(), "url": f"https://www.example.com/{query}",
            "type": "pageview", "referrer": self.dice.choice(["", "https://partner.test/", "https://www.google.com/"]),
        }  # fmt: skip
        if self.dice.random() < 0.3:
            event |= {"type": "identify", "email": f"buyer{self.dice.randrange(4)}@example.com"}
        self.told.append({"visitorId": self.dice.choice(self.visitors), "events": [event]})
        await self.send(self.told[-1])

    async def tell_again(self) -> None:
        if self.told:
            await self.send(self.dice.choice(self.told))

    async def send(self, body: dict[str, Any]) -> None:
        sent = {"siteKey": self.tenant.site_key, **body}
        answer = await self.books.http.post("/api/tracking/event", json=sent, headers=BROWSER)
        assert answer.status_code == 202, answer.text

    async def sell(self) -> None:
        number = len(self.sold)
        self.sold.append(
            Charge(
                external_id=f"s{number}", kind="sale", amount_minor=self.dice.randint(2, 9_999), currency="USD",
                occurred_at=self.moment(), purchase_keys=(f"order:{number}",),
                contact=Contact(email=f"buyer{self.dice.randrange(4)}@example.com"),
            )
        )  # fmt: skip
        await self.book(self.sold[-1])

    async def refund(self) -> None:
        if self.sold:
            sale = self.dice.choice(self.sold)
            await self.book(
                Charge(
                    external_id=f"r-{sale.external_id}", kind="refund", amount_minor=self.dice.randint(1, sale.amount_minor),
                    currency="USD", occurred_at=self.moment(), purchase_keys=sale.purchase_keys, refund_of=sale.external_id,
                )
            )  # fmt: skip

    async def book(self, charge: Charge) -> None:
        async with self.tenant.transaction() as conn:
            models = self.tenant.runtime.registry.models
            await apply(conn, self.tenant.id, self.connection, "teachable", [charge], models)

    async def erase(self) -> None:
        email = {"email": f"buyer{self.dice.randrange(4)}@example.com"}
        await self.books.http.post("/api/privacy/erasures", json=email, headers=self.tenant.headers)

    async def change_rules(self) -> None:
        self.rules += 1
        condition = {"field": "source", "test": "startsWith", "value": "pod"}
        rule = {"channel": f"Channel {self.rules}", "conditions": [condition]}
        lists = {"excludedReferrers": self.dice.choice([[], ["partner.test"]])}
        answer = await self.books.http.put(
            "/api/tracking/channel-rules", json={"rules": [rule], **lists}, headers=self.tenant.headers
        )
        assert answer.status_code == 200, answer.text

    async def move(self) -> None:
        await self.books.move_to(self.dice.choice(sorted(ODD_DAYS)))

    async def process(self) -> None:
        await self.run_jobs()

    async def refresh(self) -> None:
        await self.run_jobs()
        await self.books.refresh()


async def _connection(tenant: ActingTenant) -> UUID:
    async with tenant.transaction() as conn:
        found: UUID = await conn.fetchval(
            "insert into connections (tenant_id, platform, key_hash, sealed_key, account_id, state) "
            "values ($1, 'teachable', $2, '', 'school', 'ready') returning id",
            tenant.id, tenant.id.bytes,
        )  # fmt: skip
    return found


def test_the_hours_of_a_change_hold_its_moments_and_no_more() -> None:
    dice = random.Random(5)
    for _ in range(50):
        given = [NOW - timedelta(minutes=dice.randrange(3_000)) for _ in range(dice.randrange(6))]
        spans = hours(given)
        assert all(any(start <= moment < end for start, end in spans) for moment in given)
        assert sum((end - start).total_seconds() for start, end in spans) <= 3_600 * len(given)
        assert spans == sorted(spans)
        assert all(before[1] < after[0] for before, after in pairwise(spans))
