"""``coursesignal web``: one web process; ``serve`` starts it."""

from __future__ import annotations

import gc

import click

from coursesignal.settings import load


@click.command(hidden=True)
@click.option("--fd", type=int, default=None, help="A listening socket inherited from the supervisor.")
def command(fd: int | None) -> None:
    """Run one web process."""
    gc.disable()  # what boot builds stays, so there is nothing to collect; run_web turns it on
    from coursesignal.serve import run_web

    run_web(load(), fd)
