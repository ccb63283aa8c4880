"""A throw-away PostgreSQL with one migrated template, cloned per test module."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from coursesignal.db.embedded import EmbeddedServer
from coursesignal.db.migrate import Migrator
from coursesignal.db.roles import APP, INGEST, OWNER, Addresses, bootstrap
from coursesignal.plugins.registry import load_registry
from coursesignal.settings import Settings

FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "file_copy_method": "clone"}
"""Server options for tests that do not test durability."""
TEMPLATE = "coursesignal_template"


@dataclass
class TestServer:
    """An embedded server of its own with a migrated template database."""

    __test__ = False

    home: Path
    server: EmbeddedServer

    @classmethod
    def start(cls) -> TestServer:
        """Start a server in a temporary place; :meth:`stop` removes it."""
        home = Path(tempfile.mkdtemp(prefix="coursesignal-test-"))
        return cls(home, EmbeddedServer(home, options=FAST).start())

    def addresses(self, database: str) -> Addresses:
        """Where each role finds ``database``."""
        url = self.server.url
        return Addresses(url("postgres"), url(database, OWNER), url(database, APP), url(database, INGEST))

    async def make_template(self, settings: Settings) -> None:
        """Create the roles and a migrated database to clone."""
        await bootstrap(self.addresses(TEMPLATE), embedded=True, secret=b"", database=TEMPLATE)
        registry = load_registry(settings)
        await Migrator(self.addresses(TEMPLATE).owner, registry.migration_sources).up()

    async def clone(self) -> str:
        """The name of a fresh copy of the template."""
        name = f"test_{secrets.token_hex(6)}"
        admin = await asyncpg.connect(self.server.url("postgres"))
        try:
            await admin.execute(f"create database {name} template {TEMPLATE} strategy file_copy owner {OWNER}")
        finally:
            await admin.close()
        return name

    def stop(self) -> None:
        """Stop the server and remove its files."""
        self.server.stop()
        remove: Callable[[Path], None] = lambda path: shutil.rmtree(path, ignore_errors=True)  # noqa: E731
        remove(self.server.root)
        remove(self.server.sockets)
        remove(self.home)
