"""What the API reports of a tenant, brought into the ledger's shape so that the two can be laid side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from coursesignal.demo.api import Api
from coursesignal.demo.ledger import MODELS, Money, Totals

PAGE = 200


@dataclass(frozen=True, slots=True)
class Zero:
    """A difference that the reports must not have among themselves."""

    what: str
    currency: str
    amount_minor: int


@dataclass(slots=True)
class Reported:
    """The reports' totals, and the sums that must be 0 whatever happened."""

    totals: Totals
    zeros: list[Zero] = field(default_factory=list)


async def read(api: Api) -> Reported:
    """Read every report over all time."""
    summary = await api.get("/api/analytics/summary", range="all")
    found = Reported(Totals(visitors=summary["visitors"], students=summary["students"]))
    own: str = summary["currency"]
    for line in (summary, *summary["otherCurrencies"]):
        money = found.totals.money.setdefault(line["currency"], Money())
        money.charged_minor = line["revenueMinor"]
        money.refunded_minor = line["refundedMinor"]
        money.purchases = line["purchases"]
    if not (summary["revenueMinor"] or summary["refundedMinor"]):
        del found.totals.money[own]
    for model in MODELS:
        await _read_ledger(api, model, found)
        await _read_sources(api, model, own, found)
        await _reconcile(api, model, found)
    return found


async def _read_ledger(api: Api, model: str, found: Reported) -> None:
    """Credits by source in every currency, from the purchases themselves."""
    unattributed: Counter[str] = Counter()
    async for line in _lines(api, model):
        credited = found.totals.money.setdefault(line["currency"], Money()).credited[model]
        for credit in line["credits"]:
            credited[credit["source"]] += credit["amountMinor"]
        unattributed[line["currency"]] += line["unattributedMinor"]
    for currency, money in found.totals.money.items():
        money.unattributed_minor = unattributed[currency]
        open_minor = money.net_minor - money.credited[model].total() - unattributed[currency]
        found.zeros.append(Zero(f"{model}: net − credited − unattributed", currency, open_minor))


async def _lines(api: Api, model: str) -> AsyncIterator[Any]:
    cursor = ""
    while True:
        page = await api.get("/api/analytics/ledger", range="all", model=model, limit=PAGE, cursor=cursor)
        for line in page["items"]:
            yield line
        cursor = page.get("nextCursor") or ""
        if not cursor:
            return


async def _read_sources(api: Api, model: str, own: str, found: Reported) -> None:
    """The table of sources: its visitors, and whether it says the same as the ledger."""
    report = await api.get("/api/analytics/sources", range="all", model=model)
    found.totals.visitors_by_source = Counter({row["source"]: row["visitors"] for row in report["rows"]})
    money = found.totals.money.get(own, Money())
    by_source = Counter({row["source"]: row["revenueMinor"] for row in report["rows"]})
    apart = sum(
        abs(by_source[source] - money.credited[model][source]) for source in {*by_source, *money.credited[model]}
    )
    found.zeros.append(Zero(f"{model}: sources against ledger", own, apart))
    open_minor = by_source.total() + report["unattributed"]["revenueMinor"] - report["totals"]["revenueMinor"]
    found.zeros.append(Zero(f"{model}: rows + unattributed − totals", own, open_minor))


async def _reconcile(api: Api, model: str, found: Reported) -> None:
    report = await api.get("/api/analytics/reconciliation", range="all", model=model)
    for row in report["rows"]:
        found.zeros.append(Zero(f"{model}: reconciliation", row["currency"], row["differenceMinor"]))
