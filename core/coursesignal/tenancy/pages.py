"""Signing up, confirming and joining in a browser. Links only show a button: mail scanners open them too."""

from __future__ import annotations

from typing import Any

import asyncpg
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, URLEncodedBody

from coursesignal.auth import throttle
from coursesignal.auth.access import public, user
from coursesignal.auth.callers import Caller
from coursesignal.auth.desk import Desk
from coursesignal.auth.forms import LinkForm, SignupForm, our_form
from coursesignal.auth.pages import HOME, Asked, enter, form, seen
from coursesignal.auth.users import User
from coursesignal.errors import Refused
from coursesignal.tenancy import invitations, signup, tenants
from coursesignal.tenancy.schemas import SignupIn, TenantIn
from coursesignal.web.pages import page


@get("/signup", opt=public(), summary="The sign-up page", operation_id="signupPage")
async def signup_page() -> Response[Any]:
    return form("tenancy/signup.html", {"email": "", "tenant_name": "", "sent": False})


@post("/signup", opt=public(), status_code=200, summary="Sign up from the page", operation_id="signupFromPage")
async def signup_from_page(
    request: Asked, data: URLEncodedBody[SignupForm], desk: NamedDependency[Desk]
) -> Response[Any]:
    our_form(request)
    typed = {"email": data.email, "tenant_name": data.tenant_name}
    try:
        await signup.signup(desk, SignupIn(password=data.password, **typed))
    except Refused as error:
        return form("tenancy/signup.html", {**typed, "sent": False}, error)
    return form("tenancy/signup.html", {**typed, "sent": True})


@get("/verify-email", opt=public(), summary="The page of a confirmation link", operation_id="verifyEmailPage")
async def verify_page(token: FromQuery[str] = "") -> Response[Any]:
    return form("tenancy/verify.html", {"token": token})


@post("/verify-email", opt=public(), status_code=303, summary="Confirm the address", operation_id="verifyFromPage")
async def verify_from_page(
    request: Asked, data: URLEncodedBody[LinkForm], desk: NamedDependency[Desk]
) -> Response[Any]:
    our_form(request)

    async def log_in(conn: asyncpg.Connection, person: User) -> Response[Any]:
        return await enter(request, conn, person.id, HOME)

    try:
        return await signup.confirm(desk, data.token, log_in)
    except Refused as error:
        return form("tenancy/verify.html", {"token": ""}, error)


@get("/accept-invite", opt=public(), summary="The page of an invitation", operation_id="acceptInvitePage")
async def accept_page(desk: NamedDependency[Desk], token: FromQuery[str] = "") -> Response[Any]:
    return await _accept(desk, token)


@post("/accept-invite", opt=public(), status_code=200, summary="Accept an invitation", operation_id="acceptFromPage")
async def accept_from_page(
    request: Asked, data: URLEncodedBody[LinkForm], desk: NamedDependency[Desk]
) -> Response[Any]:
    our_form(request)
    try:
        joined = await invitations.accept(desk, data.token, data.password or None)
    except Refused as error:
        return await _accept(desk, data.token, error)
    return page("tenancy/joined.html", {"name": joined.name, "email": joined.email})


async def _accept(desk: Desk, token: str, error: Refused | None = None) -> Response[Any]:
    try:
        async with desk.db.control() as conn:
            new = await invitations.needs_password(conn, token)
    except Refused as spent:
        return form("tenancy/accept.html", {"token": "", "new": False}, spent)
    return form("tenancy/accept.html", {"token": token, "new": new}, error)


@post(
    "/new-tenant", opt=user(), status_code=303, summary="Open a tenant from the page", operation_id="newTenantFromPage"
)
async def new_tenant(
    data: URLEncodedBody[SignupForm], desk: NamedDependency[Desk], caller: NamedDependency[Caller]
) -> Response[Any]:
    await desk.limit("new-tenant", str(caller.user_id), 20, throttle.HOUR)
    await tenants.create(desk.db, caller, TenantIn(name=data.tenant_name), owner_id=caller.user_id)
    return seen(HOME)


HANDLERS = [
    signup_page, signup_from_page, verify_page, verify_from_page, accept_page, accept_from_page, new_tenant,
]  # fmt: skip
