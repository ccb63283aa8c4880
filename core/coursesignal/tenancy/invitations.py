"""Inviting by mail, and accepting. Whether an address has an account already is not told to who invites."""

from __future__ import annotations

import logging
from uuid import UUID

import asyncpg

from coursesignal.auth import links, mails, throttle, users
from coursesignal.auth.addresses import address
from coursesignal.auth.callers import Caller
from coursesignal.auth.desk import Desk
from coursesignal.auth.links import Link
from coursesignal.auth.service import require_strength
from coursesignal.auth.users import User
from coursesignal.errors import Conflict, FieldError, Invalid
from coursesignal.security.passwords import hash_password
from coursesignal.tenancy import audit, teams
from coursesignal.tenancy.schemas import Joined, MemberIn, MemberOut
from coursesignal.tenancy.teams import Team

log = logging.getLogger(__name__)


async def limit(desk: Desk, caller: Caller, wanted: MemberIn) -> None:
    """Count the mail that an invitation sends; raises RateLimited and Invalid. Before the transaction."""
    await desk.limit("invite", str(caller.user_id), 100, throttle.HOUR)
    await desk.limit("mails-to", address(wanted.email), 5, throttle.HOUR)


async def invite(desk: Desk, conn: asyncpg.Connection, caller: Caller, team: Team, wanted: MemberIn) -> MemberOut:
    """Send an invitation; a newer one to the same address replaces the older. Raises Forbidden, Conflict."""
    teams.require_rank(caller, wanted.role)
    user = await users.ensure(conn, address(wanted.email))
    if await conn.fetchval(team.sql("select 1 from memberships where TEAM = $1 and user_id = $2"), team.id, user.id):
        raise Conflict("This person belongs to the team already.")
    await conn.execute(
        team.sql("delete from auth_tokens where TEAM = $1 and user_id = $2 and purpose = 'invite'"), team.id, user.id
    )
    tenant_id = team.id if team.kind == "tenant" else None
    agency_id = team.id if team.kind == "agency" else None
    token = await links.make(conn, user.id, "invite", tenant_id=tenant_id, agency_id=agency_id, role=wanted.role)
    text = mails.invitation(team.name, caller.name, wanted.role, links.url(desk.settings.base_url, "invite", token))
    await desk.mail(conn, user.email, *text, tenant_id=tenant_id)
    link = await links.peek(conn, token, "invite")
    return MemberOut(id=link.id, email=user.email, role=wanted.role, status="invited", since=link.created_at)


async def accept(desk: Desk, token: str, password: str | None) -> Joined:
    """Join the team of the link; who has no account yet gets one with ``password``. Raises BadRequest, Invalid."""
    await throttle.link_attempt(desk)
    async with desk.db.control() as conn:
        link = await links.peek(conn, token, "invite")
        user = await users.by_id(conn, link.user_id)
        team, slug = await _team(conn, link)
    assert user is not None
    hashed = None if user.verified_at else await _first_password(password)
    transaction = desk.db.tenant(team.id) if team.kind == "tenant" else desk.db.control()
    async with transaction as conn:
        await links.use(conn, token, "invite")
        role = await _join(conn, team, user, link, hashed)
    return Joined(kind=team.kind, slug=slug, name=team.name, role=role, email=user.email)


async def _join(conn: asyncpg.Connection, team: Team, user: User, link: Link, hashed: str | None) -> str:
    assert link.role is not None
    if hashed is not None:
        await users.verify(conn, user.id, hashed)
        await links.forget(conn, user.id, "verify")
    role = await teams.add(conn, team, user.id, link.role)
    if team.kind == "tenant":
        caller = Caller(user_id=user.id, email=user.email)
        await audit.record(conn, team.id, caller, "member.joined", user.email, {"role": role})
    else:
        log.info("agency.member_joined agency=%s user=%s role=%s", team.id, user.id, role)
    return role


async def needs_password(conn: asyncpg.Connection, token: str) -> bool:
    """Whether who holds the link has no account yet; raises BadRequest."""
    link = await links.peek(conn, token, "invite")
    return await conn.fetchval("select verified_at is null from users where id = $1", link.user_id) is not False


async def _first_password(password: str | None) -> str:
    if password is None:
        raise Invalid(errors=[FieldError("password", "Choose a password for your new account.")])
    require_strength(password, "password")
    return await hash_password(password)


async def _team(conn: asyncpg.Connection, link: Link) -> tuple[Team, str]:
    """What the link leads to; raises BadRequest for a tenant that has been archived."""
    found = "tenants where status = 'active' and" if link.tenant_id else "agencies where"
    team_id = link.tenant_id or link.agency_id
    row = await conn.fetchrow(f"select slug, name from {found} id = $1", team_id)  # noqa: S608
    if row is None:
        raise links.spent()
    assert isinstance(team_id, UUID)
    return Team("tenant" if link.tenant_id else "agency", team_id, row["name"]), row["slug"]
