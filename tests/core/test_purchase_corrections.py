"""Evidence that comes late, through the front door: each has the purchase credited again and leaves an audit row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from coursesignal.testing.fixtures import TenantMaker
from coursesignal.testing.shop import Shop

Run = Callable[[], Awaitable[None]]


@pytest.fixture
async def shop(client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Run) -> Shop:
    """Ann came from YouTube; her purchase names an address that she mistyped."""
    made = Shop(client, await make_tenant(plugins=()), run_jobs)
    await made.open()
    await made.visit("youtube", 0, "ann@example.com")
    await made.sell(1, 3, "anm@example.com")
    return made


async def only_purchase(shop: Shop) -> dict[str, Any]:
    (found,) = (await shop.client.get("/api/analytics/recent-purchases", headers=shop.tenant.headers)).json()["items"]
    purchase: dict[str, Any] = found
    return purchase


async def correct(shop: Shop, purchase_id: str, body: Any, status: int = 200) -> dict[str, Any]:
    answer = await shop.client.put(f"/api/purchases/{purchase_id}/email", json=body, headers=shop.tenant.headers)
    assert answer.status_code == status, answer.text
    await shop.run_jobs()
    found: dict[str, Any] = answer.json()
    return found


async def actions(shop: Shop) -> list[str]:
    """What the audit log says, the newest first."""
    items = (await shop.client.get("/api/audit", headers=shop.tenant.headers)).json()["items"]
    return [one["action"] for one in items]


async def test_an_address_put_right_credits_the_right_journey(shop: Shop) -> None:
    assert await shop.sources() == {"youtube": 0, "": 10_000}
    purchase = await only_purchase(shop)
    corrected = await correct(shop, purchase["id"], {"email": " Ann@Example.com "})
    assert (corrected["email"], corrected["corrected"], corrected["match"]) == ("ann@example.com", True, "email")
    assert await shop.sources() == {"youtube": 10_000, "": 0}
    assert (await only_purchase(shop))["email"] == "ann@example.com"
    entry = (await shop.client.get("/api/audit", headers=shop.tenant.headers)).json()["items"][0]
    assert entry["action"] == "purchase.email_corrected"
    assert "@" not in str(entry["detail"]), "addresses are not kept in the log"


async def test_the_platform_does_not_take_it_back_and_its_own_address_comes_back_on_demand(shop: Shop) -> None:
    purchase = await only_purchase(shop)
    await correct(shop, purchase["id"], {"email": "ann@example.com"})
    await shop.sell(1, 3, "anm@example.com")
    assert await shop.sources() == {"youtube": 10_000, "": 0}
    back = await correct(shop, purchase["id"], {"email": None})
    assert (back["email"], back["corrected"]) == ("anm@example.com", False)
    assert await shop.sources() == {"youtube": 0, "": 10_000}


@pytest.mark.parametrize(
    "body", [{}, {"email": "nobody"}, {"email": "a\0b@example.com"}, {"email": 5}, {"email": "x" * 300}]
)
async def test_what_is_no_address_is_refused(shop: Shop, body: Any) -> None:
    purchase = await only_purchase(shop)
    refused = await correct(shop, purchase["id"], body, status=422)
    assert "email" in str(refused["errors"])


async def test_a_purchase_that_is_none_is_not_found(shop: Shop) -> None:
    await correct(shop, str(uuid4()), {"email": "ann@example.com"}, status=404)


async def test_an_address_whose_data_was_erased_is_not_brought_back(shop: Shop) -> None:
    purchase = await only_purchase(shop)
    answer = await shop.client.post(
        "/api/privacy/erasures", json={"email": "gone@example.com"}, headers=shop.tenant.headers
    )
    assert answer.status_code < 300, answer.text
    await shop.run_jobs()
    await correct(shop, purchase["id"], {"email": "gone@example.com"}, status=422)


async def test_somebody_who_identifies_after_the_purchase_is_credited(shop: Shop) -> None:
    assert await actions(shop) == [], "who came before they bought is nothing to note"
    await shop.visit("podcast", 1, "anm@example.com")
    assert await shop.sources() == {"youtube": 0, "podcast": 10_000, "": 0}
    assert await actions(shop) == ["people.identified_late"]


async def test_a_second_device_shares_the_credit(shop: Shop) -> None:
    purchase = await only_purchase(shop)
    await correct(shop, purchase["id"], {"email": "ann@example.com"})
    await shop.visit("podcast", 1, "ann@example.com")
    assert await shop.sources() == {"youtube": 5_000, "podcast": 5_000, "": 0}
    assert await actions(shop) == ["people.identified_late", "purchase.email_corrected"]


async def test_a_gift_credits_the_journey_of_who_paid(shop: Shop) -> None:
    await shop.visit("podcast", 1, "recipient@example.com")
    await shop.sell(2, 4, "ann@example.com", gift_to="recipient@example.com")
    assert await shop.sources() == {"youtube": 10_000, "podcast": 0, "": 10_000}
