"""How long each report takes over HTTP, with one client asking."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from coursesignal.benchmark.place import BenchTenant

ROUNDS = 20
PATHS = (
    "/api/analytics/summary?range=90d",
    "/api/analytics/sources?range=90d",
    "/api/analytics/sources?range=90d&model=linear",
    "/api/analytics/drilldown/youtube?range=90d",
    "/api/analytics/recent-purchases?limit=50",
    "/api/analytics/daily-revenue?range=90d",
    "/api/analytics/daily-visits?range=90d",
    "/api/analytics/ledger?range=90d&limit=50",
    "/api/analytics/reconciliation?range=90d",
    "/api/analytics/models",
    "/api/analytics/models/compare?range=90d",
    "/api/analytics/products?range=90d",
    "/api/analytics/plans",
    "/api/analytics/students?range=90d",
    "/api/analytics/lifetime-value",
    "/api/analytics/cohorts",
    "/api/analytics/new-returning?range=90d",
    "/api/analytics/funnel?range=90d",
    "/api/analytics/journeys?range=90d",
    "/api/analytics/content?range=90d",
    "/api/analytics/coverage?range=90d",
    "/api/analytics/goals/report?range=90d",
    "/api/analytics/self-reported?range=90d",
    "/api/analytics/export?report=sources&range=90d",
    "/api/analytics/export?report=daily&range=90d",
    "/api/script/info",
)
PURCHASE = "/api/analytics/purchases/{id}"


@dataclass(frozen=True, slots=True)
class ReportTime:
    """One report's times, in milliseconds; the first answer, from a cold process, apart."""

    path: str
    statuses: frozenset[int]
    first_ms: float
    median_ms: float
    p95_ms: float


def time_reports(base_url: str, tenants: Sequence[BenchTenant], rounds: int = ROUNDS) -> list[ReportTime]:
    """Ask for every report ``rounds`` times, of one tenant after the other."""
    with httpx.Client(base_url=base_url, timeout=60) as http:
        return [_time(http, path, tenants, rounds) for path in (*PATHS, PURCHASE)]


def _time(http: httpx.Client, path: str, tenants: Sequence[BenchTenant], rounds: int) -> ReportTime:
    times_ms, statuses = [], set()
    for n in range(rounds + 1):
        tenant = tenants[n % len(tenants)]
        headers = {"authorization": f"Bearer {tenant.api_key}"}
        asked = path.format(id=_newest_purchase(http, headers)) if path == PURCHASE else path
        started = time.perf_counter()
        statuses.add(http.get(asked, headers=headers).status_code)
        times_ms.append((time.perf_counter() - started) * 1000)
    later = sorted(times_ms[1:])
    p95 = later[math.ceil(len(later) * 0.95) - 1]
    return ReportTime(path, frozenset(statuses), times_ms[0], statistics.median(later), p95)


def _newest_purchase(http: httpx.Client, headers: dict[str, str]) -> str:
    items = http.get("/api/analytics/recent-purchases?limit=1", headers=headers).json().get("items", [])
    return str(items[0]["id"]) if items else "none"
