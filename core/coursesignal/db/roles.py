"""The three database roles and their addresses.

``cs_owner`` owns the tables and runs migrations, ``cs_app`` does everything a request or job does, ``cs_ingest`` may only append
events. None is a superuser and none bypasses row-level security.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from coursesignal.db.embedded import EmbeddedServer
from coursesignal.settings import Settings

OWNER, APP, INGEST = "cs_owner", "cs_app", "cs_ingest"
DATABASE = "coursesignal"


@dataclass(frozen=True, slots=True)
class Addresses:
    """One URL per role; ``admin`` may create roles and databases and is used by ``migrate`` only."""

    admin: str
    owner: str
    app: str
    ingest: str


def addresses(settings: Settings, server: EmbeddedServer | None, secret: bytes) -> Addresses:
    """Where each role connects: the embedded ``server``, or DATABASE_URL with passwords derived from ``secret``."""
    if server is not None:
        return Addresses(
            admin=server.url("postgres"),
            owner=server.url(DATABASE, OWNER),
            app=server.url(DATABASE, APP),
            ingest=server.url(DATABASE, INGEST),
        )
    assert settings.database_url is not None
    url = settings.database_url
    return Addresses(
        admin=url,
        owner=_as_role(url, OWNER, secret),
        app=settings.app_database_url or _as_role(url, APP, secret),
        ingest=settings.ingest_database_url or _as_role(url, INGEST, secret),
    )


def role_password(role: str, secret: bytes) -> str:
    """The password of a role on a server of the operator's own: derived, so that no second secret has to be kept."""
    digest = hmac.digest(secret, b"database role " + role.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _as_role(url: str, role: str, secret: bytes) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(role)}:{quote(role_password(role, secret))}@{place}"))


async def bootstrap(where: Addresses, *, embedded: bool, secret: bytes, database: str = DATABASE) -> None:
    """Create the roles, and on the embedded server the database; safe to repeat and to run twice at once."""
    admin = await asyncpg.connect(where.admin)
    try:
        await admin.execute("select pg_advisory_lock(hashtext('coursesignal-bootstrap'))")
        for role in (OWNER, APP, INGEST):
            if not await admin.fetchval("select 1 from pg_roles where rolname = $1", role):
                await admin.execute(f"create role {role} login nosuperuser nobypassrls nocreatedb nocreaterole")
            if not embedded:
                await admin.execute(f"alter role {role} password '{role_password(role, secret)}'")
        if embedded:
            if not await admin.fetchval("select 1 from pg_database where datname = $1", database):
                await admin.execute(f"create database {database} owner {OWNER}")
        else:
            await admin.execute(f"grant {OWNER} to current_user")
            await admin.execute(f"grant create, usage on schema public to {OWNER}")
    finally:
        await admin.close()


__all__ = ["APP", "DATABASE", "INGEST", "OWNER", "Addresses", "addresses", "bootstrap", "role_password"]
