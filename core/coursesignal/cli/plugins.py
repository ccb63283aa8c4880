"""``coursesignal plugins``: what runs here, whether a plugin is sound, and erasing what it keeps about a tenant."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Sequence
from typing import Any

import click

from coursesignal.errors import CourseSignalError, NotFound, PluginLoadError
from coursesignal.plugin import Command
from coursesignal.plugins.check import check_plugin
from coursesignal.plugins.context import open_context
from coursesignal.plugins.leftovers import Leftover, leftovers
from coursesignal.plugins.leftovers import drop as drop_leftover
from coursesignal.plugins.leftovers import erase as erase_leftover
from coursesignal.plugins.lifecycle import purge as purge_plugin
from coursesignal.plugins.loaded import LoadedPlugin
from coursesignal.plugins.options import Option, command_options
from coursesignal.plugins.registry import load_registry
from coursesignal.runtime import Runtime
from coursesignal.settings import Settings, load


@click.group()
def command() -> None:
    """The plugins of this installation."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--strict", is_flag=True, help="Exit with 1 when a plugin could not be loaded.")
@click.pass_context
def list_plugins(ctx: click.Context, as_json: bool, strict: bool) -> None:
    """What runs, in load order, and what could not be loaded and why."""
    registry = load_registry(load())
    if as_json:
        rows = [{**_row(plugin), "state": "loaded"} for plugin in registry.plugins]
        rows += [{"slug": q.slug, "state": "quarantined", "reason": q.reason} for q in registry.quarantined]
        click.echo(json.dumps(rows, indent=2))
    else:
        for plugin in registry.plugins:
            kind = "bundled" if plugin.bundled else "third party"
            click.echo(f"loaded       {plugin.slug:18} {plugin.manifest.version:10} {kind:12} {plugin.summary}")
        for quarantined in registry.quarantined:
            click.echo(f"quarantined  {quarantined.slug:18} {quarantined.reason}")
    if strict and registry.quarantined:
        ctx.exit(1)


def _row(plugin: LoadedPlugin) -> dict[str, Any]:
    return {
        "slug": plugin.slug,
        "version": plugin.manifest.version,
        "bundled": plugin.bundled,
        "provides": list(plugin.manifest.provides),
        "hooks": sorted(plugin.hooks),
    }


@command.command()
@click.argument("name")
@click.pass_context
def check(ctx: click.Context, name: str) -> None:
    """Load the plugin NAME and look at everything it declares; it need not be in plugins.toml."""
    findings = check_plugin(load(), name)
    for finding in findings:
        click.echo(f"{'wrong' if finding.problem else 'fine ':5}  {finding.what}")
        if finding.problem:
            click.echo(f"       {finding.problem}")
    if any(finding.problem for finding in findings):
        ctx.exit(1)


@command.command()
@click.argument("name")
@click.option("--tenant", required=True, help="Slug of the tenant.")
@click.confirmation_option(prompt="This erases everything the plugin keeps about the tenant. Go on?")
def purge(name: str, tenant: str) -> None:
    """Erase what the plugin NAME keeps about a tenant: tables, settings, secrets, and what its hook purge_tenant erases.

    Of a plugin that runs no more (see `leftovers`) there is no hook to ask: its tables, settings and secrets are erased at once.
    """
    click.echo(asyncio.run(_purge(name, tenant)))


async def _purge(name: str, tenant: str) -> str:
    async with Runtime.opened(load()) as runtime:
        plugin = runtime.registry.by_slug.get(name)
        leftover = await _leftover(runtime, name) if plugin is None else None
        tenant_id = await _tenant_id(runtime, tenant)
        async with runtime.database.tenant(tenant_id) as conn:
            if leftover is not None:
                await erase_leftover(conn, tenant_id, leftover)
                return f"Erased what {name} left of {tenant}."
            assert plugin is not None
            await purge_plugin(conn, tenant_id, plugin)
        return f"A worker erases what {name} keeps about {tenant}."


@command.command("leftovers")
def list_leftovers() -> None:
    """Plugins that ran here and are not in plugins.toml any more, with the tables they left."""
    found = asyncio.run(_leftovers())
    for leftover in found:
        click.echo(f"{leftover.slug:18} {', '.join(leftover.tables) or 'no table'}")
    if found:
        click.echo(
            "`coursesignal plugins purge NAME --tenant SLUG` erases one tenant's rows, `plugins drop NAME` everything."
        )
    else:
        click.echo("Nothing is left of plugins that do not run.")


async def _leftovers() -> Sequence[Leftover]:
    async with Runtime.opened(load()) as runtime:
        return await leftovers(runtime.where.owner, runtime.registry)


@command.command()
@click.argument("name")
@click.confirmation_option(prompt="This removes the plugin's tables with the rows of every tenant. Go on?")
def drop(name: str) -> None:
    """Remove the tables that the plugin NAME, which runs no more, left behind."""
    asyncio.run(_drop(name))
    click.echo(f"The tables of {name} are gone. Back in plugins.toml, it makes them anew.")


async def _drop(name: str) -> None:
    async with Runtime.opened(load()) as runtime:
        await drop_leftover(runtime.where.owner, await _leftover(runtime, name))


async def _leftover(runtime: Runtime, name: str) -> Leftover:
    if name in runtime.registry.by_slug:
        raise PluginLoadError(name, "it runs here", "Take it out of plugins.toml first.")
    for leftover in await leftovers(runtime.where.owner, runtime.registry):
        if leftover.slug == name:
            return leftover
    raise PluginLoadError(name, "it neither runs nor left anything", "See `coursesignal plugins list` and `leftovers`.")


async def _tenant_id(runtime: Runtime, slug: str) -> Any:
    async with runtime.database.control() as conn:
        found = await conn.fetchval("select id from tenants where slug = $1", slug)
    if found is None:
        raise CourseSignalError(f"There is no tenant {slug!r}.")
    return found


# -- commands of plugins -----------------------------------------------------------------------------------------------


def plugin_group(slug: str, settings: Settings | None = None) -> click.Group | None:
    """``coursesignal <slug>``: the commands that the plugin registered; None for a plugin without any."""
    plugin = load_registry(settings or load()).by_slug.get(slug)
    if plugin is None or not plugin.declared.commands:
        return None
    commands = [_click_command(plugin, declared) for declared in plugin.declared.commands]
    return click.Group(slug, commands={c.name or "": c for c in commands}, help=plugin.summary)


def _click_command(plugin: LoadedPlugin, declared: Command) -> click.Command:
    def run(tenant: str, **options: Any) -> None:
        asyncio.run(_run(plugin.slug, declared, tenant, options))

    params = [
        click.Option(["--tenant"], required=True, help="Slug of the tenant."),
        *map(_flag, command_options(declared)),
    ]
    return click.Command(declared.name, params=list(params), callback=run, help=inspect.getdoc(declared.function))


def _flag(option: Option) -> click.Option:
    name = f"--{option.name.replace('_', '-')}"
    if option.kind is bool:
        return click.Option([name], is_flag=True, default=bool(option.default))
    if option.required:
        return click.Option([name], type=option.kind, required=True)
    return click.Option([name], type=option.kind, default=option.default, show_default=True)


async def _run(slug: str, declared: Command, tenant: str, options: dict[str, Any]) -> None:
    async with Runtime.opened(load()) as runtime:
        try:
            ctx = await open_context(runtime, await _tenant_id(runtime, tenant), slug)
        except NotFound:
            raise CourseSignalError(f"Tenant {tenant!r} does not have the plugin {slug!r} on.") from None
        await declared.function(ctx, **options)
