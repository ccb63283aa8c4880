"""How often somebody may try: per address and account together, per account, per address; never locked for good."""

from __future__ import annotations

from coursesignal.auth.desk import Desk

MINUTE, HOUR = 60, 3600


async def login_attempt(desk: Desk, email: str) -> None:
    """One try to log in; 10 per 5 minutes for who knows one address and one account."""
    await desk.limit("login", f"{desk.client} {email}", 10, 5 * MINUTE)
    await desk.limit("login-account", email, 50, 15 * MINUTE)
    await desk.limit("login-client", desk.client, 200, 5 * MINUTE)


async def login_succeeded(desk: Desk, email: str) -> None:
    """The right password clears the tries of its owner from this address."""
    await desk.pardon("login", f"{desk.client} {email}")


async def mail_request(desk: Desk, what: str, email: str) -> None:
    """A call that sends a mail to an address somebody typed: sign-up, reset; the same for known and unknown addresses."""
    await desk.limit(what, desk.client, 30, HOUR)
    await desk.limit("mails-to", email, 5, HOUR)


async def link_attempt(desk: Desk) -> None:
    """One try to use a mailed link."""
    await desk.limit("link", desk.client, 60, 5 * MINUTE)


async def refresh_attempt(desk: Desk) -> None:
    """One refresh; many people may share an address, and each refreshes about once in a quarter of an hour."""
    await desk.limit("refresh", desk.client, 300, 5 * MINUTE)


async def password_attempt(desk: Desk, user: str) -> None:
    """One try at the current password of who is logged in."""
    await desk.limit("password", user, 10, 5 * MINUTE)
