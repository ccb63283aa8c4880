"""Connections that lose their processes: sync, webhooks and refunds go on while web and workers are killed at random.

At the end every platform's own books are compared with what our reports say, and with what reconciliation says of itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil

from coursesignal.benchmark.shops import Shop, connect, sell
from coursesignal.errors import ConfigurationError
from coursesignal.testing.platforms import FakeSale

PATIENCE_S = 900.0
POLL_S = 0.05
COPIES = 3
AT_ONCE = 10
"""Sales between deliveries."""
REFUND_EVERY = 10
LIFE_S = (1.5, 8.0)
"""How long a process lives before it is killed, at random: some before they can do anything, some after much."""
ROLES = ("web", "tasks")
Money = Mapping[str, tuple[int, int]]
"""Charged and refunded minor units, by currency."""


@dataclass(frozen=True, slots=True)
class Survived:
    """One platform after the kills: both sides' totals, and what reconciliation says."""

    slug: str
    ours: Money
    theirs: Money
    agrees: bool
    message: str
    progress: Sequence[str]
    """What the first sync said on its way."""
    seconds: float

    @property
    def is_equal(self) -> bool:
        return bool(self.ours) and self.ours == self.theirs and self.agrees


@dataclass(slots=True)
class Killer:
    """Kills children of a supervisor with SIGKILL at random, the web process and the worker ``each`` so often at most."""

    supervisor: int
    rng: random.Random
    each: int
    life_s: tuple[float, float] = LIFE_S
    killed: Counter[str] = field(default_factory=Counter[str])

    @property
    def is_done(self) -> bool:
        return all(self.killed[role] >= self.each for role in ROLES)

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        work = asyncio.gather(*(self._go_on(role) for role in ROLES))
        try:
            yield
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work

    async def _go_on(self, role: str) -> None:
        while self.killed[role] < self.each:
            await asyncio.sleep(self.rng.uniform(*self.life_s))
            if (process := self._child(role)) is not None:
                process.kill()
                self.killed[role] += 1

    def _child(self, role: str) -> psutil.Process | None:
        for process in psutil.Process(self.supervisor).children():
            with contextlib.suppress(psutil.Error):
                if role in process.cmdline():
                    return process
        return None


async def survive(url: str, shops: Sequence[Shop], killer: Killer, *, purchases: int, live: int) -> Sequence[Survived]:
    """Let every shop sync ``purchases`` and sell ``live`` more while the killer works, then come to rest without it."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        for shop in shops:
            sell(shop.platform, purchases)
            shop.platform.pending.clear()
        began = time.monotonic()
        async with killer.at_work():
            seen = await asyncio.gather(*(_live(http, shop, killer, live) for shop in shops))
        rest = await asyncio.gather(*(_come_to_rest(http, shop, began) for shop in shops))
    return [
        Survived(shop.slug, ours, _theirs(shop), found["agrees"], found["message"], progress, seconds)
        for shop, progress, (ours, found, seconds) in zip(shops, seen, rest, strict=True)
    ]


async def _live(http: httpx.AsyncClient, shop: Shop, killer: Killer, live: int) -> Sequence[str]:
    """Connect, watch the first sync, sell and refund until the last kill; webhooks come three times each and in any order."""
    await _insist(lambda: connect(http, shop))
    progress = await _synced(http, shop)
    sold: list[FakeSale] = []
    rng = killer.rng
    for number in itertools.count():
        if number >= live and killer.is_done:
            break
        sold.append(shop.platform.sell(f"live{number}@example.com", 2_000 + number))
        if number % REFUND_EVERY == REFUND_EVERY - 1:
            _refund(shop, rng, sold)
        if number % AT_ONCE == AT_ONCE - 1:
            await shop.platform.deliver(http=http, copies=COPIES, rng=rng)
    while shop.platform.pending:
        await shop.platform.deliver(http=http, copies=COPIES, rng=rng)
    return progress


def _refund(shop: Shop, rng: random.Random, sold: list[FakeSale]) -> None:
    """Part of a sale's price goes back, or all of it."""
    sale = sold.pop(rng.randrange(len(sold)))
    shop.platform.refund(sale, rng.choice((None, sale.amount_minor // 3)))


async def _come_to_rest(http: httpx.AsyncClient, shop: Shop, began: float) -> tuple[Money, Mapping[str, Any], float]:
    """One more sync: our totals, the comparison with the platform, and the seconds since everything began."""
    path = f"/api/{shop.slug}"
    await _insist(lambda: _asked(http, shop, "GET", "/api/connections/inbox", status="received", until=_is_empty))
    await _insist(lambda: _asked(http, shop, "POST", f"{path}/sync"))
    await _synced(http, shop)
    found = await _insist(lambda: _asked(http, shop, "GET", f"{path}/reconciliation"))
    report = await _insist(lambda: _asked(http, shop, "GET", "/api/analytics/reconciliation", range="all"))
    ours = {
        row["currency"]: (row["chargesMinor"], row["refundsMinor"])
        for row in report["rows"]
        if row["platform"] == shop.slug
    }
    return ours, found, time.monotonic() - began


def _theirs(shop: Shop) -> Money:
    return {name: (book.charged_minor, book.refunded_minor) for name, book in shop.platform.ledger().items()}


async def _synced(http: httpx.AsyncClient, shop: Shop) -> Sequence[str]:
    """Wait for the end of the newest sync; what it said until then. Raises ConfigurationError when it failed."""
    said: dict[str, None] = {}

    def ended(status: Any) -> bool:
        said[status["message"]] = None
        if status["status"] == "failed":
            raise ConfigurationError(f"The sync with {shop.slug} failed: {status['error']}")
        return bool(status["status"] == "completed")

    await _insist(lambda: _asked(http, shop, "GET", f"/api/{shop.slug}/sync-status", until=ended))
    return list(said)


def _is_empty(page: Any) -> bool:
    return not page["items"]


async def _asked(
    http: httpx.AsyncClient,
    shop: Shop,
    method: str,
    path: str,
    *,
    until: Callable[[Any], bool] = lambda answer: True,
    **params: str,
) -> Any:
    """What the API answers; asked again until the answer is such."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = await http.request(method, path, params=params, headers=shop.headers)
        answer.raise_for_status()
        told = answer.json()
        if until(told):
            return told
        await asyncio.sleep(POLL_S)
    raise ConfigurationError(f"{method} {path} of {shop.slug} did not come to an end within {PATIENCE_S:.0f} s.")


async def _insist(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask again while nobody answers, or only that it cannot be done now: as a person would while processes are killed."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await ask()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
        except httpx.HTTPStatusError as error:
            if error.response.status_code < 500 or time.monotonic() > deadline:
                raise
        await asyncio.sleep(POLL_S)
