"""The embedded PostgreSQL: shared by processes, outliving a killed parent, running unprivileged under root."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from coursesignal.db import embedded
from coursesignal.db.embedded import EmbeddedServer

OPTIONS = {"fsync": "off"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    found = EmbeddedServer(tmp_path / "home", options=OPTIONS)
    yield found
    found.stop()
    shutil.rmtree(found.root, ignore_errors=True)
    shutil.rmtree(found.sockets, ignore_errors=True)


async def _answers(server: EmbeddedServer) -> bool:
    connection = await asyncpg.connect(server.url())
    try:
        return bool(await connection.fetchval("select 1"))
    finally:
        await connection.close()


def _postmaster(server: EmbeddedServer) -> psutil.Process:
    return psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))


async def test_it_starts_and_a_second_start_attaches(server: EmbeddedServer) -> None:
    server.start()
    pid = _postmaster(server).pid
    EmbeddedServer(server.home, options=OPTIONS).start()
    assert _postmaster(server).pid == pid
    assert await _answers(server)


async def test_it_outlives_a_parent_that_is_killed(server: EmbeddedServer) -> None:
    program = (
        "import sys, os, signal; from pathlib import Path; from coursesignal.db.embedded import EmbeddedServer;"
        "EmbeddedServer(Path(sys.argv[1]), options={'fsync': 'off'}).start(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(server.home)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert await _answers(server)


async def test_it_starts_again_after_the_server_itself_was_killed(server: EmbeddedServer) -> None:
    server.start()
    postmaster = _postmaster(server)
    postmaster.kill()
    postmaster.wait(10)
    server.start()
    assert await _answers(server)


async def test_a_pid_file_that_names_another_process_hurts_nobody(server: EmbeddedServer) -> None:
    server.start()
    server.stop()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as bystander:
        (server.data / "postmaster.pid").write_text(f"{bystander.pid}\n{server.data}\n0\n5432\n")
        server.start()
        assert await _answers(server)
        assert bystander.poll() is None
        bystander.kill()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root has to give up being root")
async def test_under_root_it_runs_unprivileged_and_changes_no_mode(tmp_path: Path) -> None:
    closed = tmp_path / "root-home"
    closed.mkdir(mode=0o700)
    before = {path: path.stat().st_mode for path in (closed, *closed.parents)}
    server = EmbeddedServer(closed / "installation", options=OPTIONS).start()
    try:
        assert _postmaster(server).uids().real != 0
        assert await _answers(server)
        assert {path: path.stat().st_mode for path in before} == before
        assert not server.root.is_relative_to(closed)
        assert stat.S_IMODE(server.root.stat().st_mode) == 0o700
    finally:
        server.stop()
        shutil.rmtree(server.root, ignore_errors=True)


@pytest.mark.parametrize(("limit", "expected"), [("max", None), ("1073741824", "256MB"), ("104857600", "128MB")])
def test_it_takes_a_quarter_of_the_memory_there_is_or_a_container_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, expected: str | None
) -> None:
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    monkeypatch.setattr(embedded, "CONTAINER_LIMIT", tmp_path / "memory.max")
    machine_mb = psutil.virtual_memory().total // 2**20
    expected = expected or f"{min(max(machine_mb // 4, 128), 8192)}MB"
    assert EmbeddedServer(tmp_path).options["shared_buffers"] == expected
