"""Logging in and out, refreshing, and what happens to passwords. What a stranger learns from an answer is nothing."""

from __future__ import annotations

import logging
from uuid import UUID

import asyncpg

from coursesignal.auth import links, mails, sessions, throttle, users
from coursesignal.auth.addresses import address
from coursesignal.auth.callers import Caller
from coursesignal.auth.desk import Desk
from coursesignal.auth.schemas import LoggedIn, Me, Refreshed, UserOut, tenant_lines
from coursesignal.auth.sessions import TokenReused
from coursesignal.auth.users import User
from coursesignal.errors import FieldError, Forbidden, Invalid, Unauthenticated
from coursesignal.security import jwt
from coursesignal.security.passwords import hash_password, needs_rehash, verify_password, weakness

log = logging.getLogger(__name__)
WRONG_PAIR = "The e-mail address or the password is wrong."
NOT_CONFIRMED = "Confirm your e-mail address first."


async def authenticate(desk: Desk, email: str, password: str) -> User:
    """The user with that address and password; the work is the same for an unknown address.

    Raises Unauthenticated with one text for every wrong pair, Forbidden for an unconfirmed address with the right password.
    """
    await throttle.login_attempt(desk, email)
    async with desk.db.control() as conn:
        user = await users.by_email(conn, email)
    right = await verify_password(user.password_hash if user else None, password)
    if user is None or not right:
        log.info("auth.failed account=%s", desk.keys.keyed_hash(email).hex()[:16])
        raise Unauthenticated(WRONG_PAIR, kind="wrong-credentials")
    if user.verified_at is None:
        detail = "We sent you a link when you signed up. Sign up again to get a new one."
        raise Forbidden(NOT_CONFIRMED, detail=detail, kind="email-unverified")
    await throttle.login_succeeded(desk, email)
    await _keep_up(desk, user, password)
    return user


async def _keep_up(desk: Desk, user: User, password: str) -> None:
    """Store the password under today's costs when it was stored under others."""
    if user.password_hash is not None and needs_rehash(user.password_hash):
        renewed = await hash_password(password)
        async with desk.db.control() as conn:
            await conn.execute(
                "update users set password_hash = $3 where id = $1 and password_hash = $2",
                user.id, user.password_hash, renewed,
            )  # fmt: skip


async def login(desk: Desk, email: str, password: str) -> LoggedIn:
    """A new session for the right pair; raises as :func:`authenticate`."""
    user = await authenticate(desk, email, password)
    async with desk.db.control() as conn:
        return await logged_in(desk, conn, user.id, user.email)


async def logged_in(desk: Desk, conn: asyncpg.Connection, user_id: UUID, email: str) -> LoggedIn:
    """A new session of a user who has just shown who they are."""
    session = await sessions.open_session(conn, user_id)
    return LoggedIn(
        access_token=jwt.issue(desk.keys, user_id, session.session_id),
        expires_in=int(jwt.LIFETIME.total_seconds()),
        refresh_token=session.token,
        user=UserOut(id=user_id, email=email),
        tenants=tenant_lines(await users.tenants_of(conn, user_id)),
    )


async def refresh(desk: Desk, token: str) -> Refreshed:
    """The next pair of tokens; an old one ends its family, and its owner is told. Raises Unauthenticated."""
    await throttle.refresh_attempt(desk)
    try:
        session = await sessions.refresh(desk.db, desk.keys, token)
    except TokenReused as reused:
        await _tell_owner(desk, reused.user_id)
        raise
    return Refreshed(
        access_token=jwt.issue(desk.keys, session.user_id, session.session_id),
        expires_in=int(jwt.LIFETIME.total_seconds()),
        refresh_token=session.token,
    )


async def _tell_owner(desk: Desk, user_id: UUID) -> None:
    async with desk.db.control() as conn:
        user = await users.by_id(conn, user_id)
        if user is not None:
            await desk.mail(conn, user.email, *mails.session_ended(desk.settings.base_url + "/forgot-password"))
    desk.deliver()


async def logout(desk: Desk, caller: Caller | None, token: str | None) -> None:
    """End the session of the access token and the family of the refresh token, whichever are given and known."""
    async with desk.db.control() as conn:
        if caller is not None and caller.session_id is not None:
            await sessions.end(conn, caller.session_id)
        if token:
            await sessions.end_by_token(conn, token)


async def request_reset(desk: Desk, email: str) -> None:
    """Mail a link to choose a new password, if the address has an account."""
    cleaned = address(email)
    await throttle.mail_request(desk, "reset", cleaned)
    base = desk.settings.base_url
    async with desk.db.control() as conn:
        user = await users.by_email(conn, cleaned)
        if user is None:
            return
        if user.verified_at is None:
            text = mails.not_confirmed(base + "/signup")
        else:
            token = await links.make(conn, user.id, "reset")
            text = mails.reset(links.url(base, "reset", token))
        await desk.mail(conn, user.email, *text)
    desk.deliver()


async def reset_password(desk: Desk, token: str, password: str) -> None:
    """Replace the password of the link's owner and end all their sessions; raises BadRequest, Invalid."""
    await throttle.link_attempt(desk)
    require_strength(password, "password")
    async with desk.db.control() as conn:
        await links.peek(conn, token, "reset")
    hashed = await hash_password(password)
    async with desk.db.control() as conn:
        link = await links.use(conn, token, "reset")
        await _replace_password(desk, conn, link.user_id, hashed)
    desk.deliver()


async def change_password(desk: Desk, caller: Caller, current: str, new: str) -> None:
    """Replace the caller's password and end all their sessions; raises Invalid naming the field."""
    assert caller.user_id is not None
    require_strength(new, "newPassword")
    await throttle.password_attempt(desk, str(caller.user_id))
    async with desk.db.control() as conn:
        user = await users.by_id(conn, caller.user_id)
    assert user is not None
    if not await verify_password(user.password_hash, current):
        raise Invalid(errors=[FieldError("currentPassword", "This is not your current password.")])
    hashed = await hash_password(new)
    async with desk.db.control() as conn:
        await _replace_password(desk, conn, user.id, hashed)
    desk.deliver()


async def _replace_password(desk: Desk, conn: asyncpg.Connection, user_id: UUID, hashed: str) -> None:
    user = await users.by_id(conn, user_id)
    assert user is not None
    await users.set_password(conn, user_id, hashed)
    await sessions.end_all(conn, user_id)
    await links.forget(conn, user_id, "reset")
    await desk.mail(conn, user.email, *mails.password_changed(desk.settings.base_url + "/forgot-password"))


def require_strength(password: str, path: str) -> None:
    """Raises Invalid at the field ``path`` for a password that may not be chosen."""
    reason = weakness(password)
    if reason:
        raise Invalid(errors=[FieldError(path, reason)])


async def me(desk: Desk, caller: Caller) -> Me:
    """Who is asking, and where they belong."""
    assert caller.user_id is not None
    async with desk.db.control() as conn:
        return Me(
            user=UserOut(id=caller.user_id, email=caller.email),
            tenants=tenant_lines(await users.tenants_of(conn, caller.user_id)),
            agencies=await users.agencies_of(conn, caller.user_id),
        )
