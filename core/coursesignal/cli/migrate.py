"""``coursesignal migrate``: bring the database's tables to this version, or back."""

from __future__ import annotations

import asyncio

import click

from coursesignal.db.migrate import MigrationState
from coursesignal.runtime import Runtime
from coursesignal.settings import load


@click.group()
def command() -> None:
    """Core's and the plugins' migrations: up, down, status, plan."""


@command.command()
def up() -> None:
    """Run everything that has not run; creates roles and, on the embedded server, the database."""
    runtime = Runtime.prepare(load())
    asyncio.run(runtime.migrate())
    click.echo("The database is up to date.")


@command.command()
@click.argument("app")
@click.argument("to")
@click.confirmation_option(prompt="This removes tables and what is in them. Go on?")
def down(app: str, to: str) -> None:
    """Undo APP's migrations (coursesignal or a plugin's slug) down to and including the id TO, or "all"."""
    runtime = Runtime.prepare(load())
    asyncio.run(runtime.migrator.down(app, to))
    click.echo(f"{app} is back before {to}.")


@command.command()
def status() -> None:
    """Every migration and whether it ran."""
    for state in asyncio.run(_states()):
        click.echo(f"{'done   ' if state.applied else 'pending'}  {state.app:16} {state.id}  {state.description}")


@command.command()
def plan() -> None:
    """What `migrate up` would run."""
    pending = [state for state in asyncio.run(_states()) if not state.applied]
    for state in pending:
        click.echo(f"{state.app:16} {state.id}  {state.description}")
    if not pending:
        click.echo("Nothing to do.")


async def _states() -> list[MigrationState]:
    runtime = Runtime.prepare(load())
    await runtime.make_room()
    return await runtime.migrator.status()
