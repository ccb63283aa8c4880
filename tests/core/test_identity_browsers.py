"""One browser under different ids on two domains, joined by the parameter that a link carried: in any order, never two people."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from coursesignal.testing.fixtures import ActingTenant, TenantMaker

Run = Callable[[], Awaitable[None]]
AGENT = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"}
SHOP, CHECKOUT = "https://www.shop.test/", "https://pay.checkout.test/buy"
START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)


class Device:
    """A browser with an id on each of two domains, of a tenant of its own."""

    def __init__(self, client: httpx.AsyncClient, tenant: ActingTenant, key: str) -> None:
        self.client, self.tenant, self.key = client, tenant, key
        self.shop, self.checkout = uuid4(), uuid4()

    async def send(self, visitor: UUID, url: str, minute: int = 0, email: str = "") -> dict[str, Any]:
        at = (START + timedelta(minutes=minute)).isoformat()
        kind = {"type": "identify", "email": email} if email else {"type": "pageview"}
        body = {
            "siteKey": self.key,
            "visitorId": str(visitor),
            "events": [{"eventId": str(uuid4()), "url": url, "at": at, **kind}],
        }
        answer = await self.client.post("/api/tracking/event", json=body, headers=AGENT)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def cross(self) -> None:
        """From the shop to the checkout by a link, where the browser has been before."""
        told = await self.send(self.shop, SHOP)
        await self.send(self.checkout, CHECKOUT)
        await self.send(self.checkout, f"{CHECKOUT}?cs_link={told['link']}", 1)

    async def people(self) -> tuple[str | None, str | None]:
        """Who is who, on the shop and on the checkout."""
        async with self.tenant.transaction() as conn:
            rows = await conn.fetch(
                "select v.id, p.email from visitors v join people p on p.tenant_id = $1 and p.id = v.person_id "
                "where v.tenant_id = $1",
                self.tenant.id,
            )
        found = {row["id"]: row["email"] for row in rows}
        return found.get(self.shop), found.get(self.checkout)

    async def evidence(self, visitor: UUID) -> str:
        async with self.tenant.transaction() as conn:
            found: str = await conn.fetchval(
                "select evidence from person_identifiers where tenant_id = $1 and value_key = $2",
                self.tenant.id,
                str(visitor),
            )
        return found


@pytest.fixture
async def device(client: httpx.AsyncClient, make_tenant: TenantMaker) -> Device:
    tenant = await make_tenant()
    body = {"name": "Both", "linkedHosts": ["checkout.test"]}
    answer = await client.post("/api/tracking/sites", json=body, headers=tenant.headers)
    assert answer.status_code == 201, answer.text
    return Device(client, tenant, answer.json()["siteKey"])


@pytest.mark.parametrize("identified_on", ["shop", "checkout"])
@pytest.mark.parametrize("identified_first", [True, False])
async def test_what_was_seen_under_the_other_id_belongs_to_who_gave_an_address(
    device: Device, run_jobs: Run, identified_on: str, identified_first: bool
) -> None:
    visitor, other = (device.shop, device.checkout) if identified_on == "shop" else (device.checkout, device.shop)
    if not identified_first:
        await device.cross()
        await run_jobs()
    await device.send(visitor, SHOP, 5, "ann@example.com")
    await run_jobs()
    if identified_first:
        await device.cross()
        await run_jobs()
    assert await device.people() == ("ann@example.com", "ann@example.com")
    assert await device.evidence(other) == "cross-domain parameter"
    assert await device.evidence(visitor) == "identify"


@pytest.mark.parametrize("order", list(itertools.permutations(("cross", "ann", "bob"))), ids="-".join)
async def test_two_people_who_gave_their_addresses_stay_two_in_any_order(
    device: Device, run_jobs: Run, order: tuple[str, ...]
) -> None:
    for step in order:
        if step == "cross":
            await device.cross()
        elif step == "ann":
            await device.send(device.shop, SHOP, 7, "ann@example.com")
        else:
            await device.send(device.checkout, CHECKOUT, 3, "bob@example.com")
        await run_jobs()
    assert await device.people() == ("ann@example.com", "bob@example.com")
    assert {await device.evidence(device.shop), await device.evidence(device.checkout)} == {"identify"}
