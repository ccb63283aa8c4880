"""Expected beside reported: one line per number, and whether they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coursesignal.demo.ledger import MODELS, Money, Totals
from coursesignal.demo.reported import Reported


@dataclass(frozen=True, slots=True)
class Line:
    """One number: an amount in minor units of ``currency``, or a count."""

    what: str
    currency: str
    expected: int
    reported: int
    is_count: bool = False

    @property
    def difference(self) -> int:
        return self.reported - self.expected


def compare(expected: Totals, reported: Reported) -> Sequence[Line]:
    """Every number of the ledger beside the report's, and every sum that must be 0."""
    found = reported.totals
    lines = [
        Line("visitors", "", expected.visitors, found.visitors, is_count=True),
        Line("students", "", expected.students, found.students, is_count=True),
    ]
    for source in sorted({*expected.visitors_by_source, *found.visitors_by_source}):
        by_source = expected.visitors_by_source[source], found.visitors_by_source[source]
        lines.append(Line(f"visitors from {source}", "", *by_source, is_count=True))
    for currency in sorted({*expected.money, *found.money}):
        lines += _money(currency, expected.money.get(currency, Money()), found.money.get(currency, Money()))
    lines += [Line(zero.what, zero.currency, 0, zero.amount_minor) for zero in reported.zeros]
    return lines


def _money(currency: str, expected: Money, found: Money) -> Iterator[Line]:
    yield Line("purchases", currency, expected.purchases, found.purchases, is_count=True)
    yield Line("charges", currency, expected.charged_minor, found.charged_minor)
    yield Line("refunds", currency, expected.refunded_minor, found.refunded_minor)
    yield Line("net", currency, expected.net_minor, found.net_minor)
    yield Line("unattributed", currency, expected.unattributed_minor, found.unattributed_minor)
    for model in MODELS:
        told, said = expected.credited[model], found.credited[model]
        for source in sorted({*told, *said}):
            yield Line(f"{model}: {source}", currency, told[source], said[source])
