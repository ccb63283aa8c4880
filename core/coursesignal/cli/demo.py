"""``coursesignal demo``: an installation to look around in, or a check of every number."""

from __future__ import annotations

import asyncio

import click

from coursesignal.settings import load


@click.command()
@click.option(
    "--check",
    "checking",
    is_flag=True,
    help="Compare every total of untidy traffic with a ledger; exit 1 if any differs.",
)
@click.option("--once", is_flag=True, help="Set everything up, show it, and stop without live traffic.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Where to listen; without it, the first free one from COURSESIGNAL_PORT.",
)
@click.option(
    "--visitors", default=200, show_default=True, type=click.IntRange(60), help="In each tenant, with --check."
)
@click.option(
    "--sales", default=40, show_default=True, type=click.IntRange(1, 50), help="In each tenant, with --check."
)
@click.pass_context
def command(ctx: click.Context, checking: bool, once: bool, port: int | None, visitors: int, sales: int) -> None:
    """Two shops with ninety days of history, live visitors and sales, and logins to look around.

    Everything is invented and stays under COURSESIGNAL_HOME; running it again goes on where it was.
    """
    from coursesignal.demo.check import check
    from coursesignal.demo.run import demo

    settings = load()
    if checking:
        if not asyncio.run(check(settings, visitors=visitors, sales=sales)):
            ctx.exit(1)
        return
    try:
        asyncio.run(demo(settings, port=port, live=not once))
    except KeyboardInterrupt:
        click.echo("\nStopped. The same command goes on from here; the data stays in " + str(settings.home))
