"""``coursesignal demo``: everything a stranger needs to look around, in one command."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import httpx
import msgspec

from coursesignal.demo import console, seed, story
from coursesignal.demo.alone import alone
from coursesignal.demo.api import Api, DemoFailed, client
from coursesignal.demo.books import Books
from coursesignal.demo.borrowing import borrowed
from coursesignal.demo.compare import compare
from coursesignal.demo.ledger import totals
from coursesignal.demo.live import Stage
from coursesignal.demo.notebook import Notebook, opened
from coursesignal.demo.plan import Plan
from coursesignal.demo.platforms import Platforms, started
from coursesignal.demo.ports import is_free
from coursesignal.demo.reported import read
from coursesignal.demo.shops import AGENCY_EMAIL, AGENCY_NAME
from coursesignal.demo.world import Premises, prepare
from coursesignal.errors import ConfigurationError
from coursesignal.runtime import Runtime
from coursesignal.serve import ServerProcess
from coursesignal.settings import Settings
from coursesignal.tenancy import files

PORTS_TO_TRY = 20


async def demo(settings: Settings, *, port: int | None, live: bool, days: int = story.HISTORY_DAYS) -> None:
    """Prepare, write ``days`` of history if there is none, serve, and play until cancelled; without ``live`` only prepare."""
    began = time.monotonic()
    with alone(settings.home):
        await _demo(settings, opened(settings.home), port=port, live=live, days=days, began=began)


async def _demo(
    settings: Settings, notebook: Notebook, *, port: int | None, live: bool, days: int, began: float
) -> None:
    async with started(notebook.first_number) as platforms:
        settings = _at_home(settings, platforms, port)
        books = _opened_books(settings, platforms)
        console.step(f"Starting the database in {settings.home}")
        async with borrowed(settings):
            premises, plans = await _prepared(settings, platforms, books, notebook, days)
            console.step("Starting web server and worker.")
            with ServerProcess(settings, quiet=True) as server:
                async with client(server.url) as http:
                    shops = await _furnished(http, premises, plans, notebook)
                    await _welcome(settings, shops, notebook, time.monotonic() - began)
                    if live:
                        await _play(settings, books, shops, notebook)


def _opened_books(settings: Settings, platforms: Platforms) -> Mapping[str, Books]:
    """What each shop sold in earlier runs, known to its platform again; by the shop's slug."""
    return {slug: Books(one, settings.home / f"demo-{slug}.jsonl") for slug, one in platforms.by_shop.items()}


async def _prepared(
    settings: Settings, platforms: Platforms, books: Mapping[str, Books], notebook: Notebook, days: int
) -> tuple[Sequence[Premises], Mapping[str, Plan]]:
    """Tables, accounts, connections, tenants as their files say, the history; returns what of it is new, by tenant."""
    runtime = Runtime.prepare(settings)
    await runtime.migrate()
    await runtime.start()
    try:
        premises = await prepare(runtime, platforms, notebook)
        notebook.keep(settings.home)
        wanted = files.read(settings.tenants_dir)
        await files.apply(runtime.database, wanted, runtime.registry.plugins, runtime.registry.models)
        return premises, await _write_history(runtime, premises, books, notebook, days)
    finally:
        await runtime.stop()


async def _furnished(
    http: httpx.AsyncClient, premises: Sequence[Premises], plans: Mapping[str, Plan], notebook: Notebook
) -> Sequence[Opened]:
    """Every shop with its owner logged in, its numbers verified, its launches made and advice sought."""
    shops = [await _opened(http, place, notebook) for place in premises]
    for shop in shops:
        await _verify(shop, plans.get(shop.premises.slug))
        await _add_launches(shop, notebook.until)
        with contextlib.suppress(DemoFailed):  # an installation without the plugin
            await shop.api.post("/api/recommendations/generate")
    return shops


def _at_home(settings: Settings, platforms: Platforms, port: int | None) -> Settings:
    """The installation's settings, with the fake platforms and a port that is free."""
    chosen = port or next(
        (p for p in range(settings.port, settings.port + PORTS_TO_TRY) if is_free(settings.host, p)), settings.port
    )
    if not is_free(settings.host, chosen):
        raise ConfigurationError(f"Port {chosen} is taken. Stop what uses it, or choose another with --port.")
    moved = {} if chosen == settings.port else {"base_url": f"http://{settings.host}:{chosen}"}
    return msgspec.structs.replace(settings, port=chosen, platform_urls=platforms.urls, **moved)


async def _write_history(
    runtime: Runtime, premises: Sequence[Premises], books: Mapping[str, Books], notebook: Notebook, days: int
) -> Mapping[str, Plan]:
    """A history for every tenant that does not have one yet, all at once; returns what was written, by tenant."""
    missing = [place for place in premises if await _lacks_history(runtime, place, notebook)]
    if not missing:
        console.step("The history is there already.")
        if not all(books[place.shop.slug].has_history for place in premises):
            home = runtime.settings.home
            console.step(
                f"An earlier version wrote it, and its platforms do not know it. For one they know, remove {home}."
            )
        return {}
    notebook.begun = [str(place.place.tenant_id) for place in premises]
    notebook.keep(runtime.settings.home)
    began = time.monotonic()
    console.step(f"Writing {days} days of history, this once.")
    plans = [await asyncio.to_thread(story.history, place.shop, notebook.until, days=days) for place in missing]
    for place, plan in zip(missing, plans, strict=True):
        books[place.shop.slug].know(plan.sales)
    progress = console.Progress("History", sum(seed.effort(plan) for plan in plans))
    await asyncio.gather(
        *(
            seed.write(runtime, place.shop, place.place, plan, progress.add)
            for place, plan in zip(missing, plans, strict=True)
        )
    )
    await seed.refresh_statistics(runtime.where.owner)
    notebook.seeded += [str(place.place.tenant_id) for place in missing]
    notebook.keep(runtime.settings.home)
    events = sum(plan.event_count for plan in plans)
    sales = sum(len(plan.sales) for plan in plans)
    console.step(f"Wrote {events:,} events and {sales:,} sales in {time.monotonic() - began:.0f} s.")
    return {place.slug: plan for place, plan in zip(missing, plans, strict=True)}


async def _lacks_history(runtime: Runtime, premises: Premises, notebook: Notebook) -> bool:
    """Whether to write it: not when it is complete, nor into a tenant with visitors of whose origin nothing is known."""
    tenant_id = premises.place.tenant_id
    if str(tenant_id) in notebook.seeded:
        return False
    if str(tenant_id) in notebook.begun:
        return True
    async with runtime.database.tenant(tenant_id) as conn:
        return not await conn.fetchval("select exists (select from visitors where tenant_id = $1)", tenant_id)


@dataclass(frozen=True, slots=True)
class Opened:
    """A shop whose owner is logged in."""

    premises: Premises
    api: Api


async def _opened(http: httpx.AsyncClient, premises: Premises, notebook: Notebook) -> Opened:
    api = await Api(http).login(premises.owner, notebook.password, tenant=premises.slug)
    return Opened(premises, api)


async def _verify(shop: Opened, plan: Plan | None) -> None:
    """Hold what the reports say of a history just written against the ledger."""
    if plan is None:
        return
    lines = compare(totals(plan, shop.premises.shop.currency), await read(shop.api))
    wrong = [line for line in lines if line.difference]
    if wrong:
        console.table(shop.premises.shop, wrong)
    console.step(f"{shop.premises.shop.name}: {len(lines)} numbers compared with the ledger, {len(wrong)} differ.")


async def _add_launches(shop: Opened, until: datetime) -> None:
    """The launches of the history, where they are not yet."""
    try:
        known = {launch["title"] for launch in (await shop.api.get("/api/launches"))["items"]}
    except DemoFailed:  # an installation without the plugin
        return
    for launch in shop.premises.shop.launches:
        if launch.name not in known:
            starts_at, ends_at = story.launch_window(shop.premises.shop, launch, until)
            window = {"startsAt": starts_at.isoformat(), "endsAt": ends_at.isoformat()}
            await shop.api.post("/api/launches", {"title": launch.name, **window})


async def _welcome(settings: Settings, shops: Sequence[Opened], notebook: Notebook, took_s: float) -> None:
    """Where to go, who to be, what to try, and what there is to see."""
    console.step(f"Ready after {took_s:.0f} s.")
    console.heading(f"CourseSignal runs at {settings.base_url}")
    rows = [("dashboard", f"{settings.base_url}/login")]
    rows += [("log in as", f"{AGENCY_EMAIL} – {AGENCY_NAME}, the agency of both shops")]
    rows += [("", f"{place.owner} – {place.shop.name}") for place in (shop.premises for shop in shops)]
    rows += [("password", f"{notebook.password} (for each of them)")]
    rows += [("API", f"{settings.base_url}/api/schema")]
    rows += [("API key", f"{notebook.api_key} (of {shops[0].premises.shop.name})")]
    console.pairs(rows)
    console.heading("Ask for revenue by source, in another terminal")
    query = f"'{settings.base_url}/api/analytics/sources?range=90d'"
    console.say(f"  curl -s -H 'Authorization: Bearer {notebook.api_key}' {query}")
    for shop in shops:
        await console.overview(shop.premises.shop, shop.api)


async def _play(settings: Settings, books: Mapping[str, Books], shops: Sequence[Opened], notebook: Notebook) -> None:
    """Live traffic until cancelled."""
    console.heading("Live: visitors come, some buy, and each sale finds its source. Ctrl-C stops; everything stays.")
    stages = [Stage(shop.premises, books[shop.premises.shop.slug], shop.api, notebook.last_person) for shop in shops]
    try:
        await asyncio.gather(*(stage.play() for stage in stages))
    finally:
        notebook.last_person = max(stage.next_person for stage in stages)
        notebook.keep(settings.home)
