"""``coursesignal tenants``: the businesses of this installation."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import click

from coursesignal.auth import users
from coursesignal.auth.addresses import address
from coursesignal.errors import NotFound
from coursesignal.runtime import Runtime
from coursesignal.settings import load
from coursesignal.tenancy import audit, files, tenants
from coursesignal.tenancy.schemas import TenantIn

LIST = """
    select t.slug, t.name, t.currency, t.time_zone, t.status, coalesce(a.slug, '-') as agency
    from tenants t left join agencies a on a.id = t.agency_id order by t.slug
"""


@click.group()
def command() -> None:
    """The businesses of this installation."""


@command.command()
@click.option("--slug", required=True, help="Short name for addresses: lower-case letters, digits, hyphens.")
@click.option("--name", required=True)
@click.option("--currency", default="USD", show_default=True, help="ISO 4217, of its reports.")
@click.option("--time-zone", default="UTC", show_default=True, help="IANA name; a report's days are days there.")
@click.option("--agency", help="Slug of the agency that owns it; founded when there is none.")
@click.option("--owner", help="E-mail address of an existing user.")
def create(slug: str, name: str, currency: str, time_zone: str, agency: str | None, owner: str | None) -> None:
    """Open a tenant."""
    wanted = TenantIn(slug=slug, name=name, currency=currency, time_zone=time_zone)
    click.echo(asyncio.run(_create(wanted, agency, owner)))


async def _create(wanted: TenantIn, agency: str | None, owner: str | None) -> str:
    async with Runtime.opened(load()) as runtime:
        tenants.check(wanted)
        owner_id = await _owner(runtime, owner) if owner else None
        agency_id = await files.ensure_agency(runtime.database, agency) if agency else None
        tenant_id = await tenants.create(
            runtime.database, audit.OPERATOR, wanted, owner_id=owner_id, agency_id=agency_id
        )
        async with runtime.database.tenant(tenant_id) as conn:
            site_key = await conn.fetchval("select public_key from sites where tenant_id = $1", tenant_id)
    return f"Tenant {wanted.slug} is open.\nid        {tenant_id}\nsite key  {site_key}"


async def _owner(runtime: Runtime, email: str) -> UUID:
    async with runtime.database.control() as conn:
        user = await users.by_email(conn, address(email, "owner"))
    if user is None:
        raise NotFound(f"There is no user {email}. Create one with `coursesignal users create`.")
    return user.id


@command.command()
@click.option(
    "--from", "directory", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Default: tenants."
)
def apply(directory: Path | None) -> None:
    """Make tenants what their files say: open the missing ones, bring the others in line. Safe to repeat."""
    asyncio.run(_apply(directory))


async def _apply(directory: Path | None) -> None:
    settings = load()
    wanted = files.read(directory or settings.tenants_dir)
    async with Runtime.opened(settings) as runtime:
        done = await files.apply(runtime.database, wanted, runtime.registry.plugins, runtime.registry.models)
    for slug, what in done.items():
        click.echo(f"{slug.ljust(28)}  {what}")
    if not done:
        click.echo(f"There is no */{files.FILE} in {directory or settings.tenants_dir}.")


@command.command("list")
def list_tenants() -> None:
    """Every tenant, with its currency, time zone, state and agency."""
    asyncio.run(_list())


async def _list() -> None:
    async with Runtime.opened(load()) as runtime, runtime.database.control() as conn:
        rows = await conn.fetch(LIST)
    for row in rows:
        click.echo(
            "  ".join(
                str(value).ljust(width) for value, width in zip(row.values(), (24, 28, 4, 20, 9, 16), strict=True)
            )
        )
    if not rows:
        click.echo("There is no tenant yet: `coursesignal tenants create`, or sign up in the browser.")
