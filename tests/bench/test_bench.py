"""``coursesignal bench`` on a small scale: it measures what it says it does, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from coursesignal.benchmark.crowd import sizes
from coursesignal.benchmark.history import Size, write_history
from coursesignal.benchmark.load import Target, run_load
from coursesignal.benchmark.place import BenchTenant
from coursesignal.benchmark.recompute import CHANGES
from coursesignal.benchmark.reports import PATHS, PURCHASE
from coursesignal.db.embedded import EmbeddedServer
from coursesignal.testing.fixtures import ActingTenant, TenantMaker

EVENTS = 2000
COMMAND = [
    sys.executable, "-m", "coursesignal", "bench", "--seconds", "0.5", "--connections", "4", "--tenants", "3", "--events", "9000",
    "--minutes", "0.1",
]  # fmt: skip


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def printed(temporary: Path) -> str:
    """What the command prints."""
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_prints_both_sizes_of_request_beside_the_bare_handler(printed: str) -> None:
    row = r"{}, {} per body\s+([\d,]+)\s+([\d,]+)\s+([\d.]+)\s+([\d.]+)\s+([\d,]+)\s+0\n"
    for name in ("bare Litestar handler", "CourseSignal"):
        for size in (1, 10):
            found = re.search(row.format(name, size), printed)
            assert found, printed
            requests, events, p50, p99, per_core = (float(text.replace(",", "")) for text in found.groups())
            assert events == pytest.approx(size * requests, abs=size)
            assert 0 < p50 <= p99
            assert per_core > 0


def test_it_prints_boot_time_memory_and_the_pipelines_speed(printed: str) -> None:
    assert re.search(r"booted with all plugins in \d+\.\d\d s; after the load it holds \d+ MB", printed)
    assert re.search(r"Pipeline: [1-9][\d,]* events", printed)


def test_it_times_every_report_and_every_report_answers(printed: str) -> None:
    for path in (*PATHS, PURCHASE):
        found = re.findall(re.escape(path) + r"((?:\s+\d+\.\d){3})\n", printed)
        assert len(found) == 2, (path, printed)  # the median and the largest
        for _, median, p95 in (map(float, times.split()) for times in found):
            assert 0 < median <= p95


def test_it_says_what_row_level_security_costs(printed: str) -> None:
    rows = re.findall(r"all of them\s+([\d.]+)\s+([\d.]+)\s+(-?[\d.]+)%", printed)
    assert len(rows) == 2, printed
    for secured, bare, more in (map(float, row) for row in rows):
        assert secured / bare - 1 == pytest.approx(more / 100, abs=0.02)


def test_it_sends_traffic_with_the_pipeline_at_work_and_watches_the_backlog(printed: str) -> None:
    steady, single, batches = re.findall(r"acknowledged ([\d,]+) requests/s, ([\d,]+) events/s;.*answers 0\n", printed)
    assert 2_000 < _number(steady[1]) < 4_000
    assert single[0] == single[1]
    assert _number(batches[1]) == pytest.approx(10 * _number(batches[0]), abs=10)
    assert re.search(r"after\s+\d+ s\s+[\d,]+ events wait", printed)
    assert re.search(r"from click to report: median \d+\.\d s", printed)


def test_it_times_recomputes_of_all_models_and_of_one(printed: str) -> None:
    rows = re.findall(r"(?:all models|one model|two models)\s+(\d+\.\d\d)\s+([\d,]+)\n", printed)
    assert len(rows) == len(CHANGES), printed
    assert all(_number(per_second) > 0 for _, per_second in rows)


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def test_tenants_sizes_fall_from_a_tenth_of_all_events_and_sum_to_them() -> None:
    found = sizes(1000, 10_000_000)
    assert found[0] == 1_000_000
    assert sum(found) == pytest.approx(10_000_000, rel=0.001)
    assert found == sorted(found, reverse=True)
    assert len(found) == 1000


def test_an_installation_in_use_is_not_loaded(tmp_path: Path) -> None:
    environment = {**os.environ, "COURSESIGNAL_HOME": str(tmp_path)}
    first, second = (
        subprocess.run(
            [*COMMAND[:4], "load", "--tenants", "1", "--events", "1000"], env=environment, capture_output=True, text=True,
            timeout=120, check=False,
        )
        for _ in range(2)
    )  # fmt: skip
    server = EmbeddedServer(tmp_path)
    server.stop()
    for directory in {server.root, server.sockets}:
        shutil.rmtree(directory)
    assert first.returncode == 0, first.stderr
    assert (second.returncode, "in use" in second.stderr) == (1, True)


def test_it_leaves_no_file_and_no_process_behind(printed: str, temporary: Path) -> None:
    assert printed
    assert list(temporary.iterdir()) == []
    left = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    assert not [words for words in left if words and str(temporary) in " ".join(words)]


def _bench(acting: ActingTenant) -> BenchTenant:
    return BenchTenant(acting.id, acting.tenant.slug, acting.site_id, acting.site_key, "")


async def test_the_history_is_whole_and_its_ledger_closes(client: httpx.AsyncClient, make_tenant: TenantMaker) -> None:
    acting = await make_tenant()
    await write_history(acting.runtime, _bench(acting), Size(EVENTS))
    async with acting.transaction() as conn:
        assert await conn.fetchval("select count(*) from events where tenant_id = $1", acting.id) == EVENTS
        orphans = await conn.fetchval(
            """
            select count(*) from touches t where tenant_id = $1 and not exists (
                select from sessions s join visitors v on v.tenant_id = $1 and v.id = s.visitor_id
                where s.tenant_id = $1 and s.id = t.session_id and s.visitor_id = t.visitor_id)
            """,
            acting.id,
        )
    assert orphans == 0  # they are written without the checks of foreign keys
    answer = await client.get("/api/analytics/reconciliation?range=90d", headers=acting.headers)
    told = answer.json()
    assert told["balanced"]
    assert sum(row["creditedMinor"] for row in told["rows"]) > 0


async def test_the_load_counts_only_the_expected_status_and_sees_broken_connections() -> None:
    answers = iter(
        [b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}", b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"]
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            head = await reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"content-length: (\d+)", head)
            assert found
            await reader.readexactly(int(found[1]))
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        target = Target("127.0.0.1", port, "/", 202, lambda: b"[]")
        seen = await run_load(target, connections=1, seconds=5.0, server_s=lambda: 0.0, warm_up_s=0.0)
    assert dict(seen.statuses) == {202: 1, 503: 1}
    assert len(seen.latencies_s) == 1
    assert seen.broken == 1
