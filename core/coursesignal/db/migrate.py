"""Migrations: Piccolo runs core's history and each plugin's own, in one transaction, one migrator at a time.

Piccolo's commands bring a code formatter along: they are imported when something is to run, not when a process starts.

Every source has its own app name and history, so a plugin that is gone leaves rows that nobody reads and breaks nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import types
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from piccolo.engine.postgres import PostgresEngine

from coursesignal.errors import ConfigurationError

CORE = "coursesignal"
_PACKAGE = "_coursesignal_piccolo"


@dataclass(frozen=True, slots=True)
class MigrationSource:
    """One history: ``app`` is "coursesignal" or a plugin's slug, ``folder`` holds files named ``<app>_<time>_<what>.py``."""

    app: str
    folder: Path


@dataclass(frozen=True, slots=True)
class MigrationState:
    """One migration and whether it ran."""

    app: str
    id: str
    description: str
    applied: bool


def core_source() -> MigrationSource:
    """Core's own history."""
    package = importlib.import_module("coursesignal_migrations")
    return MigrationSource(CORE, Path(next(iter(package.__path__))))


class _OwnerEngine(PostgresEngine):
    async def check_version(self) -> None:
        return None

    async def prep_database(self) -> None:
        return None


class Migrator:
    """Runs the histories of ``sources`` as the owner role."""

    def __init__(self, owner_url: str, sources: Sequence[MigrationSource]) -> None:
        self.owner_url = owner_url
        self.sources = [core_source(), *sources]
        self.engine = _OwnerEngine(config={"dsn": owner_url})

    async def up(self, app: str = "all") -> str:
        """Run what has not run; return Piccolo's report. Safe when two run at once: the second finds nothing to do."""
        from piccolo.apps.migrations.commands.forwards import run_forwards

        async with self._exclusive():
            return await self._quietly(run_forwards(app))

    async def down(self, app: str, to: str) -> str:
        """Undo ``app``'s migrations down to and including id ``to`` ("all" for every one)."""
        from piccolo.apps.migrations.commands.backwards import run_backwards

        async with self._exclusive():
            return await self._quietly(run_backwards(app, to, auto_agree=True))

    async def status(self) -> list[MigrationState]:
        """Every migration of every source, in order, applied or not."""
        _check_names(self.sources)
        done = await self._applied()
        states = []
        for source in self.sources:
            for path in _files(source):
                module = _load(path)
                state = MigrationState(source.app, module.ID, module.DESCRIPTION, (source.app, module.ID) in done)
                states.append(state)
        return states

    async def plan(self) -> list[MigrationState]:
        """What ``up`` would run."""
        return [state for state in await self.status() if not state.applied]

    async def _applied(self) -> set[tuple[str, str]]:
        connection = await asyncpg.connect(self.owner_url)
        try:
            if await connection.fetchval("select to_regclass('public.migration')") is None:
                return set()
            return {
                (row["app_name"], row["name"]) for row in await connection.fetch("select app_name, name from migration")
            }
        finally:
            await connection.close()

    @contextlib.asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[None]:
        """Hold the migrators' lock and one transaction around everything that runs inside."""
        self._install()
        keeper = await asyncpg.connect(self.owner_url)
        try:
            await keeper.execute("select pg_advisory_lock(hashtext('coursesignal-migrate'))")
            async with self.engine.transaction():
                yield
        finally:
            await keeper.close()

    async def _quietly(self, command: Any) -> str:
        """Run one of Piccolo's commands, which print and answer with a result or exit; raise on failure."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            result = await command
        if result is not None and not result.success:
            raise ConfigurationError(f"Migrations failed: {result.message or printed.getvalue()}")
        return printed.getvalue()

    def _install(self) -> None:
        """Show Piccolo its configuration as modules in memory; it would look for files otherwise."""
        from piccolo.apps.migrations.tables import Migration
        from piccolo.conf.apps import AppConfig, AppRegistry

        _check_names(self.sources)
        package = types.ModuleType(_PACKAGE)
        package.__path__ = []
        sys.modules[_PACKAGE] = package
        names = []
        for source in self.sources:
            name = f"{_PACKAGE}.{source.app}"
            sub = types.ModuleType(name)
            sub.__path__ = []
            sys.modules[name] = sub
            needs = [] if source.app == CORE else [f"{_PACKAGE}.{CORE}.piccolo_app"]
            config = AppConfig(
                app_name=source.app,
                migrations_folder_path=str(source.folder),
                table_classes=[],
                migration_dependencies=needs,
            )
            _module(f"{name}.piccolo_app", APP_CONFIG=config)
            names.append(f"{name}.piccolo_app")
        _module("piccolo_conf", DB=self.engine, APP_REGISTRY=AppRegistry(apps=names))
        Migration._meta.db = self.engine


def _module(name: str, **attributes: object) -> None:
    module = types.ModuleType(name)
    module.__dict__.update(attributes)
    sys.modules[name] = module


def _files(source: MigrationSource) -> list[Path]:
    return sorted(path for path in source.folder.glob("*.py") if path.name != "__init__.py")


def _load(path: Path) -> Any:
    """Import a migration as Piccolo does: by its bare file name."""
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    return importlib.import_module(path.stem)


def _check_names(sources: Sequence[MigrationSource]) -> None:
    """Refuse what Piccolo would silently confuse: file names without their app, and an id used twice."""
    seen: dict[str, Path] = {}
    for source in sources:
        for path in _files(source):
            if not path.name.startswith(f"{source.app}_"):
                raise ConfigurationError(
                    f"{path.name}: name migrations of {source.app!r} {source.app}_<time>_<what>.py."
                )
            migration_id = _load(path).ID
            if migration_id in seen:
                raise ConfigurationError(f"{path.name} and {seen[migration_id].name} have the same ID {migration_id}.")
            seen[migration_id] = path
