"""``coursesignal privacy``: erasures that outlive a restore of the database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from coursesignal.connections.house import house
from coursesignal.privacy import restoring
from coursesignal.runtime import Runtime
from coursesignal.settings import load


@click.group()
def command() -> None:
    """Tombstones of people whose data was erased."""


@command.command()
def tombstones() -> None:
    """Print every tombstone, one JSON object per line: keep them beside each backup. They are hashes and name nobody."""
    for line in asyncio.run(_tombstones()):
        click.echo(line)


@command.command()
@click.option(
    "--from", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What `privacy tombstones` printed last, for erasures that are younger than the backup.",
)  # fmt: skip
def reapply(file: Path | None) -> None:
    """Erase again, after a restore, everybody whose data had been erased. Safe to repeat."""
    kept = restoring.read(file.read_text().splitlines()) if file else []
    click.echo(asyncio.run(_reapply(kept)))


async def _tombstones() -> list[str]:
    async with Runtime.opened(load()) as runtime:
        return [msgspec.json.encode(one).decode() for one in await restoring.tombstones(runtime.database)]


async def _reapply(kept: Sequence[restoring.Kept]) -> str:
    async with Runtime.opened(load()) as runtime:
        added = await restoring.put_back(runtime.database, kept)
        changed = await restoring.reapply(house(runtime))
    said = [f"{added} tombstones put back."] if kept else []
    said += [
        f"Tenant {tenant_id}: {', '.join(f'{n} {name}' for name, n in counts.items())}."
        for tenant_id, counts in changed.items()
    ]
    return "\n".join([*said, f"Erased again in {len(changed)} tenants." if changed else "There was nothing to erase."])
