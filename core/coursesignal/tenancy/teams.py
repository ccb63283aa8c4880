"""Who belongs to a tenant or an agency, and as what. Nobody hands out, changes or takes a role above their own."""

from __future__ import annotations

from typing import Literal, NamedTuple
from uuid import UUID

import asyncpg

from coursesignal.auth.callers import Caller
from coursesignal.errors import Conflict, Forbidden, NotFound
from coursesignal.tenancy.schemas import MemberOut
from coursesignal.web.access import ROLES, Role


class Team(NamedTuple):
    """What people are members of."""

    kind: Literal["tenant", "agency"]
    id: UUID
    name: str

    def sql(self, text: str) -> str:
        """``text`` with the team's column for every TEAM."""
        return text.replace("TEAM", f"{self.kind}_id")


class _Member(NamedTuple):
    email: str
    role: str


LIST = """
    select u.id, u.email, m.role, 'active' as status, 'direct' as via, m.created_at as since
    from memberships m join users u on u.id = m.user_id where m.TEAM = $1
    union all
    select l.id, u.email, l.role, 'invited', 'direct', l.created_at
    from auth_tokens l join users u on u.id = l.user_id
    where l.TEAM = $1 and l.purpose = 'invite' and l.used_at is null and l.expires_at > now()
    union all
    select u.id, u.email, m.role, 'active', 'agency', m.created_at
    from tenants t join memberships m on m.agency_id = t.agency_id join users u on u.id = m.user_id
    where t.id = $1
    order by 4, 2, 5
"""
ADD = """
    insert into memberships (user_id, TEAM, role) values ($1, $2, $3)
    on conflict (user_id, TEAM) do update set role = excluded.role
"""
MEMBER = (
    "select u.email, m.role from memberships m join users u on u.id = m.user_id where m.TEAM = $1 and m.user_id = $2"
)
INVITATION = """
    select l.role, u.email from auth_tokens l join users u on u.id = l.user_id
    where l.TEAM = $1 and l.id = $2 and l.purpose = 'invite' and l.used_at is null for update of l
"""


async def members(conn: asyncpg.Connection, team: Team) -> list[MemberOut]:
    """Members, then invitations; of a tenant also its agency's people, who are changed there."""
    rows = await conn.fetch(team.sql(LIST), team.id)
    return [MemberOut(**dict(row)) for row in rows]


async def change_role(conn: asyncpg.Connection, caller: Caller, team: Team, member_id: UUID, role: Role) -> str:
    """Give a member another role; raises NotFound, Forbidden, Conflict. Returns the member's address."""
    await _lock(conn, team)
    member = await _member(conn, team, member_id)
    require_rank(caller, member.role)
    require_rank(caller, role)
    if member.role == "owner" and role != "owner":
        await _keep_an_owner(conn, team)
    await conn.execute(
        team.sql("update memberships set role = $3 where TEAM = $1 and user_id = $2"), team.id, member_id, role
    )
    return member.email


async def remove(conn: asyncpg.Connection, caller: Caller, team: Team, member_id: UUID) -> str:
    """Take a member or an invitation out; everybody may leave. Raises NotFound, Forbidden, Conflict. Returns the address."""
    await _lock(conn, team)
    if caller.user_id != member_id:
        require_rank(caller, "admin")
    withdrawn = await _withdraw(conn, caller, team, member_id)
    if withdrawn is not None:
        return withdrawn
    member = await _member(conn, team, member_id)
    if caller.user_id != member_id:
        require_rank(caller, member.role)
    if member.role == "owner":
        await _keep_an_owner(conn, team)
    await conn.execute(team.sql("delete from memberships where TEAM = $1 and user_id = $2"), team.id, member_id)
    return member.email


async def add(conn: asyncpg.Connection, team: Team, user_id: UUID, role: str) -> str:
    """Make the user a member; who is one already keeps the higher role. Returns the role."""
    await _lock(conn, team)
    had = await conn.fetchval(
        team.sql("select role from memberships where TEAM = $1 and user_id = $2"), team.id, user_id
    )
    best = max((role, had or role), key=lambda name: ROLES[name])
    await conn.execute(
        team.sql(ADD),
        user_id, team.id, best,
    )  # fmt: skip
    return best


def require_rank(caller: Caller, role: str) -> None:
    """Raises Forbidden when ``role`` is above the caller's own."""
    if ROLES[caller.role] < ROLES[role]:
        raise Forbidden(f"This needs the role {role}; yours is {caller.role}.")


async def _lock(conn: asyncpg.Connection, team: Team) -> None:
    """One change of a team at a time, so that two owners cannot both leave."""
    table = "tenants" if team.kind == "tenant" else "agencies"
    await conn.execute(f"select 1 from {table} where id = $1 for no key update", team.id)  # noqa: S608


async def _member(conn: asyncpg.Connection, team: Team, user_id: UUID) -> _Member:
    row = await conn.fetchrow(team.sql(MEMBER), team.id, user_id)
    if row is None:
        raise NotFound
    return _Member(**dict(row))


async def _withdraw(conn: asyncpg.Connection, caller: Caller, team: Team, invitation_id: UUID) -> str | None:
    """Take an invitation back; None when there is none of that id."""
    row = await conn.fetchrow(team.sql(INVITATION), team.id, invitation_id)
    if row is None:
        return None
    require_rank(caller, row["role"])
    await conn.execute("delete from auth_tokens where id = $1", invitation_id)
    return str(row["email"])


async def _keep_an_owner(conn: asyncpg.Connection, team: Team) -> None:
    """Raises Conflict when the team's only owner is about to go; an agency's tenant still has the agency."""
    if team.kind == "tenant" and await conn.fetchval("select agency_id from tenants where id = $1", team.id):
        return
    owners = await conn.fetchval(
        team.sql("select count(*) from memberships where TEAM = $1 and role = 'owner'"), team.id
    )
    if owners < 2:
        title = f"The last owner of {team.name} has to stay. Make somebody else an owner first."
        raise Conflict(title, kind="last-owner")
