"""The people of a tenant and of an agency: the same calls, each for its team."""

from __future__ import annotations

import logging
from uuid import UUID

from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from coursesignal.auth.access import agency as of_agency
from coursesignal.auth.access import tenant as of_tenant
from coursesignal.auth.callers import Caller
from coursesignal.auth.desk import Desk
from coursesignal.db.engine import Database
from coursesignal.plugin import Tenant
from coursesignal.tenancy import agencies, audit, invitations, teams
from coursesignal.tenancy.schemas import MemberChange, MemberIn, MemberOut
from coursesignal.tenancy.teams import Team

log = logging.getLogger(__name__)


@get("/", opt=of_tenant("viewer"), summary="Who belongs to the tenant", operation_id="listMembers")
async def list_members(db: NamedDependency[Database], tenant: NamedDependency[Tenant]) -> list[MemberOut]:
    async with db.tenant(tenant.id) as conn:
        return await teams.members(conn, _of(tenant))


@post("/", opt=of_tenant("admin"), status_code=201, summary="Invite somebody by mail", operation_id="inviteMember")
async def invite_member(
    data: JSONBody[MemberIn],
    desk: NamedDependency[Desk],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> MemberOut:
    await invitations.limit(desk, caller, data)
    async with desk.db.tenant(tenant.id) as conn:
        invited = await invitations.invite(desk, conn, caller, _of(tenant), data)
        await audit.record(conn, tenant.id, caller, "member.invited", invited.email, {"role": invited.role})
    desk.deliver()
    return invited


@patch("/{member_id:uuid}", opt=of_tenant("admin"), summary="Give a member another role", operation_id="changeMember")
async def change_member(
    member_id: FromPath[UUID],
    data: JSONBody[MemberChange],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> MemberOut:
    async with db.tenant(tenant.id) as conn:
        email = await teams.change_role(conn, caller, _of(tenant), member_id, data.role)
        await audit.record(conn, tenant.id, caller, "member.changed", email, {"role": data.role})
        return _one(await teams.members(conn, _of(tenant)), member_id)


@delete(
    "/{member_id:uuid}", opt=of_tenant("viewer"), summary="Take a member or an invitation out, or leave",
    operation_id="removeMember",
)  # fmt: skip
async def remove_member(
    member_id: FromPath[UUID],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
    tenant: NamedDependency[Tenant],
) -> None:
    async with db.tenant(tenant.id) as conn:
        email = await teams.remove(conn, caller, _of(tenant), member_id)
        await audit.record(conn, tenant.id, caller, "member.removed", email)


@get("/", opt=of_agency("viewer"), summary="Who belongs to the agency", operation_id="listAgencyMembers")
async def list_agency_members(db: NamedDependency[Database], caller: NamedDependency[Caller]) -> list[MemberOut]:
    team = await _agency(db, caller)
    async with db.control() as conn:
        return await teams.members(conn, team)


@post(
    "/", opt=of_agency("admin"), status_code=201, summary="Invite somebody by mail", operation_id="inviteAgencyMember"
)
async def invite_agency_member(
    data: JSONBody[MemberIn], desk: NamedDependency[Desk], caller: NamedDependency[Caller]
) -> MemberOut:
    team = await _agency(desk.db, caller)
    await invitations.limit(desk, caller, data)
    async with desk.db.control() as conn:
        invited = await invitations.invite(desk, conn, caller, team, data)
    log.info("agency.member_invited agency=%s by=%s role=%s", team.id, caller.user_id, data.role)
    desk.deliver()
    return invited


@patch(
    "/{member_id:uuid}", opt=of_agency("admin"), summary="Give a member another role", operation_id="changeAgencyMember"
)
async def change_agency_member(
    member_id: FromPath[UUID],
    data: JSONBody[MemberChange],
    db: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> MemberOut:
    team = await _agency(db, caller)
    async with db.control() as conn:
        await teams.change_role(conn, caller, team, member_id, data.role)
        found = _one(await teams.members(conn, team), member_id)
    log.info("agency.member_changed agency=%s by=%s user=%s role=%s", team.id, caller.user_id, member_id, data.role)
    return found


@delete(
    "/{member_id:uuid}", opt=of_agency("viewer"), summary="Take a member or an invitation out, or leave",
    operation_id="removeAgencyMember",
)  # fmt: skip
async def remove_agency_member(
    member_id: FromPath[UUID], db: NamedDependency[Database], caller: NamedDependency[Caller]
) -> None:
    team = await _agency(db, caller)
    async with db.control() as conn:
        await teams.remove(conn, caller, team, member_id)
    log.info("agency.member_removed agency=%s by=%s user=%s", team.id, caller.user_id, member_id)


def _of(tenant: Tenant) -> Team:
    return Team("tenant", tenant.id, tenant.name)


async def _agency(db: Database, caller: Caller) -> Team:
    assert caller.agency_id is not None
    async with db.control() as conn:
        found = await agencies.read(conn, caller.agency_id, caller.role)
    return Team("agency", found.id, found.name)


def _one(members: list[MemberOut], member_id: UUID) -> MemberOut:
    return next(member for member in members if member.id == member_id and member.via == "direct")


OF_TENANT = [list_members, invite_member, change_member, remove_member]
OF_AGENCY = [list_agency_members, invite_agency_member, change_agency_member, remove_agency_member]
