"""Links to one thing of a tenant, for whoever has them: made by plugins through ``ctx.shares``, opened in their shared routes.

A token is kept as its hash; a view is counted by day, and nothing of who looked is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from coursesignal.errors import FieldError, Gone, Invalid, NotFound, PasswordRequired, PasswordWrong
from coursesignal.plugin import ShareLink, Tenant
from coursesignal.plugins.host import Host
from coursesignal.security.passwords import hash_password, verify_password
from coursesignal.security.tokens import hash_token, new_token

SHORTEST, LONGEST = 6, 200
"""How long a link's password may be."""
GUESSES, GUESS_WINDOW_S = 10, 60
"""How often one address may give a password of one link."""
MISSES, MISS_WINDOW_S = 60, 60
"""How often one address may ask for links that are none."""

_LINK = """
    select l.id, l.subject, l.password_hash is not null as has_password, l.expires_at, l.created_at,
           coalesce(sum(v.views), 0)::bigint as views, max(v.last_at) as last_viewed_at
    from share_links l left join share_views v on v.tenant_id = l.tenant_id and v.share_id = l.id
    where l.tenant_id = $1 and l.plugin = $2 and l.subject = any($3::text[]) and l.revoked_at is null
    group by l.tenant_id, l.id"""
_COUNT = """
    insert into share_views (tenant_id, share_id, day, views) values ($1, $2, $3, 1)
    on conflict (tenant_id, share_id, day) do update set views = share_views.views + 1, last_at = now()"""
_DAYS = """
    select v.day, sum(v.views)::bigint as views
    from share_views v join share_links l on l.tenant_id = v.tenant_id and l.id = v.share_id
    where v.tenant_id = $1 and l.plugin = $2 and l.subject = $3 group by v.day order by v.day"""


class PluginShares:
    """Implements :class:`coursesignal.plugin.Shares`."""

    def __init__(self, host: Host, tenant: Tenant, plugin: str) -> None:
        self._host = host
        self._tenant = tenant
        self._plugin = plugin

    async def create(self, subject: str, *, password: str = "", expires_at: datetime | None = None) -> str:
        _check(password, expires_at)
        token = new_token()
        hashed = await hash_password(password) if password else None
        async with self._host.database.tenant(self._tenant.id) as conn:
            await self._revoke(conn, subject)
            await conn.execute(
                "insert into share_links (tenant_id, plugin, subject, token_hash, password_hash, expires_at) "
                "values ($1, $2, $3, $4, $5, $6)",
                self._tenant.id, self._plugin, subject, hash_token(token), hashed, expires_at,
            )  # fmt: skip
        return token

    async def find(self, subjects: Sequence[str]) -> dict[str, ShareLink]:
        async with self._host.database.tenant(self._tenant.id) as conn:
            rows = await conn.fetch(_LINK, self._tenant.id, self._plugin, list(subjects))
        return {row["subject"]: ShareLink(**{name: row[name] for name in row.keys() if name != "id"}) for row in rows}  # noqa: SIM118

    async def revoke(self, subject: str) -> bool:
        async with self._host.database.tenant(self._tenant.id) as conn:
            return await self._revoke(conn, subject)

    async def views(self, subject: str) -> Sequence[tuple[date, int]]:
        async with self._host.database.tenant(self._tenant.id) as conn:
            rows = await conn.fetch(_DAYS, self._tenant.id, self._plugin, subject)
        return [(row["day"], row["views"]) for row in rows]

    async def _revoke(self, conn: Any, subject: str) -> bool:
        done: str = await conn.execute(
            "update share_links set revoked_at = clock_timestamp() "
            "where tenant_id = $1 and plugin = $2 and subject = $3 and revoked_at is null",
            self._tenant.id, self._plugin, subject,
        )  # fmt: skip
        return done != "UPDATE 0"


class OpenedShare:
    """Implements :class:`coursesignal.plugin.Share`: one link that somebody followed."""

    def __init__(self, host: Host, tenant_id: UUID, row: Any, address: str) -> None:
        self._host = host
        self._tenant_id = tenant_id
        self._row = row
        self._address = address

    async def open(self, password: str = "") -> str:
        stored, share_id = self._row["password_hash"], self._row["id"]
        if stored is not None:
            if not password:
                raise PasswordRequired
            bucket = f"share:{share_id}:{self._address}"
            await self._host.limiter.hit(self._host.database, bucket, GUESSES, GUESS_WINDOW_S)
            if not await verify_password(stored, password[: LONGEST + 1]):
                raise PasswordWrong
        async with self._host.database.tenant(self._tenant_id) as conn:
            await conn.execute(_COUNT, self._tenant_id, share_id, datetime.now(UTC).date())
        return str(self._row["subject"])


async def follow(host: Host, plugin: str, token: str, address: str) -> tuple[UUID, OpenedShare]:
    """The tenant of a link and the link; raises NotFound for one that is none, Gone for one that expired."""
    async with host.database.control() as conn:
        found = await conn.fetchrow(
            "select tenant_id, id from door_share($1, $2)", plugin, hash_token(token.replace("\x00", ""))
        )
    if found is None:
        await host.limiter.hit(host.database, f"share-miss:{address}", MISSES, MISS_WINDOW_S)
        raise NotFound
    tenant_id = found["tenant_id"]
    async with host.database.tenant(tenant_id) as conn:
        row = await conn.fetchrow(
            "select id, subject, password_hash, expires_at <= clock_timestamp() as expired from share_links "
            "where tenant_id = $1 and id = $2",
            tenant_id, found["id"],
        )  # fmt: skip
    if row is None:
        raise NotFound
    if row["expired"]:
        raise Gone("This link has expired.", detail="Ask whoever sent it to you for a new one.", kind="share-expired")
    return tenant_id, OpenedShare(host, tenant_id, row, address)


def _check(password: str, expires_at: datetime | None) -> None:
    errors = []
    if password and not SHORTEST <= len(password) <= LONGEST:
        errors.append(FieldError("password", f"Choose {SHORTEST} to {LONGEST} characters."))
    if expires_at is not None and expires_at <= datetime.now(UTC):
        errors.append(FieldError("expiresAt", "Must be in the future."))
    if errors:
        raise Invalid("This link cannot be made.", errors=errors)
