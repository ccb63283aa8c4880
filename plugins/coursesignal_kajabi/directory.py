"""The buyers and offers that rows of money refer to by id: asked for once, many at a time, and remembered for a while.

Rows of a list name only ids, and whether lists take ``include`` is not documented. A page with many unknown buyers therefore also
pays for pages of the customers' list, half as many as the single look-ups it needs: so a first sync asks about once per hundred
buyers instead of once per buyer, and reading a list that turns out too long costs half as much again, never more.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from coursesignal_kajabi.api import KajabiApi
from coursesignal_kajabi.resources import Resource
from coursesignal_kajabi.translate import Known

CUSTOMERS, OFFERS, TRANSACTIONS = "/v1/customers", "/v1/offers", "/v1/transactions"
REMEMBERED_S = 600.0
MOST_ROWS = 50_000
MOST_ACCOUNTS = 50
WORTH_LISTING = 10
"""A page with fewer unknown buyers looks them up one by one."""


class Directory:
    """What is known of one site's customers, offers and transactions."""

    def __init__(self, site: str, page_size: int) -> None:
        self.until = time.monotonic() + REMEMBERED_S
        self._params = {"filter[site_id]": site} if site else {}
        self._page_size = page_size
        self._rows: dict[str, dict[str, Resource]] = {CUSTOMERS: {}, OFFERS: {}, TRANSACTIONS: {}}
        self._cursor: str | None = None
        self._listed = False
        self._pages_paid = 0

    async def known(self, api: KajabiApi, rows: Sequence[Resource]) -> Known:
        """The buyers and offers of these rows. Raises AuthFailed, Unavailable."""
        buyers = {key for row in rows for key in row.related("customer")}
        await self._list_buyers(api, buyers)
        customers = await self.find(api, CUSTOMERS, buyers)
        offers = await self.find(api, OFFERS, (key for row in rows for key in row.related("offer", "offers")))
        return Known(customers, offers)

    async def find(self, api: KajabiApi, path: str, keys: Iterable[str]) -> Mapping[str, Resource]:
        """The resources of these ids that exist, asked for when they are not known."""
        wanted, known = set(keys), self._rows[path]
        self.remember(path, (await api.look_up(path, wanted - known.keys())).values())
        return {key: known[key] for key in wanted & known.keys()}

    def remember(self, path: str, rows: Iterable[Resource]) -> None:
        """Keep rows for later, as many as there is room for."""
        known = self._rows[path]
        for row in rows:
            if len(known) < MOST_ROWS:
                known[row.key] = row

    async def _list_buyers(self, api: KajabiApi, wanted: set[str]) -> None:
        """Read on in the list of customers, as far as this page's unknown buyers pay for."""
        known = self._rows[CUSTOMERS]
        missing = wanted - known.keys()
        if len(missing) < WORTH_LISTING:
            return
        self._pages_paid += len(missing) // 2
        while missing - known.keys() and self._pages_paid and not self._listed and len(known) < MOST_ROWS:
            page = await api.page(CUSTOMERS, self._params, self._cursor, self._page_size)
            self.remember(CUSTOMERS, page.rows)
            self._cursor, self._listed = page.cursor, page.cursor is None
            self._pages_paid -= 1


class Directories:
    """The directories of this process, by access token and site: whoever logs in anew begins a new one."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Directory] = {}

    def of(self, api: KajabiApi, site: str, page_size: int) -> Directory:
        """The site's directory; a new one when there is none or it has become old."""
        now = time.monotonic()
        key = (api.token, site)
        kept = self._kept.get(key)
        if kept is None or kept.until < now:
            self._kept = {one: found for one, found in self._kept.items() if found.until >= now}
            if len(self._kept) >= MOST_ACCOUNTS:
                self._kept.clear()
            kept = self._kept[key] = Directory(site, page_size)
        return kept
