"""``coursesignal demo``: an installation to look around in, or a check of every number."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable
from typing import TypeVar

import click
import msgspec

from coursesignal.settings import Settings, load

T = TypeVar("T")


@click.command()
@click.option(
    "--check",
    "checking",
    is_flag=True,
    help="Compare every total of untidy traffic with a ledger; exit 1 if any differs.",
)
@click.option("--once", is_flag=True, help="Set everything up, show it, and stop without live traffic.")
@click.option(
    "--days",
    default=90,
    show_default=True,
    type=click.IntRange(1, 90),
    help="Length of the history, when it is written.",
)
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
def command(
    ctx: click.Context, checking: bool, once: bool, days: int, port: int | None, visitors: int, sales: int
) -> None:
    """Two shops with ninety days of history, live visitors and sales, and logins to look around.

    Everything is invented and stays under COURSESIGNAL_HOME; running it again goes on where it was.
    """
    from coursesignal.demo.check import check
    from coursesignal.demo.run import demo

    settings = _calm(load())
    try:
        if not checking:
            asyncio.run(_ending_well(demo(settings, port=port, live=not once, days=days)))
        elif not asyncio.run(_ending_well(check(settings, visitors=visitors, sales=sales))):
            ctx.exit(1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        if checking:
            raise click.Abort from None
        click.echo(f"\nStopped. The same command goes on from here; the data stays in {settings.home}")


def _calm(settings: Settings) -> Settings:
    """Settings under which only what went wrong is logged, unless somebody asked for more."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if "COURSESIGNAL_LOG_LEVEL" in os.environ:
        return settings
    return msgspec.structs.replace(settings, log_level="WARNING")


async def _ending_well(work: Awaitable[T]) -> T:
    """``work``, cancelled by SIGTERM and by a closed terminal as it is by Ctrl-C: with everything it started."""
    task = asyncio.current_task()
    assert task is not None
    for name in ("SIGTERM", "SIGHUP"):
        with contextlib.suppress(NotImplementedError, AttributeError):  # Windows has neither
            asyncio.get_running_loop().add_signal_handler(getattr(signal, name), task.cancel)
    return await work
