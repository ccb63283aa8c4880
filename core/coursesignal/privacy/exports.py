"""Exports: a person's data as one zip, made in the background, kept encrypted for a day, fetched with a signed link."""

from __future__ import annotations

import hmac
import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from coursesignal.analytics.export import to_csv
from coursesignal.analytics.flatten import Cell
from coursesignal.auth.callers import Caller
from coursesignal.db.engine import Database
from coursesignal.db.ids import uuid7
from coursesignal.errors import NotFound
from coursesignal.jobs.outbox import enqueue
from coursesignal.privacy.collecting import Section
from coursesignal.privacy.schemas import ExportOut
from coursesignal.privacy.subjects import address_of, shown, subject_hash
from coursesignal.security.box import aad
from coursesignal.security.keys import KeyRing
from coursesignal.tenancy import audit

JOB = "core.privacy_export"
KEPT = timedelta(hours=24)
LISTED = 100
_SELECT = "select id, status, requested_at, finished_at, expires_at, counts from privacy_exports where tenant_id = $1"


async def request(conn: asyncpg.Connection, keys: KeyRing, caller: Caller, tenant_id: UUID, email: str) -> UUID:
    """Have an export made; raises Invalid for what is no address. One that nothing is known of is an export without rows."""
    address = address_of(email)
    email_hash, export_id = subject_hash(tenant_id, address), uuid7()
    sealed = keys.box.seal(address.encode(), _bound(tenant_id, export_id))
    await conn.execute(
        "insert into privacy_exports (tenant_id, id, email_hash, sealed) values ($1, $2, $3, $4)",
        tenant_id, export_id, email_hash, sealed,
    )  # fmt: skip
    await enqueue(conn, tenant_id, JOB, {"exportId": str(export_id)})
    await audit.record(conn, tenant_id, caller, "privacy.export_requested", shown(email_hash))
    return export_id


async def listing(conn: asyncpg.Connection, keys: KeyRing, base_url: str, tenant_id: UUID) -> Sequence[ExportOut]:
    """The latest, newest first."""
    rows = await conn.fetch(f"{_SELECT} order by id desc limit {LISTED}", tenant_id)
    return [_out(row, keys, base_url, tenant_id) for row in rows]


async def read(conn: asyncpg.Connection, keys: KeyRing, base_url: str, tenant_id: UUID, export_id: UUID) -> ExportOut:
    """One, with a link while it is ready; raises NotFound."""
    row = await conn.fetchrow(f"{_SELECT} and id = $2", tenant_id, export_id)
    if row is None:
        raise NotFound
    return _out(row, keys, base_url, tenant_id)


def _out(row: Any, keys: KeyRing, base_url: str, tenant_id: UUID) -> ExportOut:
    url = None
    if row["status"] == "ready":
        expires = int(row["expires_at"].timestamp())
        signature = _signature(keys, tenant_id, row["id"], expires)
        url = f"{base_url}/api/privacy/downloads/{tenant_id}/{row['id']}?expires={expires}&signature={signature}"
    return ExportOut(**dict(row), download_url=url)


def _signature(keys: KeyRing, tenant_id: UUID, export_id: UUID, expires: int) -> str:
    return keys.sign("privacy export", f"{tenant_id}|{export_id}|{expires}".encode()).hex()


async def download(
    db: Database, keys: KeyRing, tenant_id: UUID, export_id: UUID, expires: int, signature: str
) -> bytes:
    """The file behind a link; raises NotFound, the same for a wrong link, one that expired, and a file that is gone."""
    right = hmac.compare_digest(signature.encode(), _signature(keys, tenant_id, export_id, expires).encode())
    if not right or expires < datetime.now(UTC).timestamp():
        raise NotFound
    async with db.tenant(tenant_id) as conn:
        row = await conn.fetchrow(
            "select sealed, email_hash from privacy_exports where tenant_id = $1 and id = $2 and status = 'ready' "
            "and expires_at > now()",
            tenant_id, export_id,
        )  # fmt: skip
        if row is None:
            raise NotFound
        await audit.record(
            conn, tenant_id, Caller(email="holder of the link"), "privacy.export_downloaded", shown(row["email_hash"])
        )
    return keys.box.open(row["sealed"], _bound(tenant_id, export_id))


async def wanted(conn: asyncpg.Connection, keys: KeyRing, tenant_id: UUID, export_id: UUID) -> str | None:
    """The address an export is to be made of; None when it is made, expired or erased."""
    sealed = await conn.fetchval(
        "select sealed from privacy_exports where tenant_id = $1 and id = $2 and status = 'pending'",
        tenant_id,
        export_id,
    )
    return None if sealed is None else keys.box.open(sealed, _bound(tenant_id, export_id)).decode()


async def keep(
    conn: asyncpg.Connection, keys: KeyRing, tenant_id: UUID, export_id: UUID, found: Mapping[str, Section]
) -> None:
    """Store the finished file for a day."""
    counts = {name: len(rows) for name, rows in found.items()}
    sealed = keys.box.seal(packed(found), _bound(tenant_id, export_id))
    await conn.execute(
        "update privacy_exports set status = 'ready', sealed = $3, counts = $4, finished_at = now(), expires_at = now() + $5 "
        "where tenant_id = $1 and id = $2 and status = 'pending'",
        tenant_id, export_id, sealed, counts, KEPT,
    )  # fmt: skip


async def expire(conn: asyncpg.Connection, tenant_id: UUID) -> None:
    """Drop the files whose day is over."""
    await conn.execute(
        "update privacy_exports set status = 'expired', sealed = null "
        "where tenant_id = $1 and status = 'ready' and expires_at <= now()",
        tenant_id,
    )


def packed(found: Mapping[str, Section]) -> bytes:
    """A zip: everything as export.json, and each section that has rows as a CSV file that runs nothing."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export.json", msgspec.json.format(msgspec.json.encode(found), indent=2))
        for name, rows in found.items():
            if rows:
                archive.writestr(
                    f"{name}.csv", to_csv([list(rows[0]), *([_cell(v) for v in row.values()] for row in rows)])
                )
    return out.getvalue()


def _cell(value: Any) -> Cell:
    """A value as a spreadsheet shows it."""
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool)):
        return value
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, UUID) else msgspec.json.encode(value).decode()


def _bound(tenant_id: UUID, export_id: UUID) -> bytes:
    return aad(tenant_id, "privacy_exports", "sealed", export_id)
