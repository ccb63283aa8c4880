"""docs/reports.md says what every column of these reports means, and every reason why a purchase is not credited."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, get_args

import msgspec
import pytest

from coursesignal.analytics.coverage_reasons import EXPLANATIONS, NEXT_STEPS, Reason
from coursesignal.analytics.exportable import EXPORTABLE
from coursesignal.analytics.visit_schemas import DailyVisits
from coursesignal.reports import (
    CohortReport,
    ContentReport,
    CoverageReport,
    FunnelReport,
    Insight,
    JourneysReport,
    LifetimeReport,
    NewReturningReport,
    StudentsReport,
)

PAGE = (files("coursesignal") / "docs" / "reports.md").read_text(encoding="utf-8")
EVERYWHERE = {
    "from", "to", "currency", "model", "hint", "otherCurrencies", "timeZone", "by", "sort", "interval", "rows", "items", "cells",
    "totals", "unattributed", "nextCursor", "refundedMinor", "days", "touches", "examples", "steps", "at",
}  # fmt: skip
"""Of the page as a whole: the question told back, pages, and lists named by their report."""


def columns(kind: Any) -> Iterator[str]:
    """The names of an answer's fields, and of what is in them."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            yield field.encode_name
            if kind.__module__ not in ("coursesignal.reports.base", "coursesignal.reports.revenue"):
                yield from columns(field.type)
    for part in get_args(kind):
        yield from columns(part)


@pytest.mark.parametrize(
    ("name", "report"),
    [
        ("students", StudentsReport), ("lifetime-value", LifetimeReport), ("cohorts", CohortReport),
        ("new-returning", NewReturningReport), ("funnel", FunnelReport), ("journeys", JourneysReport),
        ("content", ContentReport), ("coverage", CoverageReport), ("daily-visits", DailyVisits),
    ],
)  # fmt: skip
def test_every_column_is_explained_in_its_reports_section(name: str, report: type[msgspec.Struct]) -> None:
    found = re.search(rf"^## {name}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, name
    told = {word for code in re.findall(r"`([^`]+)`", found[1]) for word in re.findall(r"[A-Za-z]+", code)}
    beside = {field.encode_name for field in msgspec.structs.fields(Insight)}
    currencies = {"revenueMinor", "netRevenueMinor", "purchases"}  # of otherCurrencies, as in the summary
    assert set(columns(report)) - EVERYWHERE - beside - currencies <= told
    assert name in EXPORTABLE


def test_every_reason_is_explained_and_all_but_the_good_one_say_what_to_do() -> None:
    for reason in Reason:
        assert f"| `{reason}` |" in PAGE
        assert EXPLANATIONS[reason]
    assert set(NEXT_STEPS) == set(Reason) - {Reason.CREDITED}
