"""How long each report takes over HTTP, with one client asking."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import httpx

from coursesignal.benchmark.place import BenchTenant

ROUNDS = 7
PATHS = (
    "/api/analytics/summary?range=90d",
    "/api/analytics/sources?range=90d",
    "/api/analytics/sources?range=90d&model=linear",
    "/api/analytics/drilldown/youtube?range=90d",
    "/api/analytics/recent-purchases?limit=50",
    "/api/analytics/daily-revenue?range=90d",
    "/api/analytics/ledger?range=90d&limit=50",
    "/api/analytics/reconciliation?range=90d",
    "/api/analytics/models",
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
    status: int
    first_ms: float
    median_ms: float
    slowest_ms: float


def time_reports(base_url: str, tenant: BenchTenant) -> list[ReportTime]:
    """Ask for every report ROUNDS times."""
    headers = {"authorization": f"Bearer {tenant.api_key}"}
    with httpx.Client(base_url=base_url, headers=headers, timeout=60) as http:
        items = http.get("/api/analytics/recent-purchases?limit=1").json().get("items", [])
        detail = [PURCHASE.format(id=item["id"]) for item in items]
        return [_time(http, path) for path in (*PATHS, *detail)]


def _time(http: httpx.Client, path: str) -> ReportTime:
    times_ms = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        status = http.get(path).status_code
        times_ms.append((time.perf_counter() - started) * 1000)
    return ReportTime(path, status, times_ms[0], statistics.median(times_ms[1:]), max(times_ms[1:]))
