"""A sale nobody gave an address for, credited to the one browser that was at the checkout: marked, and for this sale alone."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from coursesignal.commerce.service import record
from coursesignal.jobs.outbox import enqueue
from coursesignal.plugin import Charge, Contact
from coursesignal.testing.fixtures import ActingTenant, TenantMaker

Run = Callable[[], Awaitable[None]]
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
CHECKOUT = "https://shop.example.com/offers/42/checkout"
BROWSERS = (
    "Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Version/18.0 Safari/604.1",
)


class Shop:
    """A tenant whose visitors come by HTTP and whose sales are booked."""

    def __init__(self, tenant: ActingTenant, http: httpx.AsyncClient, run_jobs: Run) -> None:
        self.tenant, self.http, self.run_jobs = tenant, http, run_jobs
        self.connection_id = uuid4()

    async def visit(
        self, visitor: UUID, minutes: float, url: str = CHECKOUT, *, device: int = 0, email: str = "", source: str = ""
    ) -> None:
        """The visitor opens a page so many minutes after NOW, and gives an address there if there is one."""
        at = (NOW + timedelta(minutes=minutes)).isoformat()
        url += f"?utm_source={source}&utm_medium=social" if source else ""
        events: list[dict[str, Any]] = [{"eventId": str(uuid4()), "type": "pageview", "at": at, "url": url}]
        if email:
            events.append({"eventId": str(uuid4()), "type": "identify", "at": at, "url": url, "email": email})
        answer = await self.http.post(
            "/api/tracking/event",
            json={"siteKey": self.tenant.site_key, "visitorId": str(visitor), "events": events},
            headers={"user-agent": BROWSERS[device]},
        )
        assert answer.status_code == 202, answer.text

    async def sell(self, email: str | None, minutes: float = 0, amount: int = 9900) -> UUID:
        at = NOW + timedelta(minutes=minutes)
        number = uuid4().hex
        contact = Contact(email=email) if email else Contact()
        charge = Charge(
            purchase_keys=(number,),
            external_id=number,
            amount_minor=amount,
            currency="USD",
            kind="sale",
            occurred_at=at,
            contact=contact,
        )
        async with self.tenant.transaction() as conn:
            booked = await record(conn, self.tenant.id, self.connection_id, "kajabi", [charge])
            payload = {"purchaseIds": [str(one) for one in booked.purchase_ids]}
            await enqueue(conn, self.tenant.id, "core.attribute_purchases", payload)
        return booked.purchase_ids[0]

    async def purchase(self, purchase_id: UUID) -> dict[str, Any]:
        await self.run_jobs()
        answer = await self.http.get(f"/api/analytics/purchases/{purchase_id}", headers=self.tenant.headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def match(self, purchase_id: UUID) -> tuple[str, list[str]]:
        """How it is matched, and which sources linear credits."""
        found = await self.purchase(purchase_id)
        (linear,) = [one for one in found["credits"] if one["model"] == "linear"]
        return found["match"], sorted(touch["source"] for touch in linear["touches"])


@pytest.fixture
def open_shop(make_tenant: TenantMaker, client: httpx.AsyncClient, run_jobs: Run) -> Callable[[], Awaitable[Shop]]:
    async def open_one() -> Shop:
        tenant = await make_tenant(plugins=())
        shop = Shop(tenant, client, run_jobs)
        async with tenant.transaction() as conn:
            await conn.execute(
                "insert into connections (tenant_id, id, platform, key_hash, sealed_key, state) "
                "values ($1, $2, 'kajabi', $3, '', 'ready')",
                tenant.id, shop.connection_id, uuid4().bytes,
            )  # fmt: skip
        return shop

    return open_one


@pytest.fixture
async def shop(open_shop: Callable[[], Awaitable[Shop]]) -> Shop:
    return await open_shop()


async def test_the_one_browser_at_the_checkout_probably_bought(shop: Shop) -> None:
    ann = uuid4()
    await shop.visit(ann, -600, "https://shop.example.com/blog", source="youtube")
    await shop.visit(ann, -5)
    sale = await shop.sell("ann@example.com")
    assert await shop.match(sale) == ("probable", ["direct", "youtube"])
    people = (await shop.http.get("/api/people", headers=shop.tenant.headers)).json()["items"]
    assert [person["visitors"] for person in people] == [0], "nobody got a browser by it"


async def test_who_cleared_their_cookies_is_found_by_their_device(shop: Shop) -> None:
    await shop.visit(uuid4(), -300, "https://shop.example.com/blog", source="youtube")
    await shop.visit(uuid4(), -200, "https://shop.example.com/blog", source="tiktok", device=1)
    await shop.visit(uuid4(), -26 * 60, "https://shop.example.com/blog", source="instagram")
    await shop.visit(uuid4(), 1, "https://shop.example.com/thank-you")
    sale = await shop.sell("ann@example.com")
    assert await shop.match(sale) == ("probable", ["youtube"])


async def test_two_browsers_are_nobodys(shop: Shop) -> None:
    for device, source in enumerate(("youtube", "tiktok")):
        await shop.visit(uuid4(), -5, source=source, device=device)
    assert await shop.match(await shop.sell("ann@example.com")) == ("unmatched", [])


async def test_two_sales_do_not_share_a_browser(shop: Shop) -> None:
    await shop.visit(uuid4(), -5, source="youtube")
    first = await shop.sell("ann@example.com")
    assert await shop.match(first) == ("probable", ["youtube"])
    second = await shop.sell("bob@example.com", 3)
    assert await shop.match(second) == ("unmatched", [])
    assert await shop.match(first) == ("unmatched", []), "it might have been the other's"


async def test_a_browser_whose_person_bought_is_explained(shop: Shop) -> None:
    bob = uuid4()
    await shop.visit(bob, -5, source="youtube", email="bob@example.com")
    stranger = await shop.sell("ann@example.com")
    assert await shop.match(stranger) == ("probable", ["youtube"]), "bob may have paid by another address"
    own = await shop.sell("bob@example.com", 1)
    assert await shop.match(own) == ("email", ["youtube"])
    assert await shop.match(stranger) == ("unmatched", [])


async def test_other_pages_and_other_hours_say_nothing(shop: Shop) -> None:
    await shop.visit(uuid4(), -5, "https://shop.example.com/blog", source="youtube")
    await shop.visit(uuid4(), -45, source="tiktok")
    await shop.visit(uuid4(), 10, "https://shop.example.com/thank-you", source="tiktok")
    assert await shop.match(await shop.sell("ann@example.com")) == ("unmatched", [])


async def test_what_becomes_known_later_takes_the_mark_away(shop: Shop) -> None:
    ann = uuid4()
    sale = await shop.sell("ann@example.com")
    assert await shop.match(sale) == ("unmatched", [])
    await shop.visit(uuid4(), -5, source="youtube")
    assert await shop.match(sale) == ("probable", ["youtube"])
    await shop.visit(ann, -900, "https://shop.example.com/blog", source="newsletter", email="ann@example.com", device=1)
    assert await shop.match(sale) == ("email", ["newsletter"])


async def test_it_can_be_switched_off_and_on_and_told_other_pages(shop: Shop) -> None:
    await shop.visit(uuid4(), -5, "https://shop.example.com/welcome-aboard", source="youtube")
    sale = await shop.sell("ann@example.com")
    steps: list[tuple[dict[str, object], str]] = [
        ({}, "unmatched"),
        ({"checkoutPages": ["*/welcome-*"]}, "probable"),
        ({"fallbackMatch": False}, "unmatched"),
        ({"fallbackMatch": True}, "probable"),
        ({"checkoutPages": []}, "unmatched"),
    ]
    for change, match in steps:
        path = f"/api/tenants/{shop.tenant.tenant.slug}"
        answer = await shop.http.patch(path, json=change, headers=shop.tenant.headers)
        assert answer.status_code == 200, answer.text
        assert (await shop.match(sale))[0] == match, change


@pytest.mark.parametrize("pages", [["*"], ["ab"], [""], ["*/\0thanks"], ["x" * 201], ["*/thanks"] * 21])
async def test_pages_that_are_none_are_refused(shop: Shop, pages: list[str]) -> None:
    path = f"/api/tenants/{shop.tenant.tenant.slug}"
    answer = await shop.http.patch(path, json={"checkoutPages": pages}, headers=shop.tenant.headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"].startswith("checkoutPages")


async def test_it_is_marked_where_it_is_shown(shop: Shop) -> None:
    await shop.visit(uuid4(), -5, source="youtube")
    sale = await shop.sell("ann@example.com")
    assert (await shop.match(sale))[0] == "probable"
    period = {"from": (NOW - timedelta(days=2)).date().isoformat(), "to": (NOW + timedelta(days=2)).date().isoformat()}
    get = shop.http.get
    coverage = (await get("/api/analytics/coverage", params=period, headers=shop.tenant.headers)).json()
    assert coverage["probable"]["purchases"] == 1
    assert coverage["matched"]["purchases"] == coverage["unmatched"]["purchases"] == 0
    for path in ("recent-purchases?", "ledger?", "export?report=ledger&"):
        query = "&".join(f"{name}={day}" for name, day in period.items())
        answer = await get(f"/api/analytics/{path}{query}", headers=shop.tenant.headers)
        assert "probable" in answer.text, path


@pytest.mark.parametrize("seed", range(4))
async def test_the_order_of_what_happens_changes_nothing(shop: Shop, seed: int) -> None:
    ann, bob, cid = uuid4(), uuid4(), uuid4()
    sales: dict[str, UUID] = {}

    async def sell(name: str, minutes: float) -> None:
        sales[name] = await shop.sell(f"{name}@example.com", minutes)

    steps: list[Callable[[], Awaitable[None]]] = [
        partial(shop.visit, ann, -3, source="youtube"),
        partial(shop.visit, ann, -300, "https://shop.example.com/", source="podcast"),
        partial(sell, "ann", 0),
        partial(shop.visit, bob, 100, source="tiktok", device=1),
        partial(shop.visit, cid, 101, email="cid@example.com"),
        partial(sell, "bob", 103),
        partial(sell, "cid", 104),
    ]
    random.Random(seed).shuffle(steps)
    for step in steps:
        await step()
        if seed % 2:
            await shop.run_jobs()
    assert {name: await shop.match(sale) for name, sale in sorted(sales.items())} == {
        "ann": ("probable", ["podcast", "youtube"]),
        "bob": ("probable", ["tiktok"]),
        "cid": ("email", ["direct"]),
    }
