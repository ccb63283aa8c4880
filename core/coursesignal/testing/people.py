"""People for tests: users that are members of a tenant, tokens to act as them, and the mails they get."""

from __future__ import annotations

import email
import email.policy
import re
from typing import TYPE_CHECKING
from uuid import UUID

from coursesignal.auth import sessions, users
from coursesignal.db.ids import uuid7
from coursesignal.security import jwt
from coursesignal.security.passwords import hash_password

if TYPE_CHECKING:
    import asyncpg

    from coursesignal.runtime import Runtime


async def add_person(
    conn: asyncpg.Connection, address: str, password: str, tenant_id: UUID | None = None, role: str = "member"
) -> UUID:
    """A user who can log in; with ``tenant_id`` a member of that tenant. Returns the user's id."""
    user = await users.ensure(conn, address)
    await users.verify(conn, user.id, await hash_password(password))
    if tenant_id is not None:
        await conn.execute(
            "insert into memberships (id, user_id, tenant_id, role) values ($1, $2, $3, $4)",
            uuid7(), user.id, tenant_id, role,
        )  # fmt: skip
    return user.id


async def access_token(runtime: Runtime, user_id: UUID) -> str:
    """An access token of a new session of the user."""
    async with runtime.database.control() as conn:
        session = await sessions.open_session(conn, user_id)
    return jwt.issue(runtime.keys, user_id, session.session_id)


async def mails_to(runtime: Runtime, address: str) -> list[str]:
    """The texts of the mails to ``address``, oldest first, after sending what is due."""
    await runtime.mailer.deliver_due()
    found = []
    for path in sorted(runtime.settings.mail_dir.glob("*.eml")):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        body = message.get_body(("plain",))
        if message["to"] == address and body is not None:
            found.append(str(body.get_content()))
    return found


async def mailed_token(runtime: Runtime, address: str) -> str:
    """The token of the link in the newest mail to ``address``."""
    texts = await mails_to(runtime, address)
    found = re.search(r"/[a-z-]+\?token=([\w-]+)", texts[-1] if texts else "")
    assert found, f"no link was mailed to {address}"
    return found.group(1)
