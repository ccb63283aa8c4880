"""The tables of reports for which one line per row of their list would not add up, or be too wide."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from coursesignal.analytics.flatten import UNATTRIBUTED, Cell
from coursesignal.currency import decimal_amount
from coursesignal.reports import ContentReport, CoverageReport, JourneysReport, MoneySum, PurchaseSum

Table = list[Sequence[Cell]]


def content_lines(report: msgspec.Struct) -> Table:
    """One line per piece of content, then what is credited to none of them: ``revenue`` adds up to the net revenue."""
    assert isinstance(report, ContentReport)
    header = (
        "name", "source", "campaign", "visitors", "opt_ins", "opt_in_rate", "purchases", "students", "charged", "refunded",
        "revenue", "conversion_rate", "revenue_per_visitor", "currency", "model",
    )  # fmt: skip
    code, model = report.currency, report.model
    rows: Table = [
        (
            row.name, row.source, row.campaign, row.visitors, row.opt_ins, row.opt_in_rate, row.purchases, row.students,
            _amount(row.charged_minor, code), _amount(row.refunded_minor, code), _amount(row.revenue_minor, code),
            row.conversion_rate, _amount(row.revenue_per_visitor_minor, code), code, model,
        )
        for row in report.rows
    ]  # fmt: skip
    rest = (("(unlisted)", report.other_rows), ("(unnamed)", report.unnamed), (UNATTRIBUTED, report.unattributed))
    return [header, *rows, *(_money(name, found, code, model) for name, found in rest)]


def _money(name: str, found: MoneySum, code: str, model: str) -> Sequence[Cell]:
    amounts = (found.charged_minor, found.refunded_minor, found.revenue_minor)
    return (name, *[None] * 7, *(_amount(amount, code) for amount in amounts), None, None, code, model)


def journey_lines(report: msgspec.Struct) -> Table:
    """One line per way, then the purchases that are in none: ``revenue`` adds up to the net revenue."""
    assert isinstance(report, JourneysReport)
    code = report.currency
    header = ("steps", "purchases", "share", "revenue", "average_touches", "median_days", "currency")
    rows: Table = [
        (
            " > ".join(path.steps), path.purchases, path.share, _amount(path.revenue_minor, code), path.average_touches,
            path.median_days, code,
        )
        for path in report.paths
    ]  # fmt: skip
    rest = (
        ("(unlisted)", report.other_paths),
        ("(no journey)", report.without_journey),
        ("(bought earlier)", report.made_earlier),
    )
    return [header, *rows, *(_purchases(name, found, code) for name, found in rest)]


def _purchases(name: str, found: PurchaseSum, code: str) -> Sequence[Cell]:
    return (name, found.purchases, None, _amount(found.revenue_minor, code), None, None, code)


def coverage_lines(report: msgspec.Struct) -> Table:
    """One line per status and reason, with the ids of its examples."""
    assert isinstance(report, CoverageReport)
    code = report.currency
    header = (
        "status", "reason", "explanation", "next_step", "purchases", "share", "charged", "refunded", "net_revenue", "examples",
        "currency", "model",
    )  # fmt: skip
    rows: Table = [
        (
            row.status, row.reason, row.explanation, row.next_step, row.purchases, row.share, _amount(row.charged_minor, code),
            _amount(row.refunded_minor, code), _amount(row.net_revenue_minor, code),
            " ".join(str(example.id) for example in row.examples), code, report.model,
        )
        for row in report.rows
    ]  # fmt: skip
    return [header, *rows]


def _amount(amount_minor: int | None, currency: str) -> Decimal | None:
    return None if amount_minor is None else Decimal(decimal_amount(amount_minor, currency))
