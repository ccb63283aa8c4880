"""Signing up: an address, a password and a business. Nothing exists but an unconfirmed user until the mailed link is used.

The link brings into force the password and the name that were typed in *its* sign-up, so that whoever signs up first with
somebody else's address gains nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from coursesignal.auth import links, mails, throttle, users
from coursesignal.auth.addresses import address
from coursesignal.auth.callers import Caller
from coursesignal.auth.desk import Desk
from coursesignal.auth.schemas import LoggedIn
from coursesignal.auth.service import logged_in, require_strength
from coursesignal.auth.users import User
from coursesignal.db.ids import uuid7
from coursesignal.errors import Invalid
from coursesignal.security.passwords import hash_password
from coursesignal.tenancy import tenants
from coursesignal.tenancy.names import name_problem
from coursesignal.tenancy.schemas import SignupIn, TenantIn

T = TypeVar("T")
SENT = "We sent a mail to this address. Follow the link in it to go on."


async def signup(desk: Desk, wanted: SignupIn) -> None:
    """Mail a link to confirm the address; who has an account is told that instead. Raises Invalid, RateLimited."""
    email = address(wanted.email)
    require_strength(wanted.password, "password")
    errors = name_problem(wanted.tenant_name, "tenantName")
    if errors:
        raise Invalid(errors=errors)
    await throttle.mail_request(desk, "signup", email)
    hashed = await hash_password(wanted.password)
    async with desk.db.control() as conn:
        user = await users.by_email(conn, email)
        if user is not None and user.verified_at is not None:
            await _remind(desk, conn, user)
        else:
            await _ask(desk, conn, email, hashed, wanted.tenant_name)
    desk.deliver()


async def _remind(desk: Desk, conn: asyncpg.Connection, user: User) -> None:
    base = desk.settings.base_url
    await desk.mail(conn, user.email, *mails.already_known(f"{base}/login", f"{base}/forgot-password"))


async def _ask(desk: Desk, conn: asyncpg.Connection, email: str, hashed: str, tenant_name: str) -> None:
    user = await users.ensure(conn, email)
    await users.set_password(conn, user.id, hashed)
    token = await links.make(conn, user.id, "verify", password_hash=hashed, tenant_name=tenant_name.strip())
    await desk.mail(conn, email, *mails.confirm(links.url(desk.settings.base_url, "verify", token)))


async def verify_email(desk: Desk, token: str) -> LoggedIn:
    """Confirm the address, open the tenant and log in; raises BadRequest for a link that is not valid any more."""

    async def log_in(conn: asyncpg.Connection, user: User) -> LoggedIn:
        return await logged_in(desk, conn, user.id, user.email)

    return await confirm(desk, token, log_in)


async def confirm(desk: Desk, token: str, then: Callable[[asyncpg.Connection, User], Awaitable[T]]) -> T:
    """Use the link, open the tenant with its owner, and do ``then``: all of it or nothing."""
    await throttle.link_attempt(desk)
    tenant_id = uuid7()
    async with desk.db.tenant(tenant_id) as conn:
        link = await links.use(conn, token, "verify")
        assert link.password_hash is not None
        await users.verify(conn, link.user_id, link.password_hash)
        await links.forget(conn, link.user_id, "verify")
        user = await users.by_id(conn, link.user_id)
        assert user is not None
        if link.tenant_name is not None:  # an operator's users belong where the operator said
            caller = Caller(user_id=user.id, email=user.email)
            await tenants.open_tenant(conn, tenant_id, caller, TenantIn(name=link.tenant_name), owner_id=user.id)
        return await then(conn, user)
