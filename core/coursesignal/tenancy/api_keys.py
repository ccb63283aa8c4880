"""API keys: shown once, kept as hashes, good for what their scopes say until they are revoked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from coursesignal.auth.callers import KEY_PREFIX, Caller
from coursesignal.db.ids import uuid7
from coursesignal.errors import Invalid, NotFound
from coursesignal.security.tokens import hash_token, new_token
from coursesignal.tenancy import audit
from coursesignal.tenancy.models import ApiKeyRow
from coursesignal.tenancy.names import name_problem
from coursesignal.tenancy.schemas import ApiKeyOut, NewApiKey

SHOWN = len(KEY_PREFIX) + 6
"""Characters of a key that stay readable, to tell keys apart."""


async def list_keys(tenant_id: UUID) -> list[ApiKeyOut]:
    """The tenant's keys that work, newest first; inside the tenant's transaction."""
    row = ApiKeyRow
    rows = (
        await row.select(row.id, row.name, row.scopes, row.prefix, row.created_at, row.last_used_at)
        .where(row.tenant_id == tenant_id, row.revoked_at.is_null())
        .order_by(row.created_at, row.id, ascending=False)
    )
    return [ApiKeyOut(**found) for found in rows]


async def create(
    conn: asyncpg.Connection, caller: Caller, tenant_id: UUID, name: str, scopes: Sequence[str]
) -> NewApiKey:
    """A new key; ``scopes`` are checked already. Raises Invalid."""
    if errors := name_problem(name):
        raise Invalid(errors=errors)
    key = new_token(KEY_PREFIX)
    made = NewApiKey(id=uuid7(), name=name.strip(), scopes=list(scopes), key=key)
    await ApiKeyRow(
        id=made.id,
        tenant_id=tenant_id,
        name=made.name,
        scopes=made.scopes,
        key_hash=hash_token(key),
        prefix=key[:SHOWN],
        created_by=caller.user_id,
        created_at=datetime.now(UTC),
    ).save()
    await audit.record(
        conn, tenant_id, caller, "api_key.created", made.name, {"id": str(made.id), "scopes": made.scopes}
    )
    return made


async def revoke(conn: asyncpg.Connection, caller: Caller, tenant_id: UUID, key_id: UUID) -> None:
    """End a key at once; raises NotFound."""
    name = await conn.fetchval(
        "update api_keys set revoked_at = now() where tenant_id = $1 and id = $2 and revoked_at is null returning name",
        tenant_id, key_id,
    )  # fmt: skip
    if name is None:
        raise NotFound
    await audit.record(conn, tenant_id, caller, "api_key.revoked", name, {"id": str(key_id)})
