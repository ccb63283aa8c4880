"""A place to measure in: an installation of its own on free ports, its web process on one core, the load on another."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import msgspec
import psutil

from coursesignal.db.embedded import EmbeddedServer
from coursesignal.errors import ConfigurationError
from coursesignal.runtime import Runtime
from coursesignal.security.tokens import hash_token, new_token
from coursesignal.serve import environment
from coursesignal.settings import Settings

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""The cores this process was started on; empty where the system does not tell."""
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class BenchTenant:
    """A tenant to measure with."""

    id: UUID
    site_id: UUID
    site_key: str
    api_key: str


@contextlib.contextmanager
def temporary_settings(settings: Settings) -> Iterator[Settings]:
    """Settings of an installation that is gone at the end, with a database server of its own."""
    home = Path(tempfile.mkdtemp(prefix="coursesignal-bench-"))
    port = free_port()
    server = EmbeddedServer(home)
    try:
        yield msgspec.structs.replace(
            settings, home=home, port=port, host="127.0.0.1", base_url=f"http://127.0.0.1:{port}", database_url=None,
            app_database_url=None, ingest_database_url=None, queue_url=None, collect_rate=0, web_processes=1,
        )  # fmt: skip
    finally:
        server.stop()
        for directory in {server.root, server.sockets, home}:
            shutil.rmtree(directory, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class WebProcess:
    """A web process of the installation, all plugins loaded; ``booted_s`` is from its start to its first answer."""

    base_url: str
    pid: int
    booted_s: float

    @property
    def resident_bytes(self) -> int:
        """Memory it holds now."""
        resident: int = psutil.Process(self.pid).memory_info().rss
        return resident


@contextlib.contextmanager
def web_process(settings: Settings) -> Iterator[WebProcess]:
    """One web process of the installation on the first core, ready."""
    env = {**os.environ, **environment(settings)}
    started = time.monotonic()
    with _process([sys.executable, "-m", "coursesignal", "web"], env) as process:
        _wait_for(f"{settings.base_url}/health/ready")
        yield WebProcess(settings.base_url, process.pid, time.monotonic() - started)


@contextlib.contextmanager
def bare_process() -> Iterator[int]:
    """The yardstick on the first core, ready; yields its port."""
    port = free_port()
    with _process([sys.executable, "-m", "coursesignal.benchmark.bare", str(port)], os.environ):
        _wait_for(f"http://127.0.0.1:{port}/")
        yield port


async def add_tenant(runtime: Runtime) -> BenchTenant:
    """A tenant with a site and an API key that may read."""
    slug, site_key, api_key = f"bench-{secrets.token_hex(4)}", secrets.token_urlsafe(24), new_token("csk_")
    async with runtime.database.control() as conn:
        tenant_id = await conn.fetchval("insert into tenants (slug, name) values ($1, 'Bench') returning id", slug)
    async with runtime.database.tenant(tenant_id) as conn:
        site_id = await conn.fetchval(
            "insert into sites (tenant_id, public_key, name) values ($1, $2, 'Bench') returning id", tenant_id, site_key
        )
        await conn.execute(
            "insert into api_keys (tenant_id, name, scopes, key_hash, prefix) values ($1, 'Bench', $2, $3, $4)",
            tenant_id, ["analytics:read", "tracking:read"], hash_token(api_key), api_key[:8],
        )  # fmt: skip
    return BenchTenant(tenant_id, site_id, site_key, api_key)


def pin(pid: int, number: int) -> bool:
    """Keep a process (0: this one) on one of CORES, the last when there are fewer; False where the system cannot."""
    if not CORES:
        return False
    os.sched_setaffinity(pid, {CORES[min(number, len(CORES) - 1)]})
    return True


def unpin() -> None:
    """Let this process run anywhere again."""
    if CORES:
        os.sched_setaffinity(0, CORES)


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _process(command: Sequence[str], env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(list(command), env=dict(env))
    try:
        pin(process.pid, 0)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(url: str) -> None:
    """Return once anything answers below 500."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=2).status_code < 500:
                return
        time.sleep(0.05)
    raise ConfigurationError(f"{url} did not answer within {READY_TIMEOUT_S:.0f} s.")


async def drain(runtime: Runtime) -> tuple[int, float]:
    """Process everything that is stored; how many events, in how many seconds."""
    started = time.perf_counter()
    total = 0
    while processed := await runtime.drain_events():
        total += processed
        await asyncio.sleep(0)
    return total, time.perf_counter() - started
