"""``coursesignal users``: accounts without signing up."""

from __future__ import annotations

import asyncio

import click

from coursesignal.auth import links, mails, sessions, users
from coursesignal.auth.addresses import address
from coursesignal.auth.service import require_strength
from coursesignal.auth.users import User
from coursesignal.errors import NotFound
from coursesignal.jobs.mail import queue_mail
from coursesignal.runtime import Runtime
from coursesignal.security.passwords import hash_password
from coursesignal.security.tokens import new_token
from coursesignal.settings import load
from coursesignal.tenancy import audit, teams
from coursesignal.tenancy.teams import Team
from coursesignal.web.access import ROLES


@click.group()
def command() -> None:
    """The people who may log in."""


@command.command()
@click.option("--email", required=True, help="Where they get mail, and what they log in with.")
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True, help="At least 10 characters.")
@click.option("--verified", is_flag=True, help="Skip the mail that confirms the address.")
@click.option("--tenant", help="Slug of a tenant to make them a member of.")
@click.option("--role", type=click.Choice(list(ROLES)), default="member", show_default=True, help="As what.")
def create(email: str, password: str, verified: bool, tenant: str | None, role: str) -> None:
    """Create a user, or give an existing one a new password and membership."""
    click.echo(asyncio.run(_create(email, password, verified, tenant, role)))


async def _create(email: str, password: str, verified: bool, tenant: str | None, role: str) -> str:
    cleaned = address(email)
    require_strength(password, "password")
    hashed = await hash_password(password)
    async with Runtime.opened(load()) as runtime:
        team = await _team(runtime, tenant) if tenant else None
        async with runtime.database.control() as conn:
            user = await users.ensure(conn, cleaned)
            await users.set_password(conn, user.id, hashed)
            await sessions.end_all(conn, user.id)
            if verified:
                await users.verify(conn, user.id, hashed)
        said = [f"{user.email} can log in." if verified or user.verified_at else await _mail(runtime, user, hashed)]
        if team is not None:
            said.append(await _join(runtime, team, user, role))
    return "\n".join(said)


async def _team(runtime: Runtime, slug: str) -> Team:
    async with runtime.database.control() as conn:
        row = await conn.fetchrow("select id, name from tenants where slug = $1", slug)
    if row is None:
        raise NotFound(f"There is no tenant {slug!r}. `coursesignal tenants list` shows them.")
    return Team("tenant", row["id"], row["name"])


async def _mail(runtime: Runtime, user: User, hashed: str) -> str:
    """Ask the person to confirm the address."""
    async with runtime.database.control() as conn:
        token = await links.make(conn, user.id, "verify", password_hash=hashed)
        text = mails.confirm(links.url(runtime.settings.base_url, "verify", token))
        await queue_mail(
            conn, runtime.keys, to=user.email, subject=text.subject, text=text.body, key=new_token("user:")
        )
    await runtime.mailer.deliver_due()
    return f"{user.email} was sent a mail to confirm the address."


async def _join(runtime: Runtime, team: Team, user: User, role: str) -> str:
    async with runtime.database.tenant(team.id) as conn:
        had = await teams.add(conn, team, user.id, role)
        await audit.record(conn, team.id, audit.OPERATOR, "member.added", user.email, {"role": had})
    return f"{user.email} is {had} of {team.name}."
