"""Which plugins an agency lets a tenant use: the first of the two words a plugin needs, the tenant's own being the second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import asyncpg

from coursesignal.auth.callers import Caller
from coursesignal.errors import FieldError, Invalid
from coursesignal.tenancy import audit
from coursesignal.tenancy.schemas import Grant, GrantOut


class Named(Protocol):
    @property
    def name(self) -> str: ...


class GrantablePlugin(Protocol):
    """What the registry knows of a plugin."""

    @property
    def slug(self) -> str: ...
    @property
    def manifest(self) -> Named: ...


Plugins = Sequence[GrantablePlugin]


async def read(conn: asyncpg.Connection, tenant_id: UUID, plugins: Plugins) -> list[GrantOut]:
    """Every installed plugin; one about which nothing was said is granted."""
    rows = await conn.fetch("select plugin, granted from plugin_states where tenant_id = $1", tenant_id)
    said = {row["plugin"]: row["granted"] for row in rows}
    return [GrantOut(plugin=p.slug, name=p.manifest.name, granted=said.get(p.slug, True)) for p in plugins]


def check(wanted: Sequence[Grant], plugins: Plugins) -> None:
    """Raises Invalid naming plugins that are not installed."""
    installed = {plugin.slug for plugin in plugins}
    errors = [
        FieldError(
            f"{number}.plugin", f"There is no plugin {grant.plugin[:80]!r}. Installed: {', '.join(sorted(installed))}."
        )
        for number, grant in enumerate(wanted)
        if grant.plugin not in installed
    ]
    if errors:
        raise Invalid(errors=errors)


async def write(conn: asyncpg.Connection, caller: Caller, tenant_id: UUID, wanted: Sequence[Grant]) -> None:
    """Grant or withdraw the named plugins; what the tenant decided and set stays for when it is granted again."""
    for grant in wanted:
        changed = await conn.fetchval(
            """
            insert into plugin_states as s (tenant_id, plugin, granted) values ($1, $2, $3)
            on conflict (tenant_id, plugin) do update set granted = excluded.granted, changed_at = now()
            where s.granted <> excluded.granted returning 1
            """,
            tenant_id, grant.plugin, grant.granted,
        )  # fmt: skip
        if changed:
            action = "plugin.granted" if grant.granted else "plugin.withdrawn"
            await audit.record(conn, tenant_id, caller, action, grant.plugin)
