"""What the invented shops sold, kept in a file of the installation: their platforms are fake, but forget nothing overnight.

Every sale and refund is a line. Told again in the same order, they give a new fake platform the same books under the same ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from coursesignal.demo.plan import Sale
from coursesignal.demo.platforms import sell
from coursesignal.testing.platforms import FakePlatform, FakeSale


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line: a sale of the history or of today, or the refund of the ``refunded``-th sale in the book."""

    sale: Sale | None = None
    history: bool = False
    refunded: int | None = None
    at: datetime | None = None


class Books:
    """One platform and the file of what it sold."""

    def __init__(self, platform: FakePlatform, path: Path) -> None:
        """Tell ``platform`` all that is in the file; nothing of it is pushed again."""
        self.platform = platform
        self._path = path
        self._sold: list[FakeSale] = []
        self._history: set[int] = set()
        for line in _whole_lines(path):
            self._tell(msgspec.json.decode(line, type=Entry))
        platform.pending.clear()

    @property
    def has_history(self) -> bool:
        return bool(self._history)

    def know(self, sales: Iterable[Sale]) -> None:
        """Enter a history, or what is missing of it; nothing of it is pushed."""
        self._enter(Entry(sale=sale, history=True) for sale in sales if sale.number not in self._history)
        self.platform.pending.clear()

    def sell(self, sale: Sale) -> FakeSale:
        """Enter a sale of now; its webhooks are pending."""
        self._enter([Entry(sale=sale)])
        return self._sold[-1]

    def refund(self, sale: FakeSale) -> None:
        """Give back what a sale of now cost."""
        self._enter([Entry(refunded=self._sold.index(sale), at=datetime.now(UTC).replace(microsecond=0))])

    def _enter(self, entries: Iterable[Entry]) -> None:
        """Write down, then tell: what the platform pushed is surely known to it after a crash too."""
        new = list(entries)
        with self._path.open("ab") as file:
            file.writelines(msgspec.json.encode(entry) + b"\n" for entry in new)
        for entry in new:
            self._tell(entry)

    def _tell(self, entry: Entry) -> None:
        if entry.sale is not None:
            self._sold.append(sell(self.platform, entry.sale))
            if entry.history:
                self._history.add(entry.sale.number)
        if entry.refunded is not None:
            self.platform.refund(self._sold[entry.refunded], at=entry.at)


def _whole_lines(path: Path) -> list[bytes]:
    """The file's lines; the half of one that a crash left is cut off."""
    if not path.exists():
        return []
    whole, _, half = path.read_bytes().rpartition(b"\n")
    if half:
        path.write_bytes(whole + b"\n" if whole else b"")
    return whole.splitlines()
