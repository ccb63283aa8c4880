"""``coursesignal webhooks``: look into a tenant's webhook inbox and process webhooks again."""

from __future__ import annotations

import asyncio
from typing import get_args
from uuid import UUID

import click

from coursesignal.connections import inbox
from coursesignal.connections.house import house
from coursesignal.connections.schemas import InboxDetail, InboxItem, InboxState
from coursesignal.errors import ConfigurationError, NotFound
from coursesignal.runtime import Runtime
from coursesignal.settings import load

STATES = click.Choice(get_args(InboxState))


@click.group()
def command() -> None:
    """Stored webhooks: list, show, replay."""


@command.command("list")
@click.argument("tenant")
@click.option("--status", type=STATES, default=None, help="Only webhooks in this state.")
@click.option("--platform", default="", help="Only webhooks of this platform.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
def list_(tenant: str, status: str | None, platform: str, limit: int) -> None:
    """Webhooks of TENANT (its slug), newest first."""
    for item in asyncio.run(_list(tenant, status or "", platform, limit)):
        problem = f"  {item.problem}" if item.problem else ""
        click.echo(f"{item.id}  {item.received_at:%Y-%m-%d %H:%M:%S}  {item.platform:12} {item.status:11}{problem}")


async def _list(tenant: str, status: str, platform: str, limit: int) -> list[InboxItem]:
    async with Runtime.opened(load()) as runtime:
        tenant_id = await _tenant_id(runtime, tenant)
        async with runtime.database.tenant(tenant_id) as conn:
            page = await inbox.listing(conn, tenant_id, status=status, platform=platform, limit=limit, before=None)
    return page.items


@command.command()
@click.argument("tenant")
@click.argument("inbox_id", type=click.UUID)
def show(tenant: str, inbox_id: UUID) -> None:
    """The webhook INBOX_ID of TENANT with what was in it, without secrets."""
    found = asyncio.run(_show(tenant, inbox_id))
    for name in ("platform", "status", "problem", "trust", "received_at", "processed_at", "repeats"):
        click.echo(f"{name.replace('_', ' '):14}{getattr(found, name) or ''}")
    for name, value in found.headers.items():
        click.echo(f"{name}: {value}")
    click.echo(f"\n{found.body}")


async def _show(tenant: str, inbox_id: UUID) -> InboxDetail:
    async with Runtime.opened(load()) as runtime:
        tenant_id = await _tenant_id(runtime, tenant)
        async with runtime.database.tenant(tenant_id) as conn:
            try:
                return await inbox.detail(conn, house(runtime), tenant_id, inbox_id)
            except NotFound as error:
                raise click.ClickException(_absent(tenant, inbox_id)) from error


def _absent(tenant: str, inbox_id: UUID) -> str:
    return f"{tenant} has no webhook {inbox_id}. See `coursesignal webhooks list {tenant}`."


@command.command()
@click.argument("tenant")
@click.argument("inbox_id", type=click.UUID, required=False)
@click.option(
    "--status", type=STATES, default="quarantined", show_default=True, help="All of this state, without INBOX_ID."
)
@click.option("--platform", default="", help="Of all of a state only this platform's.")
def replay(tenant: str, inbox_id: UUID | None, status: str, platform: str) -> None:
    """Process the webhook INBOX_ID of TENANT again, or all of a state. Money is booked once however often it is told."""
    queued = asyncio.run(_replay(tenant, inbox_id, "" if inbox_id else status, platform))
    if inbox_id is not None and not queued:
        raise click.ClickException(_absent(tenant, inbox_id))
    click.echo(f"{queued} queued; a worker processes them.")


async def _replay(tenant: str, inbox_id: UUID | None, status: str, platform: str) -> int:
    async with Runtime.opened(load()) as runtime:
        tenant_id = await _tenant_id(runtime, tenant)
        async with runtime.database.tenant(tenant_id) as conn:
            return await inbox.replay(conn, tenant_id, inbox_id=inbox_id, status=status, platform=platform)


async def _tenant_id(runtime: Runtime, slug: str) -> UUID:
    async with runtime.database.control() as conn:
        found = await conn.fetchval("select id from tenants where slug = $1", slug)
    if found is None:
        raise ConfigurationError(f"There is no tenant {slug!r}. See `coursesignal tenants list`.")
    return UUID(str(found))
