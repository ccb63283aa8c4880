"""``coursesignal bench launch``: whether live numbers keep up with a launch, and whether its results are the ledger's."""

from __future__ import annotations

import asyncio

import click
import msgspec

from coursesignal.settings import load

LATEST_S = 2.0
"""How long after being on record a number must be told."""


@click.command("launch")
@click.option("--visitors", default=50_000, show_default=True)
@click.option("--sales", default=500, show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="In which the hour of a launch is played.")
def command(visitors: int, sales: int, seconds: float) -> None:
    """Play a launch in a temporary installation; exits with 1 when live numbers lag or final ones are not the ledger's."""
    from coursesignal.benchmark import shops
    from coursesignal.benchmark.launch import measure_launch
    from coursesignal.benchmark.place import temporary_settings, web_process, worker_processes

    with temporary_settings(load()) as settings:
        quiet = msgspec.structs.replace(settings, log_level="WARNING")
        with (
            shops.opened(quiet, ["teachable"]) as (serving, (shop,)),
            web_process(serving, None),
            worker_processes(serving),
        ):
            seen = asyncio.run(measure_launch(serving, shop, visitors, sales, seconds))
    click.echo(f"{seen.visitors:,} visitors and {seen.purchases:,} purchases in {seconds:.0f} s")
    click.echo(f"visits acknowledged in p99 {seen.visits.percentile_ms(99):.0f} ms; {dict(seen.visits.statuses)}")
    purchases, visits = seen.lags_s
    click.echo(
        f"live numbers: {seen.told} events; told at most {purchases:.2f} s (purchases) and {visits:.2f} s (visitors) late"
    )
    click.echo(f"final numbers are the ledger's: {'; '.join(seen.differences) or 'yes, to the cent'}")
    if seen.differences or max(seen.lags_s) > LATEST_S:
        raise click.exceptions.Exit(1)
