"""The two invented shops on their platforms: fake ones, but real servers over HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from coursesignal.demo.plan import Sale
from coursesignal.demo.shops import SHOPS, Shop
from coursesignal.testing.platforms import FakeKajabi, FakePlatform, FakeSale, FakeTeachable


@dataclass(frozen=True, slots=True)
class Platforms:
    """Every shop's platform, by the shop's slug."""

    by_shop: Mapping[str, FakePlatform]

    @property
    def urls(self) -> Mapping[str, str]:
        """Where the connections must go instead of to the real ones."""
        return {platform.slug: platform.url for platform in self.by_shop.values()}


def credentials(shop: Shop) -> Mapping[str, Any]:
    """What the shop's owner enters to connect; worth nothing anywhere else."""
    if shop.platform == "kajabi":
        return {"clientId": f"{shop.slug}-client", "clientSecret": f"{shop.slug}-secret"}
    return {"apiKey": f"{shop.slug}-key", "school": shop.name}


@contextlib.asynccontextmanager
async def started(first_number: int = 0) -> AsyncIterator[Platforms]:
    """Both platforms up; what they sell is numbered above ``first_number``."""
    async with contextlib.AsyncExitStack() as stack:
        by_shop: dict[str, FakePlatform] = {}
        for shop in SHOPS:
            by_shop[shop.slug] = await stack.enter_async_context(_platform(shop).count_from(first_number))
        yield Platforms(by_shop)


def _platform(shop: Shop) -> FakePlatform:
    known = credentials(shop)
    if shop.platform == "kajabi":
        sites = {"2": shop.name}
        return FakeKajabi(client_id=known["clientId"], client_secret=known["clientSecret"], sites=sites)
    return FakeTeachable(api_key=known["apiKey"])


def sell(platform: FakePlatform, sale: Sale) -> FakeSale:
    """Have the platform book the sale with its renewals and refunds, and put what it pushes on its list."""
    first = platform.sell(
        sale.email or "",
        sale.payments[0].amount_minor,
        sale.currency,
        product=sale.product.title,
        name=sale.name,
        at=sale.at,
        recurring=sale.product.renews,
    )
    for number, payment in enumerate(sale.payments):
        paid = platform.renew(first, at=payment.at) if number else first
        for refund in payment.refunds:
            platform.refund(paid, refund.amount_minor, at=refund.at)
    return first
