"""Every report that can be downloaded, by name: what answers it, and which of the query's own parameters it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypeVar, cast

import msgspec

from coursesignal.analytics import (
    cohorts,
    content,
    coverage,
    funnel,
    journeys,
    lifetime,
    purchases,
    reconciliation,
    returning,
    sources,
    students,
    summary,
    visit_schemas,
    visits,
)
from coursesignal.analytics.compare import By, compare
from coursesignal.analytics.daily import by_day
from coursesignal.analytics.flatten import UNATTRIBUTED, Cell, table
from coursesignal.analytics.goal_report import lines as goal_lines
from coursesignal.analytics.goal_report import report as goal_report
from coursesignal.analytics.insight_tables import content_lines, coverage_lines, journey_lines
from coursesignal.analytics.ledger import EVERYTHING, Row, ledger
from coursesignal.analytics.months import Interval, fitting
from coursesignal.analytics.reading import Reading
from coursesignal.analytics.schemas import Ledger, LedgerLine
from coursesignal.analytics.self_reported import self_reported
from coursesignal.currency import decimal_amount
from coursesignal.errors import FieldError, Invalid

PAGE = 5000


@dataclass(frozen=True, slots=True)
class Query:
    """A report's own parameters, as the query spells them; ``row`` is the row of a report that the ledger is opened for."""

    given: Mapping[str, str]
    row: Row = EVERYTHING

    def text(self, name: str) -> str:
        """Free text, empty without any."""
        return self.given.get(name, "")

    def needed(self, name: str) -> str:
        """Free text; raises Invalid without any."""
        if not self.text(name):
            raise Invalid("This report needs to know more.", errors=[FieldError(name, "Give a value.")])
        return self.text(name)

    def one_of(self, name: str, *choices: str) -> str:
        """One of ``choices``, the first without any; raises Invalid for another."""
        value = self.text(name) or choices[0]
        if value not in choices:
            raise Invalid(
                "Some fields are not valid.", errors=[FieldError(name, f"Must be one of {', '.join(choices)}.")]
            )
        return value


@dataclass(frozen=True, slots=True)
class Exportable:
    """A report for download: ``answer`` gives all of it, ``main`` names the list that a table has lines for."""

    answer: Callable[[Reading, Query], Awaitable[msgspec.Struct]]
    main: str = ""
    every_model: bool = False
    """It reads the credits of other models than the reading's."""
    lines: Callable[[msgspec.Struct], list[Sequence[Cell]]] | None = None
    """Makes the table where one line per entry of the list is not enough."""

    def table(self, report: msgspec.Struct) -> list[Sequence[Cell]]:
        """Header and lines."""
        return self.lines(report) if self.lines else table(report, self.main)


P = TypeVar("P", bound="Paged")


class Paged(Protocol):
    """A report in pages."""

    @property
    def items(self) -> tuple[msgspec.Struct, ...]: ...
    @property
    def next_cursor(self) -> str | None: ...


async def whole(page: Callable[[str], Awaitable[P]]) -> P:
    """All pages of a report as one: ``page`` takes a cursor."""
    first = last = await page("")
    items = list(first.items)
    while last.next_cursor:
        last = await page(last.next_cursor)
        items += last.items
    return cast(P, msgspec.structs.replace(cast(msgspec.Struct, first), items=tuple(items), next_cursor=None))


async def _sources(about: Reading, query: Query) -> msgspec.Struct:
    return await sources.by_source(about)


async def _drilldown(about: Reading, query: Query) -> msgspec.Struct:
    return await sources.of_source(about, query.needed("source"))


async def _daily(about: Reading, query: Query) -> msgspec.Struct:
    return await by_day(about)


async def _summary(about: Reading, query: Query) -> msgspec.Struct:
    return await summary.summarise(about, query.text("source"))


async def _purchases(about: Reading, query: Query) -> msgspec.Struct:
    return await whole(lambda cursor: purchases.page(about, limit=PAGE, cursor=cursor))


async def _ledger(about: Reading, query: Query) -> msgspec.Struct:
    return await whole(lambda cursor: ledger(about, limit=PAGE, cursor=cursor, row=query.row))


async def _reconciliation(about: Reading, query: Query) -> msgspec.Struct:
    return await reconciliation.reconcile(about)


async def _compare(about: Reading, query: Query) -> msgspec.Struct:
    return await compare(about, about.models, cast(By, query.one_of("by", "source", "channel")))


async def _students(about: Reading, query: Query) -> msgspec.Struct:
    source = query.text("source")
    return await whole(
        lambda cursor: students.students(
            about, sort="lastPurchase", order="desc", limit=purchases.MAX_LIMIT, cursor=cursor, source=source
        )
    )


async def _lifetime(about: Reading, query: Query) -> msgspec.Struct:
    return await lifetime.lifetime_value(about, cast(lifetime.By, query.one_of("by", "source", "channel", "campaign")))


async def _cohorts(about: Reading, query: Query) -> msgspec.Struct:
    return await cohorts.cohorts(about, source=query.text("source"), channel=query.text("channel"))


async def _new_returning(about: Reading, query: Query) -> msgspec.Struct:
    asked = query.one_of("interval", fitting(about.period), "day", "week", "month")
    return await returning.new_and_returning(about, cast(Interval, asked))


async def _goals(about: Reading, query: Query) -> msgspec.Struct:
    return await goal_report(about)


async def _self_reported(about: Reading, query: Query) -> msgspec.Struct:
    return await self_reported(about)


async def _funnel(about: Reading, query: Query) -> msgspec.Struct:
    return await funnel.funnel(about, cast(funnel.By, query.one_of("by", "source", "channel")))


async def _journeys(about: Reading, query: Query) -> msgspec.Struct:
    by = query.one_of("by", "channel", "source", "campaign")
    return await journeys.journeys(about, cast(journeys.By, by), PAGE)


async def _content(about: Reading, query: Query) -> msgspec.Struct:
    by = query.one_of("by", "landing", "campaign", "content", "referrer")
    return await content.content(about, cast(content.By, by), PAGE)


async def _coverage(about: Reading, query: Query) -> msgspec.Struct:
    return await coverage.coverage(about)


async def _daily_visits(about: Reading, query: Query) -> msgspec.Struct:
    by = query.one_of("by", "channel", "source", "medium", "campaign")
    return await visits.daily_visits(about, cast(visit_schemas.By, by), PAGE)


async def _daily_sources(about: Reading, query: Query) -> msgspec.Struct:
    return await visits.daily_sources(about)


def _credits(report: msgspec.Struct) -> list[Sequence[Cell]]:
    """One line per credit, and one for what a purchase has unattributed: ``amount`` adds up to the net revenue, or to the row."""
    assert isinstance(report, Ledger)
    header = (
        "purchase_id", "platform", "purchased_at", "status", "product", "email", "source", "channel", "medium", "campaign",
        "content", "weight", "amount", "currency", "model", "landing", "match", "reason",
    )  # fmt: skip
    return [header, *(credit for line in report.items for credit in _credits_of(line, report))]


def _credits_of(line: LedgerLine, report: Ledger) -> Iterator[Sequence[Cell]]:
    at, code, model = line.purchased_at.isoformat().replace("+00:00", "Z"), line.currency, report.model
    purchase = (str(line.id), line.platform, at, line.status, line.product, line.email)
    for credit in line.credits:
        if credit.selected:
            yield (
                *purchase, credit.source, credit.channel, credit.medium, credit.campaign, credit.content,
                round(credit.weight, 6), _amount(credit.amount_minor, code), code, model, credit.landing, line.match,
                credit.reason,
            )  # fmt: skip
    if report.selected is None and (line.unattributed_minor or not line.credits):
        yield (
            *purchase, UNATTRIBUTED, "", "", "", "", None, _amount(line.unattributed_minor, code), code, model, "",
            line.match, line.evidence,
        )  # fmt: skip


def _amount(amount_minor: int, currency: str) -> Decimal:
    return Decimal(decimal_amount(amount_minor, currency))


EXPORTABLE: Mapping[str, Exportable] = {
    "sources": Exportable(_sources),
    "ledger": Exportable(_ledger, lines=_credits),
    "daily": Exportable(_daily),
    "daily-visits": Exportable(_daily_visits, main="days"),
    "daily-sources": Exportable(_daily_sources),
    "summary": Exportable(_summary),
    "drilldown": Exportable(_drilldown),
    "purchases": Exportable(_purchases),
    "reconciliation": Exportable(_reconciliation),
    "compare": Exportable(_compare, every_model=True),
    "students": Exportable(_students),
    "lifetime-value": Exportable(_lifetime),
    "cohorts": Exportable(_cohorts),
    "new-returning": Exportable(_new_returning),
    "new-returning-intervals": Exportable(_new_returning, main="intervals"),
    "funnel": Exportable(_funnel),
    "journeys": Exportable(_journeys, every_model=True, lines=journey_lines),
    "content": Exportable(_content, lines=content_lines),
    "coverage": Exportable(_coverage, lines=coverage_lines),
    "goals": Exportable(_goals, lines=goal_lines),
    "self-reported": Exportable(_self_reported),
}
"""A new report is one line here."""


def exportable(report: str) -> Exportable:
    """The report of this name; raises Invalid for an unknown one."""
    if report not in EXPORTABLE:
        raise Invalid(
            "This report cannot be exported.", errors=[FieldError("report", f"Must be one of {', '.join(EXPORTABLE)}.")]
        )
    return EXPORTABLE[report]
