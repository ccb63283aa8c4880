"""``coursesignal bench``: what this machine does, printed beside what it could do at best."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import click

from coursesignal.settings import Settings, load

if TYPE_CHECKING:
    from coursesignal.benchmark.load import Measured
    from coursesignal.benchmark.place import BenchTenant, WebProcess


@click.command()
@click.option("--seconds", default=5.0, show_default=True, help="Measured time of each load.")
@click.option("--connections", default=64, show_default=True, help="Keep-alive connections of the load.")
@click.option(
    "--events", default=1_000_000, show_default=True, help="Events in the history that reports read; 0: no reports."
)
def command(seconds: float, connections: int, events: int) -> None:
    """Measure ingest and reports on this machine, in a temporary installation that is gone afterwards."""
    from coursesignal.benchmark.place import temporary_settings

    with temporary_settings(load()) as settings:
        click.echo("Setting up a temporary installation …")
        tenant = asyncio.run(_set_up(settings, 0))
        measure_ingest(settings, tenant, seconds, connections)
        measure_pipeline(settings)
        if events:
            measure_reports(settings, events)


def measure_ingest(settings: Settings, tenant: BenchTenant, seconds: float, connections: int) -> None:
    """Acknowledged events per second and latencies, beside the bare handler."""
    from coursesignal.benchmark import bare, place
    from coursesignal.tracking.collect import EVENT_PATH

    def row(name: str, server: WebProcess, path: str, events: int) -> Measured:
        measured = _load(tenant, server, path, events, seconds, connections)
        click.echo(_ingest_row(f"{name}, {events} per body", measured, events))
        return measured

    with place.apart(settings) as pinned:
        cores = "the server on one core, load and database on another" if pinned else "all on the same cores"
        click.echo(f"\nIngest: {connections} connections, {cores}; fsync is on, every answer comes after its commit\n")
        click.echo(_INGEST_HEAD)
        with place.bare_process() as server:
            bare_rows = [row("bare Litestar handler", server, bare.PATH, events) for events in (1, 10)]
        with place.web_process(settings) as server:
            rows = [row("CourseSignal", server, EVENT_PATH, events) for events in (1, 10)]
            resident_mb = server.resident_bytes / 1e6
    shares = [ours.per_second / max(theirs.per_second, 1) for ours, theirs in zip(rows, bare_rows, strict=True)]
    click.echo(
        f"\nCourseSignal answers {shares[0]:.0%} of the bare handler's requests with 1 event, {shares[1]:.0%} with 10."
    )
    click.echo(
        f"The web process booted with all plugins in {server.booted_s:.2f} s; after the load it holds {resident_mb:.0f} MB."
    )


_INGEST_HEAD = (
    f"{'':36}{'requests/s':>12}{'events/s':>10}{'p50 ms':>8}{'p99 ms':>8}{'per core-second':>17}{'other answers':>15}"
)


def _ingest_row(name: str, measured: Measured, events: int) -> str:
    others = measured.statuses.total() - measured.statuses[202] + measured.broken
    return (
        f"{name:36}{measured.per_second:12,.0f}{measured.per_second * events:10,.0f}{measured.percentile_ms(50):8.1f}"
        f"{measured.percentile_ms(99):8.1f}{measured.per_core_second:17,.0f}{others:15,}"
    )


def measure_pipeline(settings: Settings) -> None:
    """How fast one worker turns what was stored into sessions and touches."""
    from coursesignal.benchmark import place
    from coursesignal.runtime import Runtime

    async def drain() -> tuple[int, float]:
        async with Runtime.opened(settings) as runtime:
            return await place.drain(runtime)

    processed, took_s = asyncio.run(drain())
    click.echo(
        f"Pipeline: {processed:,} events into sessions and touches, {processed / took_s:,.0f} per second in one worker."
    )


def measure_reports(settings: Settings, events: int) -> None:
    """How long each report takes over a tenant's history of ``events`` events."""
    from coursesignal.benchmark import place
    from coursesignal.benchmark.reports import time_reports

    click.echo(f"\nReports: writing a history of {events:,} events …")
    started = time.monotonic()
    tenant = asyncio.run(_set_up(settings, events))
    click.echo(f"written and credited in {time.monotonic() - started:.0f} s\n")
    click.echo(f"{'':58}{'first ms':>10}{'median ms':>11}{'slowest ms':>12}")
    with place.web_process(settings):
        for timed in time_reports(settings.base_url, tenant):
            note = "" if timed.status == 200 else f"  answered {timed.status}"
            click.echo(f"{timed.path:58}{timed.first_ms:10.1f}{timed.median_ms:11.1f}{timed.slowest_ms:12.1f}{note}")


async def _set_up(settings: Settings, events: int) -> BenchTenant:
    """A tenant with a history of ``events`` events."""
    from coursesignal.benchmark import place
    from coursesignal.benchmark.history import Size, write_history
    from coursesignal.runtime import Runtime

    async with Runtime.opened(settings) as runtime:
        tenant = await place.add_tenant(runtime)
        if events:
            await write_history(runtime, tenant, Size(events))
        return tenant


def _load(
    tenant: BenchTenant, server: WebProcess, path: str, events: int, seconds: float, connections: int
) -> Measured:
    from coursesignal.benchmark.load import Target, run_load
    from coursesignal.benchmark.place import cpu_seconds
    from coursesignal.benchmark.traffic import bodies

    target = Target("127.0.0.1", server.port, path, 202, bodies(tenant.site_key, events))
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        return runner.run(
            run_load(target, connections=connections, seconds=seconds, server_s=lambda: cpu_seconds(server.pid))
        )


def _fast_loop() -> type[asyncio.AbstractEventLoop] | None:
    """The event loop that uvicorn uses too, where there is one."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop
