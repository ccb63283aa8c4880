"""What rows refer to by id – buyers, offers, lines of carts: asked for once, many at a time, and remembered for a while.

Rows of a list name only ids, and whether lists take ``include`` is not documented. A page with many unknown ones therefore also
pays for pages of the list they are in, half as many as the single look-ups it needs: so a first sync asks about once per hundred
buyers instead of once per buyer, and reading a list that turns out too long costs half as much again, never more.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from coursesignal_kajabi.api import KajabiApi
from coursesignal_kajabi.paging import Repeats
from coursesignal_kajabi.resources import Resource
from coursesignal_kajabi.translate import Known

CUSTOMERS, OFFERS, TRANSACTIONS, ORDER_ITEMS = "/v1/customers", "/v1/offers", "/v1/transactions", "/v1/order_items"
LISTED = {CUSTOMERS: {"fields[customers]": "name,email"}, ORDER_ITEMS: {"sort": "-created_at"}}
"""What is looked for in its list too, newest first (customers come so by themselves); of the others few are asked for."""
REMEMBERED_S = 600.0
MOST_ROWS = 10_000
"""Of one kind of one account."""
MOST_ACCOUNTS = 5
NEEDED = {CUSTOMERS: ("name", "email"), OFFERS: ("title",)}
"""All that is kept of what has many more attributes."""
WORTH_LISTING = 10
"""A page with fewer unknown ones looks them up one by one."""


@dataclass(slots=True)
class Shelf:
    """What is known of one kind of resource, and how far its list was read."""

    needed: Sequence[str] = ()
    rows: dict[str, Resource] = field(default_factory=dict)
    cursor: str | None = None
    is_listed: bool = False
    pages_paid: int = 0

    def remember(self, rows: Iterable[Resource]) -> None:
        """Keep rows for later, as many as there is room for."""
        for row in rows:
            if len(self.rows) < MOST_ROWS:
                self.rows[row.key] = slim(row, self.needed) if self.needed else row


def slim(row: Resource, needed: Sequence[str]) -> Resource:
    """The resource with these attributes alone."""
    attributes = {name: row.attributes[name] for name in needed if name in row.attributes}
    return Resource(id=row.id, kind=row.kind, attributes=attributes)


class Directory:
    """What is known of one site."""

    def __init__(self, site: str, page_size: int) -> None:
        self.until = time.monotonic() + REMEMBERED_S
        self._params = {"filter[site_id]": site} if site else {}
        self._page_size = page_size
        self._shelves = {path: Shelf(NEEDED.get(path, ())) for path in (CUSTOMERS, OFFERS, TRANSACTIONS, ORDER_ITEMS)}
        self._paid_by: dict[str, list[Resource]] = defaultdict(list)

    async def known(self, api: KajabiApi, rows: Sequence[Resource]) -> Known:
        """The buyers and offers of these rows. Raises AuthFailed, Unavailable."""
        customers = await self.find(api, CUSTOMERS, {key for row in rows for key in row.related("customer")})
        offers = await self.find(api, OFFERS, {key for row in rows for key in row.related("offer", "offers")})
        return Known(customers, offers)

    async def find(self, api: KajabiApi, path: str, wanted: Collection[str]) -> Mapping[str, Resource]:
        """The resources of these ids that exist, asked for when they are not known. Raises AuthFailed, Unavailable."""
        shelf = self._shelves[path]
        if path in LISTED:
            await self._read_list(api, path, shelf, wanted)
        found = await api.look_up(path, {*wanted} - shelf.rows.keys())
        shelf.remember(found.values())
        return {key: one for key in wanted if (one := shelf.rows.get(key) or found.get(key)) is not None}

    def remember_money(self, rows: Sequence[Resource]) -> None:
        """Keep transactions for those who ask for them later."""
        shelf = self._shelves[TRANSACTIONS]
        new = [row for row in rows if row.key not in shelf.rows]
        shelf.remember(new)
        for row in (row for row in new if row.key in shelf.rows):
            for buyer in row.related("customer"):
                self._paid_by[buyer].append(row)

    def paid_by(self, buyer: str) -> Sequence[Resource]:
        """The transactions of a buyer that were seen lately; there may be more."""
        return self._paid_by.get(buyer, ())

    async def _read_list(self, api: KajabiApi, path: str, shelf: Shelf, wanted: Collection[str]) -> None:
        """Read on in a list, as far as the unknown ones of this page pay for; an odd list is left at that."""
        missing = {*wanted} - shelf.rows.keys()
        if len(missing) < WORTH_LISTING:
            return
        shelf.pages_paid += len(missing) // 2
        while missing - shelf.rows.keys() and shelf.pages_paid and not shelf.is_listed and len(shelf.rows) < MOST_ROWS:
            try:
                page = await api.page(path, {**self._params, **LISTED[path]}, shelf.cursor, self._page_size)
            except Repeats:
                shelf.is_listed = True
                return
            shelf.remember(page.rows)
            shelf.cursor, shelf.is_listed = page.cursor, page.cursor is None
            shelf.pages_paid -= 1


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
            while len(self._kept) >= MOST_ACCOUNTS:
                self._kept.pop(next(iter(self._kept)))
            kept = self._kept[key] = Directory(site, page_size)
        return kept
