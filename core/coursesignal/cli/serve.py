"""``coursesignal serve``: web and workers in one command."""

from __future__ import annotations

import click

from coursesignal.settings import load


@click.command()
@click.option("--no-worker", is_flag=True, help="Only the web processes; run `coursesignal worker` elsewhere.")
def command(no_worker: bool) -> None:
    """Run the web server and workers; on the embedded database it starts and migrates that first."""
    from coursesignal.serve import Supervisor, end_with_parent

    settings = load()
    end_with_parent()
    click.echo(f"CourseSignal on {settings.base_url} – stop with Ctrl-C")
    Supervisor(settings, worker=not no_worker).run()
