"""What tenants let plugins say in public, read across tenants: written through ``ctx.publish``, read from open routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from coursesignal.plugins.host import Host
from coursesignal.plugins.loaded import LoadedPlugin

MAX_NOTICES = 10_000
_PUBLISH = """
    insert into notices (tenant_id, plugin, board, key, body, ranked_at) values ($1, $2, $3, $4, $5, coalesce($6, now()))
    on conflict (tenant_id, plugin, board, key) do update set body = excluded.body, ranked_at = excluded.ranked_at"""


class PluginNotices:
    """Implements :class:`coursesignal.plugin.Notices` for one plugin; with ``tenant_id`` of one tenant alone."""

    def __init__(self, host: Host, plugin: LoadedPlugin, tenant_id: UUID | None) -> None:
        self._host = host
        self._plugin = plugin
        self._tenant_id = tenant_id

    @property
    def of_one(self) -> bool:
        return self._tenant_id is not None

    async def read(self, board: str, *, limit: int = 100) -> Sequence[Mapping[str, Any]]:
        manifests = {plugin.slug: plugin.manifest for plugin in self._host.registry.plugins}
        needed = [self._plugin.slug, *self._plugin.manifest.requires]
        async with self._host.database.control() as conn:
            rows = await conn.fetch(
                "select body from door_notices($1, $2, $3, $4, $5, $6)",
                self._plugin.slug, board, self._tenant_id, needed,
                [manifests[slug].tenant_default for slug in needed], min(limit, MAX_NOTICES),
            )  # fmt: skip
        return [row["body"] for row in rows]


async def publish(
    conn: Any, tenant_id: UUID, plugin: str, board: str, key: str, body: Mapping[str, Any], ranked_at: datetime | None
) -> None:
    """Put up a notice, or another one in its place."""
    await conn.execute(_PUBLISH, tenant_id, plugin, board, key, dict(body), ranked_at)


async def withdraw(conn: Any, tenant_id: UUID, plugin: str, board: str, key: str | None) -> None:
    """Take one notice down, or all of a board."""
    await conn.execute(
        "delete from notices where tenant_id = $1 and plugin = $2 and board = $3 and ($4::text is null or key = $4)",
        tenant_id, plugin, board, key,
    )  # fmt: skip
