"""``coursesignal bench connections``: how fast platforms' sales come in, and whether all of them do when processes are killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from coursesignal.settings import Settings, load

if TYPE_CHECKING:
    from coursesignal.benchmark.connections import Acknowledged
    from coursesignal.benchmark.shops import Shop

PLATFORMS = ("kajabi", "stripe", "teachable")
LOADED = "teachable"
"""Whose webhooks are counted on a clock."""


@click.command("connections")
@click.option("--purchases", default=5_000, show_default=True, help="Of each first sync.")
@click.option("--per-second", default=200.0, show_default=True, help="Webhooks to acknowledge; each comes four times.")
@click.option("--seconds", default=20.0, show_default=True, help="Of webhooks; 0 for none.")
@click.option(
    "--backlog", default=10_000, show_default=True, help="Webhooks that wait before a worker starts; 0 for none."
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    type=click.Choice(PLATFORMS),
    default=PLATFORMS,
    help="Which to sync with; may be given more than once. Without it, all.",
)
@click.option(
    "--kill",
    is_flag=True,
    help="Instead: kill web process and worker again and again while all sync and webhooks arrive, and compare every total.",
)
@click.option("--kills", default=10, show_default=True, help="Of each of the two, with --kill.")
@click.option("--seed", default=1, show_default=True, help="Of when to kill, and in which order webhooks come.")
def command(
    purchases: int,
    per_second: float,
    seconds: float,
    backlog: int,
    platforms: Sequence[str],
    kill: bool,
    kills: int,
    seed: int,
) -> None:
    """Time first syncs, webhooks under load and a backlog, against fake platforms, in a temporary installation."""
    from coursesignal.benchmark.place import temporary_settings

    with temporary_settings(load()) as settings:
        quiet = msgspec.structs.replace(settings, log_level="WARNING")
        if kill:
            survive_kills(quiet, platforms, purchases, kills, seed)
        else:
            measure_connections(quiet, platforms, purchases, per_second, seconds, backlog)


def measure_connections(
    settings: Settings, platforms: Sequence[str], purchases: int, per_second: float, seconds: float, backlog: int
) -> None:
    """First syncs, acknowledgements at a steady rate, and how long a backlog takes; money is counted at the end."""
    from coursesignal.benchmark import connections as bench
    from coursesignal.benchmark import shops

    with shops.opened(settings, platforms) as (settings, opened), bench.serving(settings):
        for shop in opened:
            shops.sell(shop.platform, purchases)
            synced = bench.first_sync(settings, shop)
            click.echo(
                f"\n{shop.slug}: first sync of {purchases:,} purchases: {synced.seconds:.1f} s; {synced.message}."
            )
            click.echo(f"  {synced.reconciled}")
            if seconds and shop.slug == LOADED:
                measure_webhooks(settings, shop, synced.webhook_path, purchases, per_second, seconds)
            if backlog and shop.slug == LOADED:
                measure_backlog(settings, shop, synced.webhook_path, backlog)
        agree = all(asyncio.run(bench.books_agree(settings, shop)) for shop in opened)
        click.echo(f"Every payment is there once, to the cent of the platforms' books: {'yes' if agree else 'NO'}")


def measure_webhooks(settings: Settings, shop: Shop, path: str, first: int, per_second: float, seconds: float) -> None:
    """How soon webhooks are acknowledged at a steady rate; buyers are numbered from ``first`` on."""
    from coursesignal.benchmark import connections as bench

    bodies = bench.new_bodies(shop, int(per_second * seconds / bench.COPIES), first)
    seen = bench.acknowledge(settings.port, path, bodies, per_second)
    click.echo(_acknowledged_line(f"{per_second:,.0f} webhooks/s, three of four repeats", seen))
    bodies = bench.new_bodies(shop, int(per_second * seconds / 2), first + len(bodies))
    seen = bench.acknowledge(settings.port, path, bodies, per_second * bench.COPIES)
    click.echo(_acknowledged_line(f"{per_second:,.0f} new webhooks/s and three repeats of each", seen))


def measure_backlog(settings: Settings, shop: Shop, path: str, backlog: int) -> None:
    """How long webhooks that wait take a worker that starts."""
    from coursesignal.benchmark import connections as bench

    waiting = bench.new_bodies(shop, backlog, 1_000_000)
    taken, drained_s = bench.drain(settings, shop, path, waiting)
    click.echo(
        f"Backlog of {backlog:,} webhooks, taken in at {len(waiting) / taken.seconds:,.0f}/s: "
        f"worked off in {drained_s:.1f} s from the worker's start"
    )


def survive_kills(settings: Settings, platforms: Sequence[str], purchases: int, each: int, seed: int) -> None:
    """Every platform's totals after web process and worker were killed all the way; exits with 1 when one differs."""
    from coursesignal.benchmark import kills, shops
    from coursesignal.serve import ServerProcess

    rng = random.Random(seed)  # noqa: S311 – when to kill, not a secret
    settings = msgspec.structs.replace(settings, testing=True)  # what a killed worker held is free after seconds
    with (
        shops.opened(settings, platforms) as (settings, opened),
        ServerProcess(settings) as server,
    ):
        killer = kills.Killer(server.pid, rng, each)
        survived = asyncio.run(kills.survive(server.url, opened, killer, purchases=purchases, live=purchases // 5))
    click.echo(f"\nKilled: {killer.killed['web']} times the web process, {killer.killed['tasks']} times the worker")
    for one in survived:
        verdict = "equal to the cent" if one.is_equal else f"DIFFERENT: {one.ours} here, {one.theirs} there"
        click.echo(f"{one.slug}: {verdict}, after {one.seconds:.0f} s. {one.message}")
    if not all(one.is_equal for one in survived):
        raise click.exceptions.Exit(1)


def _acknowledged_line(what: str, seen: Acknowledged) -> str:
    others = seen.statuses.total() - seen.statuses[202] - seen.statuses[200]
    return (
        f"{what}: {seen.statuses[202]:,} new, {seen.statuses[200]:,} repeats, other answers {others}; "
        f"acknowledged in p50 {seen.percentile_ms(50):.1f} ms, p99 {seen.percentile_ms(99):.1f} ms"
    )
