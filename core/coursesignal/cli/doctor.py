"""``coursesignal doctor``: is everything there that this installation needs, and if not, what to do."""

from __future__ import annotations

import asyncio
import importlib.metadata
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import asyncpg
import click

from coursesignal.analytics.rollup_tasks import backlog
from coursesignal.errors import CourseSignalError
from coursesignal.runtime import Runtime
from coursesignal.settings import Settings, load

LOW_DISK_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome; ``mend`` says what to do when it is not ``ok``."""

    name: str
    ok: bool
    detail: str
    mend: str = ""


@click.command()
def command() -> None:
    """Check every dependency and say what to do about what is missing."""
    findings = asyncio.run(examine(load()))
    for finding in findings:
        click.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name:12} {finding.detail}")
        if finding.mend and not finding.ok:
            click.echo(f"      {'':12} → {finding.mend}")
    if not all(finding.ok for finding in findings):
        raise SystemExit(1)


async def examine(settings: Settings) -> list[Finding]:
    """Every check; a failing one does not stop the others."""
    findings = [_python(), _packages(), _disk(settings)]
    try:
        runtime = Runtime.prepare(settings)
    except CourseSignalError as error:
        return [*findings, Finding("start", False, str(error), "Mend what the message names, then run doctor again.")]
    findings.append(_keys(runtime))
    findings.append(_plugins(runtime))
    for check in (_database, _migrations, _roles, _rollups, _queue, _mail):
        findings.append(await _guarded(check, runtime))
    return findings


async def _guarded(check: Callable[[Runtime], Awaitable[Finding]], runtime: Runtime) -> Finding:
    name = check.__name__.strip("_")
    try:
        return await asyncio.wait_for(check(runtime), 20)
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        mend = (
            "Run `coursesignal migrate up` once, which makes the roles, with the same keys.json that this process has."
        )
        return Finding(name, False, str(error), mend)
    except Exception as error:  # a check reports whatever is wrong
        mend = "Is the address right, is the server up, and may this machine reach it?"
        return Finding(name, False, f"{type(error).__name__}: {error}", mend)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= (3, 11), version, "Install Python 3.11 or newer.")


def _packages() -> Finding:
    missing = []
    for requirement in importlib.metadata.requires("coursesignal") or []:
        name = requirement.split(";")[0].split(">")[0].split("[")[0].strip()
        if "extra ==" in requirement or ("win32" in requirement and sys.platform == "win32"):
            continue
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    detail = f"missing: {', '.join(missing)}" if missing else "all installed"
    return Finding("packages", not missing, detail, "Run `pip install -c constraints.txt -e .` again.")


def _disk(settings: Settings) -> Finding:
    place = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    free = shutil.disk_usage(place).free
    return Finding("disk", free > LOW_DISK_BYTES, f"{free / 1024**3:.1f} GiB free at {settings.home}", "Make room.")


def _keys(runtime: Runtime) -> Finding:
    where = "COURSESIGNAL_SECRET_KEYS" if runtime.settings.secret_keys else str(runtime.settings.home / "keys.json")
    return Finding("keys", True, f"from {where}; keep a copy: without it sealed credentials cannot be read")


def _plugins(runtime: Runtime) -> Finding:
    quarantined = runtime.registry.quarantined
    names = ", ".join(plugin.slug for plugin in runtime.registry.plugins)
    detail = names if not quarantined else f"{names}; quarantined: " + "; ".join(str(error) for error in quarantined)
    return Finding("plugins", not quarantined, detail, "Mend or remove the quarantined plugins in plugins.toml.")


async def _database(runtime: Runtime) -> Finding:
    connection = await asyncpg.connect(runtime.where.admin, timeout=10)
    try:
        version = await connection.fetchval("show server_version")
    finally:
        await connection.close()
    place = f"embedded, data in {runtime.server.data}" if runtime.server else "at DATABASE_URL"
    mend = "Use PostgreSQL 18 or newer."
    return Finding("database", int(version.split(".")[0]) >= 18, f"PostgreSQL {version} {place}", mend)


async def _migrations(runtime: Runtime) -> Finding:
    if runtime.server is not None:
        await runtime.migrate()
    pending = await runtime.migrator.plan()
    return Finding("migrations", not pending, f"{len(pending)} pending", "Run `coursesignal migrate up`.")


async def _roles(runtime: Runtime) -> Finding:
    connection = await asyncpg.connect(runtime.where.app, timeout=10)
    try:
        row = await connection.fetchrow(
            "select current_user as name, rolsuper or rolbypassrls as unsafe from pg_roles where rolname = current_user"
        )
    finally:
        await connection.close()
    assert row is not None
    detail = f"the application is {row['name']}, " + (
        "which bypasses row-level security" if row["unsafe"] else "bound by row-level security"
    )
    return Finding("roles", not row["unsafe"], detail, "Connect the application as cs_app, never as an administrator.")


async def _rollups(runtime: Runtime) -> Finding:
    await runtime.database.start()
    try:
        days, forgotten = await backlog(runtime.database)
    finally:
        await runtime.database.close()
    detail = f"{days} days wait to be counted; reports read them from the tables"
    if forgotten:
        detail += f"; {forgotten} tenants have waited for more than a day"
    return Finding("rollups", not forgotten, detail, "Start a worker, or run `coursesignal rollups rebuild`.")


async def _queue(runtime: Runtime) -> Finding:
    url = runtime.settings.queue_url
    if url is None:
        return Finding("queue", True, "in PostgreSQL")
    from redis.asyncio import Redis

    client = Redis.from_url(url)
    try:
        await cast("Awaitable[bool]", client.ping())
    finally:
        await client.aclose()
    return Finding("queue", True, "Redis answers")


async def _mail(runtime: Runtime) -> Finding:
    url = runtime.settings.smtp_url
    if url is None:
        return Finding("mail", True, f"no SMTP server set: mails are written to {runtime.settings.mail_dir}")
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port or (465 if parts.scheme == "smtps" else 587))
    writer.close()
    return Finding("mail", True, f"{parts.hostname} answers")
