"""The demo after its history: visitors come, some buy, and each sale is followed until the report names its source."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from coursesignal.demo import console, story, traffic
from coursesignal.demo.api import Api, DemoFailed, until
from coursesignal.demo.books import Books
from coursesignal.demo.journeys import Buyer
from coursesignal.demo.world import Premises
from coursesignal.testing.platforms import FakeSale

VISITOR_EVERY_S = (0.6, 3.0)
SALE_EVERY_S = (7.0, 16.0)
REFUND_CHANCE = 0.08
SEEN_WITHIN_S = 20.0


@dataclass(slots=True)
class Stage:
    """One shop, live. ``next_person`` numbers the people it makes up."""

    premises: Premises
    books: Books
    api: Api
    next_person: int
    rng: random.Random = field(default_factory=random.Random)
    sold: deque[FakeSale] = field(default_factory=lambda: deque(maxlen=20))

    async def play(self) -> None:
        """Visitors and sales until cancelled."""
        await asyncio.gather(self._again(self._passing, VISITOR_EVERY_S), self._again(self._selling, SALE_EVERY_S))

    async def _again(self, act: Callable[[], Awaitable[None]], every_s: tuple[float, float]) -> None:
        """Act now and then; what fails, as while the web process is started again, is told and not repeated."""
        while True:
            try:
                await act()
            except (httpx.TransportError, DemoFailed) as error:
                self._say(str(error) or type(error).__name__)
            await asyncio.sleep(self.rng.uniform(*every_s))

    async def _passing(self) -> None:
        await self._visit(buys=False)

    async def _selling(self) -> None:
        await self.sale()
        if self.rng.random() < REFUND_CHANCE:
            await self.refund()

    async def _visit(self, *, buys: bool) -> Buyer:
        """Somebody comes; their browser posts what it saw."""
        now = datetime.now(UTC).replace(microsecond=0)
        self.next_person += 1
        told = story.passer_by(self.premises.shop, self.rng, now, number=self.next_person, buys=buys)
        for visitor in told.visitors:
            for post in traffic.orderly(visitor, self.premises.shop.site, self.premises.site_key):
                await post.send(self.api.http)
        return told

    async def sale(self) -> None:
        """A visitor buys: the platform tells of it, now and then twice, and the report names where the buyer came from."""
        (sale,) = (await self._visit(buys=True)).sales
        self.sold.append(self.books.sell(sale))
        began = asyncio.get_running_loop().time()
        await self.books.platform.deliver(http=self.api.http, copies=self.rng.choice((1, 1, 2)), rng=self.rng)
        line: dict[str, Any] = {}

        async def credited() -> bool:
            recent = await self.api.get("/api/analytics/recent-purchases", limit=10)
            line.update(next((item for item in recent["items"] if item["email"] == sale.email and item["source"]), {}))
            return bool(line)

        found = await until(credited, SEEN_WITHIN_S)
        took_s = asyncio.get_running_loop().time() - began
        price = console.amount(sale.payments[0].amount_minor, sale.currency)
        came = f"from {line['source']}, in the report after {took_s:.1f} s" if found else "not in the report yet"
        self._say(f"{price:>12}  {sale.product.title} – {came}")

    async def refund(self) -> None:
        """One of the latest buyers wants the money back; the platform's books tell of it."""
        if not self.sold:
            return
        sale = self.sold.popleft()
        self.books.refund(sale)
        await self.books.platform.deliver(http=self.api.http)
        await self.api.post(f"/api/{self.premises.shop.platform}/sync")
        self._say(f"{console.amount(-sale.amount_minor, sale.currency):>12}  {sale.product.title} – refunded")

    def _say(self, text: str) -> None:
        console.say(f"  {datetime.now().astimezone():%H:%M:%S}  {self.premises.shop.name:<19} {text}")
