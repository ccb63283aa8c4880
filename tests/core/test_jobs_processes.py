"""``coursesignal serve`` as an operator meets it: it is up, quick, stands up again, and leaves no process of its own behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest

from coursesignal.runtime import Runtime
from coursesignal.serve import ServerProcess, environment
from coursesignal.testing.fixtures import ActingTenant, TenantMaker
from coursesignal.testing.live import live_server, wait_for
from coursesignal.testing.platforms import FakeTeachable

STOPS_WITHIN_S = 10.0
"""What a worker in the middle of a task and a web process in the middle of an answer may take."""
USUALLY_S = 2.0


@pytest.fixture(scope="module")
def teachable() -> Iterator[FakeTeachable]:
    platform = FakeTeachable()
    platform.start()
    yield platform
    platform.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, teachable: FakeTeachable) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("serve")
    with live_server(home, platform_urls={"teachable": teachable.url}) as process:
        yield process


@pytest.fixture(scope="module")
async def installation(anyio_backend: str, server: ServerProcess) -> AsyncIterator[Runtime]:
    """The served installation, seen from here."""
    async with Runtime.opened(server.settings) as runtime:
        yield runtime


@pytest.fixture
async def tenant(make_tenant: TenantMaker) -> ActingTenant:
    return await make_tenant()


@contextlib.contextmanager
def another(server: ServerProcess, *command: str) -> Iterator[subprocess.Popen[str]]:
    """One more process on the same installation."""
    env = {**os.environ, **environment(server.settings)}
    process = subprocess.Popen(
        [sys.executable, "-m", "coursesignal", *command], env=env, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def child(server: ServerProcess, role: str) -> psutil.Process | None:
    """The supervisor's living process of that role."""
    for process in psutil.Process(server.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if role in process.cmdline():
                return process
    return None


def is_ready(server: ServerProcess) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{server.url}/health/ready", timeout=5).status_code == 200
    return False


def track(server: ServerProcess, tenant: ActingTenant, buyer: str) -> None:
    address = "https://nora.example.com/?utm_source=youtube&utm_medium=video"
    events = [
        {"eventId": str(uuid4()), "type": "pageview", "url": address},
        {"eventId": str(uuid4()), "type": "identify", "email": buyer, "url": address},
    ]
    body = {"siteKey": tenant.site_key, "visitorId": str(uuid4()), "events": events}
    assert httpx.post(f"{server.url}/api/tracking/event", json=body).status_code == 202


def test_a_sale_is_in_the_reports_and_a_visit_among_the_visitors_within_two_seconds(
    server: ServerProcess, tenant: ActingTenant, teachable: FakeTeachable
) -> None:
    http = httpx.Client(base_url=server.url, headers=tenant.headers, timeout=10)
    connected = http.post("/api/teachable/connect", json={"apiKey": teachable.api_key})
    assert connected.status_code == 200, connected.text
    hook = connected.json()["webhookUrl"]
    wait_for(lambda: http.get("/api/teachable/sync-status").json()["status"] == "completed", 20, "the first sync")
    to_visit, to_report = [], []
    for n in range(5):
        buyer = f"buyer{n}@example.com"
        to_visit.append(seconds_until(lambda n=n: visitors(http) == n + 1, lambda b=buyer: track(server, tenant, b)))
        body = sale(n, buyer)
        to_report.append(
            seconds_until(lambda b=buyer: source(http, b) == "youtube", lambda b=body: httpx.post(hook, json=b))
        )
    print(f"visit {to_visit}, report {to_report}")
    assert statistics.median(to_visit) < USUALLY_S
    assert statistics.median(to_report) < USUALLY_S


def seconds_until(ask: Callable[[], bool], act: Callable[[], Any]) -> float:
    """How long after ``act`` the answer becomes yes."""
    act()
    began = time.monotonic()
    wait_for(ask, 20, "what was reported")
    return time.monotonic() - began


def visitors(http: httpx.Client) -> int:
    count: int = http.get("/api/analytics/summary", params={"range": "7d"}).json()["visitors"]
    return count


def source(http: httpx.Client, buyer: str) -> str | None:
    """Where the buyer's sale came from, once it is in the reports."""
    items = http.get("/api/analytics/recent-purchases").json()["items"]
    return next((item["source"] for item in items if item["email"] == buyer), None)


def sale(number: int, buyer: str) -> dict[str, Any]:
    return {
        "type": "Transaction.created", "id": number, "livemode": True, "created": "2026-03-01T12:00:00Z", "hook_event_id": number,
        "object": {
            "id": number, "user_id": number, "user": {"id": number, "email": buyer, "name": "Pat Example"},
            "sale": {"id": number, "product": {"id": 88, "name": "Full price", "is_recurring": False}},
            "final_price": 9900, "currency": "USD", "status": "paid",
            "purchased_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }  # fmt: skip


@pytest.mark.parametrize("role", ["web", "events", "tasks"])
def test_what_is_killed_is_started_again(server: ServerProcess, role: str) -> None:
    before = wait_for(lambda: child(server, role), 10, f"a {role} process")
    before.kill()

    def replaced() -> bool:
        now = child(server, role)
        return now is not None and now.pid != before.pid and is_ready(server)

    wait_for(replaced, 20, f"another {role} process")


def test_a_second_server_on_the_same_address_says_what_to_do(server: ServerProcess) -> None:
    with another(server, "serve") as second:
        assert second.wait(30) != 0
        assert second.stderr is not None
        said = second.stderr.read()
    assert f"Port {server.settings.port}" in said and "COURSESIGNAL_PORT" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("when", ["its first connection", "worker started"])
@pytest.mark.parametrize("share", ["", "--only=events"])
def test_a_worker_ends_in_seconds_whenever_it_is_asked_to(
    server: ServerProcess, how: signal.Signals, when: str, share: str
) -> None:
    with another(server, "worker", *share.split()) as worker:
        if when == "its first connection":
            wait_for(lambda: psutil.Process(worker.pid).net_connections("unix"), 20, when)
        else:
            assert worker.stderr is not None
            assert any(when in line for line in worker.stderr)
        worker.send_signal(how)
        assert worker.wait(STOPS_WITHIN_S) in (0, -how)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_but_the_shared_database_outlives_it(tmp_path: Path, how: signal.Signals) -> None:
    with live_server(tmp_path) as server:
        supervisor = psutil.Process(server.pid)
        family = supervisor.children(recursive=True)
        assert len(family) == 3
        supervisor.send_signal(how)
        gone, alive = psutil.wait_procs([*family, supervisor], timeout=STOPS_WITHIN_S)
        assert alive == []
        with socket.socket() as probe:
            assert probe.connect_ex((server.settings.host, server.settings.port)) != 0
        if how == signal.SIGTERM:
            assert {process.returncode for process in gone if process.pid == server.pid} == {0}
