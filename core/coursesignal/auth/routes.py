"""The account calls. Signing up, confirming and joining make tenants and members: they are in ``tenancy``."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody

from coursesignal.auth import callers, service
from coursesignal.auth.access import public, user
from coursesignal.auth.callers import Caller, parts_of
from coursesignal.auth.desk import Desk, provide_desk
from coursesignal.auth.schemas import (
    LoggedIn,
    LoginIn,
    LogoutIn,
    Me,
    Message,
    PasswordChange,
    Refreshed,
    RefreshIn,
    ResetIn,
    ResetRequest,
)
from coursesignal.errors import Refused

RESET_SENT = "If this address has an account, a mail with a link to choose a new password is on its way."


@post("/login", opt=public(), status_code=200, summary="Log in", operation_id="login")
async def login(data: JSONBody[LoginIn], desk: NamedDependency[Desk]) -> LoggedIn:
    return await service.login(desk, data.email, data.password)


@post("/refresh", opt=public(), status_code=200, summary="Trade a refresh token for new tokens", operation_id="refresh")
async def refresh(data: JSONBody[RefreshIn], desk: NamedDependency[Desk]) -> Refreshed:
    return await service.refresh(desk, data.refresh_token)


@post("/logout", opt=public(), status_code=204, summary="End the session", operation_id="logout")
async def logout(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], data: JSONBody[LogoutIn | None] = None
) -> None:
    await service.logout(desk, await _whoever(request), data.refresh_token if data else None)


@post(
    "/request-reset",
    opt=public(),
    status_code=202,
    summary="Ask for a new password by mail",
    operation_id="requestReset",
)
async def request_reset(data: JSONBody[ResetRequest], desk: NamedDependency[Desk]) -> Message:
    await service.request_reset(desk, data.email)
    return Message(message=RESET_SENT)


@post(
    "/reset-password", opt=public(), status_code=204, summary="Choose a new password with a mailed token",
    operation_id="resetPassword",
)  # fmt: skip
async def reset_password(data: JSONBody[ResetIn], desk: NamedDependency[Desk]) -> None:
    await service.reset_password(desk, data.token, data.password)


@post(
    "/change-password", opt=user(), status_code=204, summary="Change your password; you are logged out everywhere",
    operation_id="changePassword",
)  # fmt: skip
async def change_password(
    data: JSONBody[PasswordChange], desk: NamedDependency[Desk], caller: NamedDependency[Caller]
) -> None:
    await service.change_password(desk, caller, data.current_password, data.new_password)


@get("/me", opt=user(), summary="Who you are and where you belong", operation_id="me")
async def me(desk: NamedDependency[Desk], caller: NamedDependency[Caller]) -> Me:
    return await service.me(desk, caller)


async def _whoever(request: Request[Any, Any, Any]) -> Caller | None:
    """The caller, if the credentials still say; logging out works without."""
    try:
        return await callers.authenticate(request, parts_of(request), cookies=False)
    except Refused:
        return None


ROUTES = [
    Router(
        "/api/auth",
        route_handlers=[login, refresh, logout, request_reset, reset_password, change_password, me],
        dependencies={"desk": Provide(provide_desk, sync_to_thread=False)},
        tags=["Auth"],
    )
]
