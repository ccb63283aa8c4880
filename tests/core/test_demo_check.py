"""``coursesignal demo --check`` finds no difference where there is none, and every one where there is."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import msgspec
import pytest

from coursesignal.demo import seed, story
from coursesignal.demo.api import Api
from coursesignal.demo.books import Books
from coursesignal.demo.compare import Line, compare
from coursesignal.demo.ledger import totals
from coursesignal.demo.notebook import new
from coursesignal.demo.plan import Plan
from coursesignal.demo.platforms import started
from coursesignal.demo.reported import read
from coursesignal.demo.world import prepare
from coursesignal.runtime import Runtime
from coursesignal.serve import environment

ONE_CENT_MORE = """
    create function one_cent_more() returns trigger language plpgsql as
    $$ begin new.amount_minor := new.amount_minor + 1; return new; end $$;
    create trigger one_cent_more before insert on charges for each row execute function one_cent_more()
"""
NO_CENT_MORE = "drop trigger one_cent_more on charges; drop function one_cent_more()"


@dataclass(frozen=True)
class Ended:
    code: int
    said: str

    def line(self, part: str) -> str:
        return next(line for line in self.said.splitlines() if part in line)


async def check(installation: Runtime, *words: str) -> Ended:
    """The command as a person runs it, on the installation's database."""
    name = urlsplit(installation.where.owner).path
    url = urlsplit(installation.where.admin)._replace(path=name).geturl()
    settings = msgspec.structs.replace(installation.settings, database_url=url, host="127.0.0.1")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "coursesignal", "demo", "--check", *words,
        env={**os.environ, **environment(settings)}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode())


async def test_untidy_traffic_over_http_ends_in_the_ledgers_numbers_to_the_cent(installation: Runtime) -> None:
    ended = await check(installation, "--visitors", "60", "--sales", "12")
    assert ended.code == 0, ended.said
    assert "numbers in 2 tenants equal the ledger's, to the cent: difference 0" in ended.said
    assert "Paint with Pia – kajabi, USD, America/New_York" in ended.said
    assert "Klavier mit Klara – teachable, EUR, Europe/Berlin" in ended.said
    assert ended.line("visitors  ").split()[1:] == ["60", "60", "0"]


@pytest.fixture
async def a_cent_too_much(installation: Runtime) -> AsyncIterator[None]:
    """A database that adds a cent to every charge it is given."""
    owner = await asyncpg.connect(installation.where.owner)
    await owner.execute(ONE_CENT_MORE)
    yield
    await owner.execute(NO_CENT_MORE)
    await owner.close()


@pytest.mark.usefixtures("a_cent_too_much")
async def test_a_cent_too_much_on_every_charge_fails_the_check(installation: Runtime) -> None:
    ended = await check(installation, "--visitors", "60", "--sales", "4")
    assert ended.code == 1, ended.said
    assert "numbers differ from the ledger" in ended.said
    assert ended.line("  charges").split()[-2].startswith("0.0")


async def test_a_history_written_twice_reports_what_the_ledger_says(
    installation: Runtime, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    notebook = new()
    async with started() as platforms:
        runtime = installation
        runtime.settings = msgspec.structs.replace(runtime.settings, platform_urls=platforms.urls)
        for place in await prepare(runtime, platforms, notebook, suffix="-history"):
            plan = story.history(place.shop, datetime.now(UTC).replace(microsecond=0), days=30, crowd=0.05)
            effort: list[int] = []
            Books(platforms.by_shop[place.shop.slug], tmp_path / place.slug).know(plan.sales)
            await seed.write(runtime, place.shop, place.place, plan, effort.append)
            assert sum(effort) == seed.effort(plan)
            await seed.write(runtime, place.shop, place.place, plan, effort.append)
            api = await Api(client).login(place.owner, notebook.password, tenant=place.slug)
            assert plan.sales and await differences(api, plan, place.shop.currency) == []


async def differences(api: Api, plan: Plan, currency: str) -> list[Line]:
    return [line for line in compare(totals(plan, currency), await read(api)) if line.difference]
