"""Migrations: core's history and each plugin's own; the embedded server and one of the operator's."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from coursesignal.db.embedded import EmbeddedServer
from coursesignal.db.migrate import CORE, MigrationSource, Migrator
from coursesignal.db.roles import bootstrap
from coursesignal.plugins.registry import load_registry
from coursesignal.settings import Settings
from coursesignal.testing.server import TestServer

PLUGIN = """
from coursesignal.plugin import migration, tenant_table

ID = "2026-11-23T12:00:00:000001"
VERSION = "1.38.0"
DESCRIPTION = "Notes"

async def forwards():
    up, down = tenant_table("visiting_notes", "note text not null"), ["drop table visiting_notes"]
    return migration("visiting", ID, DESCRIPTION, up=up, down=down)
"""


@pytest.fixture
async def owner_url(test_server: TestServer) -> str:
    """An empty database."""
    where = test_server.addresses(f"empty_{os.urandom(4).hex()}")
    await bootstrap(where, embedded=True, secret=b"", database=where.owner.rsplit("/", 1)[-1].split("?")[0])
    return where.owner


@pytest.fixture
def visitor(tmp_path: Path) -> MigrationSource:
    """A plugin's history, to come and go."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "visiting_2026_11_23_0001_notes.py").write_text(PLUGIN)
    return MigrationSource("visiting", folder)


async def tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
    finally:
        await connection.close()
    return {row["tablename"] for row in rows}


async def test_two_migrators_at_once_run_everything_once(owner_url: str, plugins_file: Path, tmp_path: Path) -> None:
    sources = load_registry(Settings(home=tmp_path, plugins_file=plugins_file, testing=True)).migration_sources
    migrator = Migrator(owner_url, sources)
    assert {state.app for state in await migrator.plan()} == {CORE, *(source.app for source in sources)}
    ups = [subprocess.Popen([sys.executable, "-c", _UP, owner_url, str(plugins_file), str(tmp_path)]) for _ in range(2)]
    assert [await asyncio.to_thread(up.wait, 60) for up in ups] == [0, 0]
    assert await migrator.plan() == []
    assert {"purchases", "launches_launches"} <= await tables(owner_url)


_UP = """
import asyncio, sys
from pathlib import Path
from coursesignal.db.migrate import Migrator
from coursesignal.plugins.registry import load_registry
from coursesignal.settings import Settings
registry = load_registry(Settings(home=Path(sys.argv[3]), plugins_file=Path(sys.argv[2]), testing=True))
asyncio.run(Migrator(sys.argv[1], registry.migration_sources).up())
"""


async def test_a_plugin_that_is_gone_breaks_no_upgrade_and_finds_its_tables_again(
    owner_url: str, visitor: MigrationSource
) -> None:
    await Migrator(owner_url, [visitor]).up()
    without = Migrator(owner_url, [])
    await without.up()
    assert {state.app for state in await without.status()} == {CORE}
    assert "visiting_notes" in await tables(owner_url)
    assert await Migrator(owner_url, [visitor]).plan() == []


async def test_down_undoes_one_history_alone_and_up_does_it_again(owner_url: str, visitor: MigrationSource) -> None:
    migrator = Migrator(owner_url, [visitor])
    await migrator.up()
    await migrator.down("visiting", "all")
    assert [state.app for state in await migrator.plan()] == ["visiting"]
    assert "visiting_notes" not in await tables(owner_url)
    await migrator.down(CORE, "all")
    assert await tables(owner_url) == {"migration"}
    await migrator.up()
    assert {"purchases", "visiting_notes"} <= await tables(owner_url)


async def test_a_migration_that_fails_changes_nothing(owner_url: str, visitor: MigrationSource) -> None:
    path = next(visitor.folder.glob("*.py")).rename(visitor.folder / "visiting_2026_11_23_0002_broken.py")
    path.write_text(PLUGIN.replace('"note text not null"', '"note no_such_type"').replace(":000001", ":000002"))
    with pytest.raises(Exception, match="no_such_type"):
        await Migrator(owner_url, [visitor]).up()
    assert await tables(owner_url) <= {"migration"}


def coursesignal(home: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coursesignal", *words],
        capture_output=True, text=True, timeout=120, env={**os.environ, "COURSESIGNAL_HOME": str(home), **environment},
    )  # fmt: skip


def test_plan_up_and_status_on_a_machine_that_has_nothing_yet(tmp_path: Path) -> None:
    try:
        plan = coursesignal(tmp_path / "home", "migrate", "plan")
        assert plan.returncode == 0, plan.stderr
        assert "The house" in plan.stdout
        assert coursesignal(tmp_path / "home", "migrate", "up").returncode == 0
        status = coursesignal(tmp_path / "home", "migrate", "status")
        assert "done" in status.stdout
        assert "pending" not in status.stdout
    finally:
        coursesignal(tmp_path / "home", "database", "stop")


@pytest.fixture
def operators_server() -> Iterator[EmbeddedServer]:
    """A PostgreSQL as an operator would run it: roles prove themselves by password."""
    place = Path(tempfile.mkdtemp(prefix="coursesignal-operator-"))
    place.chmod(0o755)
    hba = place / "hba.conf"
    hba.write_text("local all postgres trust\nlocal all all scram-sha-256\nhost all all all scram-sha-256\n")
    server = EmbeddedServer(place, options={"fsync": "off", "hba_file": str(hba)}).start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(place, ignore_errors=True)


def test_database_url_names_a_server_of_the_operators_own(operators_server: EmbeddedServer, tmp_path: Path) -> None:
    async def make_database() -> None:
        admin = await asyncpg.connect(operators_server.url("postgres"))
        await admin.execute("create database shop")
        await admin.close()

    asyncio.run(make_database())
    where = {"DATABASE_URL": operators_server.url("shop")}
    before = coursesignal(tmp_path / "home", "doctor", **where)
    assert before.returncode != 0
    assert "migrate up" in before.stdout + before.stderr
    up = coursesignal(tmp_path / "home", "migrate", "up", **where)
    assert up.returncode == 0, up.stderr
    after = coursesignal(tmp_path / "home", "doctor", **where)
    assert after.returncode == 0, after.stdout
    assert not (tmp_path / "home" / "postgres").exists()
    tenant = coursesignal(
        tmp_path / "home",
        "tenants",
        "create",
        "--slug",
        "north",
        "--name",
        "North School",
        "--currency",
        "EUR",
        **where,
    )
    assert tenant.returncode == 0, tenant.stderr
