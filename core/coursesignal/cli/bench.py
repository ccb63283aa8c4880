"""``coursesignal bench``: what this machine does, printed beside what it could do at best."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import msgspec

from coursesignal.benchmark.connections_command import command as connections_command
from coursesignal.benchmark.launch_command import command as launch_command
from coursesignal.settings import Settings, load

if TYPE_CHECKING:
    from coursesignal.benchmark.crowd import Crowd
    from coursesignal.benchmark.load import Measured
    from coursesignal.benchmark.place import BenchTenant, WebProcess
    from coursesignal.benchmark.sustained import Sustained


TENANTS, EVENTS = 1000, 10_000_000
RECOMPUTED = 10_000
"""Purchases."""


@click.group(invoke_without_command=True)
@click.option("--seconds", default=5.0, show_default=True, help="Measured time of each load.")
@click.option("--connections", default=64, show_default=True, help="Keep-alive connections of the load.")
@click.option("--tenants", default=TENANTS, show_default=True, help="Tenants to load; 0: neither reports nor traffic.")
@click.option("--events", default=EVENTS, show_default=True, help="Events of all tenants together.")
@click.option("--minutes", default=5.0, show_default=True, help="Of steady traffic.")
@click.pass_context
def command(ctx: click.Context, seconds: float, connections: int, tenants: int, events: int, minutes: float) -> None:
    """Measure ingest, reports and the pipeline on this machine, in a temporary installation that is gone afterwards.

    `load` fills an installation that stays, for `reports`, `isolation` and `traffic` to measure again and again.
    """
    if ctx.invoked_subcommand is not None:
        return
    from coursesignal.benchmark.place import temporary_settings

    with temporary_settings(load()) as settings:
        click.echo("Setting up a temporary installation …")
        tenant = asyncio.run(_set_up(settings))
        measure_ingest(settings, tenant, seconds, connections)
        measure_pipeline(settings)
        if tenants:
            measure_recompute(settings, min(RECOMPUTED, events // 100))
    if tenants:
        with temporary_settings(load()) as settings:
            fill(settings, tenants, events)
            measure_reports(settings)
            measure_isolation(settings)
            measure_traffic(settings, 3000, 10, minutes * 60, connections)
            measure_traffic(settings, 0, 1, seconds * 4, connections)
            measure_traffic(settings, 0, 10, seconds * 4, connections)


@command.command("load")
@click.option("--tenants", default=TENANTS, show_default=True)
@click.option("--events", default=EVENTS, show_default=True, help="Of all tenants together; the largest has a tenth.")
def load_command(tenants: int, events: int) -> None:
    """Fill this installation, which must be empty, with tenants of very different sizes."""
    fill(_quiet(load()), tenants, events)


@command.command("reports")
def reports_command() -> None:
    """Time every report of what `load` loaded: of tenants of the median size, and of the largest."""
    measure_reports(_quiet(load()))


@command.command("isolation")
def isolation_command() -> None:
    """Time the reports of what `load` loaded with and without row-level security."""
    measure_isolation(_quiet(load()))


@command.command("traffic")
@click.option("--per-second", default=3000.0, show_default=True, help="Events; 0: as many as are answered.")
@click.option("--batch", default=10, show_default=True, help="Events per request.")
@click.option("--minutes", default=5.0, show_default=True)
@click.option("--connections", default=64, show_default=True)
def traffic_command(per_second: float, batch: int, minutes: float, connections: int) -> None:
    """Send events to all tenants that `load` loaded, with a web process and a worker at work."""
    measure_traffic(_quiet(load()), per_second, batch, minutes * 60, connections)


@command.command("recompute")
@click.option("--purchases", default=RECOMPUTED, show_default=True)
def recompute_command(purchases: int) -> None:
    """Time how fast a change of settings reaches a whole history, in a temporary installation."""
    from coursesignal.benchmark.place import temporary_settings

    with temporary_settings(load()) as settings:
        measure_recompute(settings, purchases)


def measure_recompute(settings: Settings, purchases: int) -> None:
    """Purchases per second that are credited again under the rule models, after one change of settings and another."""
    from coursesignal.benchmark import place
    from coursesignal.benchmark import recompute as bench
    from coursesignal.runtime import Runtime

    async def measure() -> None:
        async with Runtime.opened(settings) as runtime:
            async for timed in bench.measure_recompute(runtime, await place.add_tenant(runtime), purchases):
                click.echo(f"{timed.change:40}{timed.seconds:10.2f}{timed.per_second:15,.0f}")

    click.echo(f"\nRecompute of {purchases:,} purchases under the rule models\n")
    click.echo(f"{'':40}{'seconds':>10}{'purchases/s':>15}")
    asyncio.run(measure())


def _quiet(settings: Settings) -> Settings:
    """The installation's settings, to measure it on a port of its own and without limits on who may send how much."""
    from coursesignal.benchmark.place import free_port

    port = free_port()
    return msgspec.structs.replace(
        settings, host="127.0.0.1", port=port, base_url=f"http://127.0.0.1:{port}", collect_rate=0, web_processes=1
    )


def fill(settings: Settings, tenants: int, events: int) -> None:
    """Load ``tenants`` with ``events`` together."""
    from coursesignal.benchmark.crowd import load_crowd
    from coursesignal.runtime import Runtime

    async def fill() -> None:
        async with Runtime.opened(settings) as runtime:
            await load_crowd(runtime, tenants, events, lambda text: click.echo(f"  {text}"))

    click.echo(f"\nLoading {tenants:,} tenants with {events:,} events …")
    started = time.monotonic()
    asyncio.run(fill())
    click.echo(f"loaded and credited in {time.monotonic() - started:.0f} s")


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


def measure_reports(settings: Settings) -> None:
    """How long each report takes for tenants of the median size and for the largest."""
    from coursesignal.benchmark import place
    from coursesignal.benchmark.reports import time_reports

    crowd = asyncio.run(_crowd(settings))
    for name, tenants in (("the median size", crowd.around_the_median(20)), ("the largest size", [crowd.largest])):
        click.echo(f"\nReports of {len(tenants)} of {len(crowd.tenants):,} tenants, {name}\n")
        click.echo(f"{'':58}{'first ms':>10}{'median ms':>11}{'p95 ms':>12}")
        with place.web_process(settings, None):
            for timed in time_reports(settings.base_url, tenants):
                note = "" if timed.statuses == {200} else f"  answered {sorted(timed.statuses)}"
                click.echo(f"{timed.path:58}{timed.first_ms:10.1f}{timed.median_ms:11.1f}{timed.p95_ms:12.1f}{note}")


def measure_isolation(settings: Settings) -> None:
    """What row-level security adds to the reports' time."""
    from coursesignal.benchmark.isolation import Overhead, measure_isolation
    from coursesignal.runtime import Runtime

    async def measure(tenant: BenchTenant) -> list[Overhead]:
        async with Runtime.opened(settings) as runtime:
            return await measure_isolation(runtime, tenant)

    crowd = asyncio.run(_crowd(settings))
    for name, tenant in (("the median tenant", crowd.around_the_median(1)[0]), ("the largest", crowd.largest)):
        found = asyncio.run(measure(tenant))
        click.echo(f"\nRow-level security beside the explicit filter alone, {name}\n")
        click.echo(f"{'':28}{'with, ms':>12}{'without, ms':>13}{'more':>8}")
        for one in found:
            click.echo(f"{one.report:28}{one.secured_ms:12.1f}{one.bare_ms:13.1f}{one.ratio:8.1%}")
        secured, bare = sum(one.secured_ms for one in found), sum(one.bare_ms for one in found)
        click.echo(f"{'all of them':28}{secured:12.1f}{bare:13.1f}{secured / bare - 1:8.1%}")


def measure_traffic(settings: Settings, per_second: float, batch: int, seconds: float, connections: int) -> None:
    """``per_second`` events in requests of ``batch`` with a web process and a worker at work; 0: as many as are answered."""
    from coursesignal.benchmark import place
    from coursesignal.benchmark.crowd import loaded_crowd
    from coursesignal.benchmark.sustained import Traffic, sustain
    from coursesignal.runtime import Runtime

    async def run(server: WebProcess) -> Sustained:
        async with Runtime.opened(settings) as runtime:
            crowd = await loaded_crowd(runtime)
            return await sustain(
                runtime, crowd, Traffic(per_second / batch, batch, seconds, connections), server.port, server.pid
            )

    wanted = f"{per_second:,.0f} events/s" if per_second else "as many events as are answered"
    click.echo(f"\nTraffic with the pipeline at work: {wanted}, {batch} per request, for {seconds:.0f} s")
    with (
        place.web_process(settings, 0) as server,
        place.worker_processes(settings),
        asyncio.Runner(loop_factory=_fast_loop()) as runner,
    ):
        seen = runner.run(run(server))
    for line in _traffic_lines(seen, batch):
        click.echo(line)


def _traffic_lines(seen: Sustained, batch: int) -> Iterator[str]:
    load, others = seen.load, seen.load.statuses.total() - seen.load.statuses[202] + seen.load.broken
    yield (
        f"acknowledged {load.per_second:,.0f} requests/s, {load.per_second * batch:,.0f} events/s; "
        f"p50 {load.percentile_ms(50):.1f} ms, p99 {load.percentile_ms(99):.1f} ms; other answers {others}"
    )
    for look in seen.looks[:: max(1, len(seen.looks) // 10)]:
        yield f"  after {look.at_s:4.0f} s {look.events:9,} events wait, the oldest for {look.oldest_s:.1f} s"
    yield f"the backlog grew by {seen.growth:,.0f} events/s"
    if seen.clicks_s:
        worst = max(seen.clicks_s)
        median = statistics.median(seen.clicks_s)
        yield f"from click to report: median {median:.1f} s, longest {worst:.1f} s of {len(seen.clicks_s)}"


async def _crowd(settings: Settings) -> Crowd:
    from coursesignal.benchmark.crowd import loaded_crowd
    from coursesignal.runtime import Runtime

    async with Runtime.opened(settings) as runtime:
        return await loaded_crowd(runtime)


async def _set_up(settings: Settings) -> BenchTenant:
    """A tenant with no history."""
    from coursesignal.benchmark import place
    from coursesignal.runtime import Runtime

    async with Runtime.opened(settings) as runtime:
        return await place.add_tenant(runtime)


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


command.add_command(connections_command)
command.add_command(launch_command)
