"""``coursesignal database``: the embedded server."""

from __future__ import annotations

import click

from coursesignal.db.embedded import EmbeddedServer
from coursesignal.errors import ConfigurationError
from coursesignal.settings import load


@click.group()
def command() -> None:
    """Start, stop and locate the embedded PostgreSQL."""


def _server() -> EmbeddedServer:
    settings = load()
    if settings.database_url:
        raise ConfigurationError("DATABASE_URL is set: this installation has no embedded server.")
    return EmbeddedServer(settings.home)


@command.command()
def start() -> None:
    """Start the server if it does not run."""
    server = _server().start()
    click.echo(f"PostgreSQL runs; its data is in {server.data}.")


@command.command()
def stop() -> None:
    """Stop the server; what uses it loses its connections."""
    _server().stop()
    click.echo("PostgreSQL is stopped.")


@command.command()
def status() -> None:
    """Whether the server runs, and where its data is."""
    server = _server()
    click.echo(f"{'running' if server.is_running() else 'stopped'}; data in {server.data}")


@command.command()
def url() -> None:
    """The administrator's address, for psql."""
    click.echo(_server().url("coursesignal"))
