"""Reports as files: CSV that a spreadsheet opens without running anything, the answer itself as JSON, and plugins' formats."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from coursesignal.analytics.answers import told
from coursesignal.analytics.exportable import Query, exportable
from coursesignal.analytics.flatten import Cell as Cell
from coursesignal.analytics.reading import Reading
from coursesignal.errors import RateLimited
from coursesignal.plugin import Exporter

MEDIA_TYPE = "text/csv"
"""The web layer adds the charset, UTF-8, to every text."""
FORMATS = ("csv", "json")
"""What core writes itself."""
FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")
"""What makes a spreadsheet run a cell; the last four are the full-width forms."""


@dataclass(frozen=True, slots=True)
class File:
    """A finished download."""

    name: str
    media_type: str
    content: bytes


async def export(
    reading: Reading, report: str, query: Query, exporter: Exporter | None = None, file_format: str = "csv"
) -> File:
    """The reading's period as a file: CSV, JSON, or what a plugin's ``exporter`` writes.

    Tables have decimal amounts in the currency of their row; JSON is what the report's own address answers, all pages in one.
    Times are UTC. Raises Invalid for an unknown report, RateLimited while another export of the tenant runs.
    """
    wanted = exportable(report)
    await _one_at_a_time(reading)
    answer = await wanted.answer(reading, query)
    name = f"coursesignal-{report}-{reading.period.first}-to-{reading.period.last}"
    if exporter is not None:
        columns, *lines = wanted.table(answer)
        content = b"".join([chunk async for chunk in exporter.export([str(c) for c in columns], _each(lines))])
        return File(f"{name}{exporter.suffix}", exporter.media_type, content)
    if file_format == "json":
        content = msgspec.json.encode({**msgspec.to_builtins(answer), **await told(reading)})
        return File(f"{name}.json", "application/json", content)
    return File(f"{name}.csv", MEDIA_TYPE, to_csv(wanted.table(answer)))


async def _each(rows: Sequence[Sequence[Cell]]) -> AsyncIterator[Sequence[Cell]]:
    for row in rows:
        yield row


def to_csv(rows: Iterable[Sequence[Cell]]) -> bytes:
    """RFC 4180: CRLF, quotes doubled; UTF-8 without a byte-order mark."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows([_guarded(cell) for cell in row] for row in rows)
    return out.getvalue().encode()


def _guarded(cell: Cell) -> Cell:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if not isinstance(cell, str):
        return cell
    start = cell.lstrip(" \u00a0\u200b\ufeff")[:1]
    return f"'{cell}" if start in FORMULA_STARTS and start else cell


async def _one_at_a_time(reading: Reading) -> None:
    """Hold the tenant's export lock until the transaction ends."""
    key = f"coursesignal-export:{reading.tenant.id}"
    if not await reading.fetchval("select pg_try_advisory_xact_lock(hashtextextended($1, 0))", key):
        raise RateLimited("Another export is running. Wait until it is done.", retry_after_s=5)
