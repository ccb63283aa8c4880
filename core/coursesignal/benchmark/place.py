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
    slug: str
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
    """A web process, of the installation with all plugins loaded; ``booted_s`` is from its start to its first answer."""

    port: int
    pid: int
    booted_s: float

    @property
    def resident_bytes(self) -> int:
        """Memory it holds now."""
        resident: int = psutil.Process(self.pid).memory_info().rss
        return resident


@contextlib.contextmanager
def web_process(settings: Settings, core: int | None = 0) -> Iterator[WebProcess]:
    """One web process of the installation, on the first core unless told otherwise, ready."""
    env = {**os.environ, **environment(settings)}
    started = time.monotonic()
    with _process([sys.executable, "-m", "coursesignal", "web"], env, core) as process:
        _wait_for(settings.port, "/health/ready")
        yield WebProcess(settings.port, process.pid, time.monotonic() - started)


@contextlib.contextmanager
def worker_processes(settings: Settings) -> Iterator[None]:
    """The workers that ``serve`` runs."""
    env = {**os.environ, **environment(settings)}
    worker = [sys.executable, "-m", "coursesignal", "worker", "--only"]
    with _process([*worker, "events"], env, None), _process([*worker, "tasks"], env, None):
        yield


@contextlib.contextmanager
def bare_process() -> Iterator[WebProcess]:
    """The yardstick on the first core, ready."""
    port = free_port()
    started = time.monotonic()
    with _process([sys.executable, "-m", "coursesignal.benchmark.bare", str(port)], os.environ) as process:
        _wait_for(port, "/")
        yield WebProcess(port, process.pid, time.monotonic() - started)


async def add_tenant(runtime: Runtime, slug: str | None = None) -> BenchTenant:
    """A tenant with a site and an API key that may read."""
    slug = slug or f"bench-{secrets.token_hex(4)}"
    async with runtime.database.control() as conn:
        tenant_id = await conn.fetchval("insert into tenants (slug, name) values ($1, 'Bench') returning id", slug)
    async with runtime.database.tenant(tenant_id) as conn:
        await conn.execute(
            "insert into sites (tenant_id, public_key, name) values ($1, $2, 'Bench')",
            tenant_id, secrets.token_urlsafe(24),
        )  # fmt: skip
    return await find_tenant(runtime, slug)


async def find_tenant(runtime: Runtime, slug: str) -> BenchTenant:
    """The tenant of that name, with a new API key that may read."""
    api_key = new_token("csk_")
    async with runtime.database.control() as conn:
        tenant_id = await conn.fetchval("select id from tenants where slug = $1", slug)
    async with runtime.database.tenant(tenant_id) as conn:
        site = await conn.fetchrow("select id, public_key from sites where tenant_id = $1 limit 1", tenant_id)
        await conn.execute(
            "insert into api_keys (tenant_id, name, scopes, key_hash, prefix) values ($1, 'Bench', $2, $3, $4)",
            tenant_id, ["analytics:read", "tracking:read"], hash_token(api_key), api_key[:8],
        )  # fmt: skip
    return BenchTenant(tenant_id, slug, site["id"], site["public_key"], api_key)


@contextlib.contextmanager
def apart(settings: Settings) -> Iterator[bool]:
    """Keep the database server and this process off the web process's core; yields False where the system cannot."""
    database = psutil.Process(int((EmbeddedServer(settings.home).data / "postmaster.pid").read_text().split()[0]))
    ours = [0, database.pid, *(child.pid for child in database.children(recursive=True))]
    try:
        yield all(pin(pid, 1) for pid in ours)
    finally:
        for pid in ours:
            unpin(pid)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far."""
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def pin(pid: int, number: int) -> bool:
    """Keep a process (0: this one) on one of CORES, the last when there are fewer; False where the system cannot."""
    if not CORES:
        return False
    with contextlib.suppress(ProcessLookupError):  # of the database's processes some come and go
        os.sched_setaffinity(pid, {CORES[min(number, len(CORES) - 1)]})
    return True


def unpin(pid: int) -> None:
    """Let a process (0: this one) run anywhere again."""
    if CORES:
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(pid, CORES)


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _process(command: Sequence[str], env: Mapping[str, str], core: int | None = 0) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(list(command), env=dict(env))
    try:
        if core is not None:
            pin(process.pid, core)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, path: str) -> None:
    """Return once the server on ``port`` answers below 500."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=2) as http:
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if http.get(path).status_code < 500:
                    return
            time.sleep(0.02)
    raise ConfigurationError(f"No answer on port {port} within {READY_TIMEOUT_S:.0f} s.")


async def drain(runtime: Runtime) -> tuple[int, float]:
    """Process everything that is stored; how many events, in how many seconds."""
    started = time.perf_counter()
    total = 0
    while processed := await runtime.drain_events():
        total += processed
        await asyncio.sleep(0)
    return total, time.perf_counter() - started
