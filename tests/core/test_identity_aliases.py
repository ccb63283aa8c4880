"""Addresses of one mailbox, where a tenant takes them for one person's: joined on record, and apart again when it does not."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from coursesignal.identity.emails import IGNORES_DOTS, mailbox_of
from coursesignal.testing.fixtures import TenantMaker
from coursesignal.testing.shop import Shop

Run = Callable[[], Awaitable[None]]


@pytest.fixture
async def shop(client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Run) -> Shop:
    made = Shop(client, await make_tenant(plugins=()), run_jobs)
    await made.open()
    return made


async def aliases(shop: Shop, *, on: bool) -> None:
    path = f"/api/tenants/{shop.tenant.tenant.slug}"
    answer = await shop.client.patch(path, json={"emailAliases": on}, headers=shop.tenant.headers)
    assert answer.json()["emailAliases"] is on
    await shop.run_jobs()


async def audited(shop: Shop) -> list[tuple[str, str | None]]:
    """What the audit log says of people joined and taken apart, the oldest first."""
    items = (await shop.client.get("/api/audit", headers=shop.tenant.headers)).json()["items"]
    return [(one["action"], one["detail"].get("reason")) for one in reversed(items) if one["action"].endswith("merged")]


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("ann@example.com", "ann@example.com"),
        ("ann+course@example.com", "ann@example.com"),
        ("ann+a+b@example.com", "ann@example.com"),
        ("+tag@example.com", "+tag@example.com"),
        ("a.n.n@example.com", "a.n.n@example.com"),
    ],
)
def test_a_plus_tag_is_another_spelling_of_a_mailbox(address: str, mailbox: str) -> None:
    assert mailbox_of(address) == mailbox


def test_dots_are_where_the_provider_ignores_them() -> None:
    spellings = {f"{local}@{domain}" for domain in IGNORES_DOTS for local in ("ann.lee", "a.n.n.lee+x", "annlee")}
    assert len({mailbox_of(address) for address in spellings}) == 1


async def test_without_the_setting_they_are_two_people(shop: Shop) -> None:
    await shop.visit("youtube", 0, "ann@example.com")
    await shop.sell(1, 3, "ann+course@example.com")
    assert await shop.sources() == {"youtube": 0, "": 10_000}


async def test_turned_on_they_are_one_and_turned_off_two_again(shop: Shop) -> None:
    await shop.visit("youtube", 0, "ann@example.com")
    await shop.sell(1, 3, "ann+course@example.com")
    await aliases(shop, on=True)
    assert await shop.sources() == {"youtube": 10_000, "": 0}
    await shop.visit("podcast", 4, "ann+news@example.com")
    await shop.sell(2, 5, "ann@example.com")
    assert await shop.sources() == {"youtube": 15_000, "podcast": 5_000, "": 0}
    assert await audited(shop) == [("people.merged", "two addresses of one mailbox")] * 2
    await aliases(shop, on=False)
    assert await shop.sources() == {"youtube": 10_000, "podcast": 0, "": 10_000}
    assert (await audited(shop))[2:] == [("people.unmerged", None)] * 2
    await aliases(shop, on=True)
    assert await shop.sources() == {"youtube": 15_000, "podcast": 5_000, "": 0}, "nothing keeps them apart for good"


async def test_what_else_joins_them_joins_them_still(shop: Shop) -> None:
    await shop.visit("youtube", 0, "ann@example.com")
    await aliases(shop, on=True)
    await shop.sell(1, 3, "ann+course@example.com", "contact-1")
    await shop.sell(2, 4, "ann@example.com", "contact-1")
    await shop.sell(3, 5, "ann+other@example.com", "contact-2")
    assert await shop.sources() == {"youtube": 30_000, "": 0}
    await aliases(shop, on=False)
    assert await shop.sources() == {"youtube": 20_000, "": 10_000}


async def test_people_taken_apart_by_hand_stay_apart(shop: Shop) -> None:
    await shop.visit("youtube", 0, "ann@example.com")
    await shop.sell(1, 3, "ann+course@example.com")
    await aliases(shop, on=True)
    (merge,) = (await shop.call("GET", "/merges")).json()
    assert (await shop.call("POST", f"/merges/{merge['id']}/undo")).status_code == 200
    assert await shop.sources() == {"youtube": 0, "": 10_000}
    await shop.sell(2, 4, "ann+course@example.com")
    assert await shop.sources() == {"youtube": 0, "": 20_000}


@pytest.mark.parametrize("seed", range(6))
async def test_whenever_it_is_turned_on_or_off_people_end_as_if_it_always_had_been(
    client: httpx.AsyncClient, make_tenant: TenantMaker, run_jobs: Run, seed: int
) -> None:
    chance = random.Random(seed)
    addresses = [f"{who}{tag}@example.com" for who in ("ann", "bob") for tag in ("", "+a", "+b")]
    happened: list[tuple[str, Any]] = [("visit", (f"source{n}", n, chance.choice(addresses))) for n in range(5)]
    happened += [
        ("sell", (n, 5 + n % 3, chance.choice(addresses), chance.choice(["c1", "c2", None, None]))) for n in range(5)
    ]
    chance.shuffle(happened)

    async def live(switches: dict[int, bool]) -> dict[str, int]:
        shop = Shop(client, await make_tenant(plugins=()), run_jobs)
        await shop.open()
        for number, (what, arguments) in enumerate(happened):
            if number in switches:
                await aliases(shop, on=switches[number])
            await getattr(shop, what)(*arguments)
        if len(happened) in switches:
            await aliases(shop, on=switches[len(happened)])
        return await shop.sources()

    assert await live({4: True, 10: False}) == await live({})
    assert await live({10: True}) == await live({0: True})
