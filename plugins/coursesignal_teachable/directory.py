"""Students and pricing plans, which rows name only by id: asked for once, many at a time, and remembered for a while.

A page with many unknown ones also pays for pages of the list they are in, half as many as the single look-ups it needs: so a
first sync asks about once per hundred students instead of once per student, and a list that turns out too long costs half as much
again, never more.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from coursesignal_teachable.api import PricingPlan, PricingPlanPage, TeachableApi, User, UserPage

T = TypeVar("T", User, PricingPlan)

LIST_SIZE = 100
REMEMBERED_S = 600.0
MOST_ROWS = 10_000
"""Of one kind of one school; as far as Teachable counts pages of its students."""
MOST_SCHOOLS = 5
WORTH_LISTING = 5
"""A page with fewer unknown ones looks them up one by one."""


@dataclass(slots=True)
class Shelf(Generic[T]):
    """What is known of one kind, and how far its list was read."""

    rows: dict[str, T] = field(default_factory=dict)
    pages: int = 0
    is_listed: bool = False
    pages_paid: int = 0

    def remember(self, rows: Mapping[str, T]) -> None:
        """Keep rows for later, as many as there is room for."""
        for key, row in rows.items():
            if len(self.rows) < MOST_ROWS:
                self.rows[key] = row

    def begin(self, missing: Collection[str]) -> bool:
        """Whether to read on in the list for these; pays for it."""
        if len(missing) < WORTH_LISTING:
            return False
        self.pages_paid += max(1, len(missing) // 2)
        return True

    @property
    def may_read_on(self) -> bool:
        """Whether there is more of the list, paid for."""
        return bool(self.pages_paid) and not self.is_listed and len(self.rows) < MOST_ROWS

    def read(self, rows: Mapping[str, T], last_page: int | None) -> None:
        """Take in the next page; one without anything new is the last that is looked at."""
        self.pages, self.pages_paid = self.pages + 1, self.pages_paid - 1
        self.is_listed = rows.keys() <= self.rows.keys() or self.pages >= (last_page or self.pages)
        self.remember(rows)


@dataclass(slots=True)
class Directory:
    """What is known of one school."""

    until: float = field(default_factory=lambda: time.monotonic() + REMEMBERED_S)
    _users: Shelf[User] = field(default_factory=Shelf)
    _plans: Shelf[PricingPlan] = field(default_factory=Shelf)

    async def users(self, api: TeachableApi, wanted: Collection[str]) -> Mapping[str, User]:
        """The students that exist, by id. Raises AuthFailed, Unavailable."""
        shelf = self._users
        if shelf.begin({*wanted} - shelf.rows.keys()):
            while {*wanted} - shelf.rows.keys() and shelf.may_read_on:
                page = await api.page("/v1/users", UserPage, shelf.pages + 1, LIST_SIZE)
                shelf.read({str(row.id): row for row in page.users}, page.meta.number_of_pages)
        found = await api.users({*wanted} - shelf.rows.keys())
        shelf.remember(found)
        return {key: row for key in wanted if (row := shelf.rows.get(key) or found.get(key)) is not None}

    async def plans(self, api: TeachableApi, wanted: Collection[str]) -> Mapping[str, PricingPlan]:
        """The pricing plans that exist, by id. Raises AuthFailed, Unavailable."""
        shelf = self._plans
        if shelf.begin({*wanted} - shelf.rows.keys()):
            while {*wanted} - shelf.rows.keys() and shelf.may_read_on:
                page = await api.page("/v1/pricing_plans", PricingPlanPage, shelf.pages + 1, LIST_SIZE)
                shelf.read({str(row.id): row for row in page.pricing_plans}, page.meta.number_of_pages)
        found = await api.pricing_plans({*wanted} - shelf.rows.keys())
        shelf.remember(found)
        return {key: row for key in wanted if (row := shelf.rows.get(key) or found.get(key)) is not None}


class Directories:
    """The directories of this process, by key."""

    def __init__(self) -> None:
        self._kept: dict[str, Directory] = {}

    def of(self, api: TeachableApi) -> Directory:
        """The school's directory; a new one when there is none or it has become old."""
        now = time.monotonic()
        name = f"{api.base_url} {api.api_key}"
        kept = self._kept.get(name)
        if kept is None or kept.until < now:
            self._kept = {one: found for one, found in self._kept.items() if found.until >= now}
            while len(self._kept) >= MOST_SCHOOLS:
                self._kept.pop(next(iter(self._kept)))
            kept = self._kept[name] = Directory()
        return kept
