"""``coursesignal rollups``: the figures that are kept per day, so that reports need not count them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import click

from coursesignal.analytics.counting import refresh_everything, waiting
from coursesignal.analytics.rollup_check import check as compare
from coursesignal.errors import NotFound
from coursesignal.runtime import Runtime
from coursesignal.settings import load

of_tenant = click.option("--tenant", help="Slug of one tenant; all of them without.")


@click.group()
def command() -> None:
    """Figures kept per day."""


@command.command()
@of_tenant
def status(tenant: str | None) -> None:
    """Print, for each tenant, how many days wait to be counted. Reports read these from the tables meanwhile."""
    asyncio.run(_status(tenant))


@command.command()
@of_tenant
def rebuild(tenant: str | None) -> None:
    """Count every day again, except those whose raw data is gone. Safe to repeat, and while everything runs."""
    asyncio.run(_rebuild(tenant))


@command.command()
@of_tenant
def check(tenant: str | None) -> None:
    """Compare what is kept with what the tables say; print what differs, and exit with 1 if anything does."""
    if asyncio.run(_check(tenant)):
        raise SystemExit(1)


async def _status(slug: str | None) -> None:
    async with Runtime.opened(load()) as runtime:
        async for tenant_id, name in _tenants(runtime, slug):
            async with runtime.database.tenant(tenant_id) as conn:
                click.echo(f"{name.ljust(28)}  {await waiting(conn, tenant_id)} days wait")


async def _rebuild(slug: str | None) -> None:
    async with Runtime.opened(load()) as runtime:
        async for tenant_id, name in _tenants(runtime, slug):
            days = await refresh_everything(runtime.database, tenant_id)
            click.echo(f"{name.ljust(28)}  {days} days counted")


async def _check(slug: str | None) -> int:
    wrong = 0
    async with Runtime.opened(load()) as runtime:
        async for tenant_id, name in _tenants(runtime, slug):
            found = await compare(runtime.database, tenant_id)
            wrong += len(found.differences)
            click.echo(f"{name.ljust(28)}  {found.days} days compared, {found.closed} closed")
            for difference in found.differences:
                click.echo(f"  {difference}")
    return wrong


async def _tenants(runtime: Runtime, slug: str | None) -> AsyncIterator[tuple[UUID, str]]:
    async with runtime.database.control() as conn:
        rows = await conn.fetch("select id, slug from tenants where $1::text is null or slug = $1 order by slug", slug)
    if slug is not None and not rows:
        raise NotFound(f"There is no tenant {slug}.")
    for row in rows:
        yield row["id"], row["slug"]
