"""Signing up, confirming the address, accepting an invitation."""

from __future__ import annotations

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from coursesignal.auth.access import public
from coursesignal.auth.desk import Desk
from coursesignal.auth.schemas import LoggedIn, Message
from coursesignal.tenancy import invitations
from coursesignal.tenancy import signup as signing_up
from coursesignal.tenancy.schemas import AcceptIn, Joined, SignupIn, VerifyIn


@post("/signup", opt=public(), status_code=202, summary="Sign up; a mail says how to go on", operation_id="signup")
async def signup(data: JSONBody[SignupIn], desk: NamedDependency[Desk]) -> Message:
    await signing_up.signup(desk, data)
    return Message(message=signing_up.SENT)


@post(
    "/verify-email", opt=public(), status_code=200, summary="Confirm the address with the mailed token and log in",
    operation_id="verifyEmail",
)  # fmt: skip
async def verify_email(data: JSONBody[VerifyIn], desk: NamedDependency[Desk]) -> LoggedIn:
    return await signing_up.verify_email(desk, data.token)


@post(
    "/accept-invite",
    opt=public(),
    status_code=200,
    summary="Join a team with the mailed token",
    operation_id="acceptInvite",
)
async def accept_invite(data: JSONBody[AcceptIn], desk: NamedDependency[Desk]) -> Joined:
    return await invitations.accept(desk, data.token, data.password)


HANDLERS = [signup, verify_email, accept_invite]
