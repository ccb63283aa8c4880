"""Reports as CSV files that a spreadsheet opens without running anything in them."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from coursesignal.analytics.daily import by_day
from coursesignal.analytics.ledger import ledger
from coursesignal.analytics.reading import Reading
from coursesignal.analytics.schemas import LedgerLine
from coursesignal.analytics.sources import by_source
from coursesignal.currency import decimal_amount
from coursesignal.errors import FieldError, Invalid, RateLimited
from coursesignal.plugin import Exporter

MEDIA_TYPE = "text/csv"
"""The web layer adds the charset, UTF-8, to every text."""
REPORTS = ("sources", "ledger", "daily")
LEDGER_PAGE = 5000
FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")
"""What makes a spreadsheet run a cell; the last four are the full-width forms."""

Cell = str | int | float | Decimal | None
"""Text is guarded, numbers are written as they are, None is empty."""


@dataclass(frozen=True, slots=True)
class File:
    """A finished download."""

    name: str
    media_type: str
    content: bytes


async def export(reading: Reading, report: str, exporter: Exporter | None = None) -> File:
    """The reading's period as a file: CSV, or what a plugin's ``exporter`` writes.

    Amounts are decimal in the currency of their row. Times are UTC. Raises Invalid for an unknown report, RateLimited while
    another export of the tenant runs.
    """
    if report not in REPORTS:
        raise Invalid(
            "This report cannot be exported.", errors=[FieldError("report", f"Must be one of {', '.join(REPORTS)}.")]
        )
    await _one_at_a_time(reading)
    rows = await {"sources": _sources, "ledger": _ledger, "daily": _daily}[report](reading)
    name = f"coursesignal-{report}-{reading.period.first}-to-{reading.period.last}"
    if exporter is None:
        return File(f"{name}.csv", MEDIA_TYPE, to_csv(rows))
    columns, *lines = rows
    content = b"".join([chunk async for chunk in exporter.export([str(c) for c in columns], _each(lines))])
    return File(f"{name}{exporter.suffix}", exporter.media_type, content)


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


def _amount(amount_minor: int | None, currency: str) -> Decimal | None:
    return None if amount_minor is None else Decimal(decimal_amount(amount_minor, currency))


async def _sources(reading: Reading) -> list[Sequence[Cell]]:
    """One row per source and one for what is unattributed; together they are the period's net revenue."""
    report = await by_source(reading)
    code = report.currency
    header = (
        "source", "channel", "visitors", "revenue", "charged", "refunded", "students", "purchases", "conversion_rate",
        "average_order", "revenue_per_visitor", "currency", "model",
    )  # fmt: skip
    rows: list[Sequence[Cell]] = [
        (
            row.source, row.channel, row.visitors, _amount(row.revenue_minor, code), _amount(row.charged_minor, code),
            _amount(row.refunded_minor, code), row.students, row.purchases, row.conversion_rate,
            _amount(row.average_order_minor, code), _amount(row.revenue_per_visitor_minor, code), code, report.model,
        )
        for row in report.rows
    ]  # fmt: skip
    rest = report.unattributed
    rows.append(
        (
            "(unattributed)", "", None, _amount(rest.revenue_minor, code), _amount(rest.charged_minor, code),
            _amount(rest.refunded_minor, code), rest.students, rest.purchases, None, None, None, code, report.model,
        )
    )  # fmt: skip
    return [header, *rows]


async def _daily(reading: Reading) -> list[Sequence[Cell]]:
    report = await by_day(reading)
    code = report.currency
    rows: list[Sequence[Cell]] = [
        (
            day.date.isoformat(), _amount(day.revenue_minor, code), _amount(day.refunded_minor, code),
            _amount(day.net_revenue_minor, code), day.purchases, code,
        )
        for day in report.days
    ]  # fmt: skip
    return [("date", "revenue", "refunded", "net_revenue", "purchases", "currency"), *rows]


async def _ledger(reading: Reading) -> list[Sequence[Cell]]:
    """One row per credit, and one for what a purchase has unattributed: the column ``amount`` adds up to the net revenue."""
    rows: list[Sequence[Cell]] = [(
        "purchase_id", "platform", "purchased_at", "status", "product", "email", "source", "channel", "medium", "campaign",
        "content", "weight", "amount", "currency", "model",
    )]  # fmt: skip
    cursor: str | None = ""
    while cursor is not None:
        page = await ledger(reading, limit=LEDGER_PAGE, cursor=cursor)
        for line in page.items:
            rows.extend(_credits_of(line, page.model))
        cursor = page.next_cursor
    return rows


def _credits_of(line: LedgerLine, model: str) -> Iterator[Sequence[Cell]]:
    at = line.purchased_at.isoformat().replace("+00:00", "Z")
    purchase = (str(line.id), line.platform, at, line.status, line.product, line.email)
    for credit in line.credits:
        yield (
            *purchase, credit.source, credit.channel, credit.medium, credit.campaign, credit.content,
            round(credit.weight, 6), _amount(credit.amount_minor, line.currency), line.currency, model,
        )  # fmt: skip
    if line.unattributed_minor or not line.credits:
        yield (
            *purchase, "(unattributed)", "", "", "", "", None, _amount(line.unattributed_minor, line.currency),
            line.currency, model,
        )  # fmt: skip
