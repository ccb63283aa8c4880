"""A sync's line to one site: its lists, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coursesignal_kajabi.api import KajabiApi, Listing
from coursesignal_kajabi.directory import TRANSACTIONS, Directories, Directory
from coursesignal_kajabi.resources import Resource


@dataclass(frozen=True, slots=True)
class Reader:
    """What the streams read with."""

    api: KajabiApi
    site: str
    page_size: int
    directories: Directories

    @property
    def directory(self) -> Directory:
        return self.directories.of(self.api, self.site, self.page_size)

    async def list(self, path: str, cursor: str | None, *, sort: str = "", **filters: str) -> Listing:
        """A page of the site's rows. Raises AuthFailed, Unavailable."""
        params = {**self._filtered(**filters), **({"sort": sort} if sort else {})}
        return await self.api.page(path, params, cursor, self.page_size)

    async def money_of_buyer(self, buyer: str) -> Sequence[Resource]:
        """All transactions of one buyer; none where Kajabi answers with anybody's. Raises AuthFailed, Unavailable."""
        found: list[Resource] = []
        async for row in self.api.rows(TRANSACTIONS, self._filtered(customer_id=buyer), self.page_size):
            if buyer not in row.related("customer"):
                return ()
            found.append(row)
        return found

    def _filtered(self, **filters: str) -> Mapping[str, str]:
        site = {"site_id": self.site} if self.site else {}
        return {f"filter[{name}]": value for name, value in {**site, **filters}.items()}
