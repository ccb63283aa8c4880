"""Logging in and out in a browser, choosing a new password, and the way to the first dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, URLEncodedBody

from coursesignal.auth import callers, service, sessions, users
from coursesignal.auth.access import public
from coursesignal.auth.callers import COOKIE, Caller, parts_of
from coursesignal.auth.cookies import no_session, session_cookie
from coursesignal.auth.desk import Desk, provide_desk
from coursesignal.auth.forms import EmailForm, LinkForm, LoginForm, in_words, our_form
from coursesignal.auth.redirects import HOME, safe_next
from coursesignal.errors import Refused
from coursesignal.web.pages import house_style, page

Asked = Request[Any, Any, Any]


def seen(path: str) -> Response[Any]:
    """Go and see ``path``."""
    return Response(b"", status_code=303, headers={"Location": path})


async def who(request: Asked) -> Caller | None:
    """The logged-in person, on a page that strangers may see too."""
    try:
        return await callers.authenticate(request, parts_of(request), cookies=True)
    except Refused:
        return None


async def enter(request: Asked, conn: asyncpg.Connection, user: Any, to: str) -> Response[Any]:
    """Open a browser session for ``user`` under a new token, end the one there was, and go to ``to``."""
    former = request.cookies.get(COOKIE)
    if former:
        await sessions.end_by_token(conn, former)
    session = await sessions.open_browser_session(conn, user)
    answer = seen(to)
    answer.set_cookie(session_cookie(session.token))
    return answer


@get("/", opt=public(), summary="To the first dashboard, or to log in", operation_id="home")
async def home(request: Asked, desk: NamedDependency[Desk]) -> Response[Any]:
    caller = await who(request)
    if caller is None or caller.user_id is None:
        return seen("/login")
    async with desk.db.control() as conn:
        found = await users.tenants_of(conn, caller.user_id)
    if found:
        return seen(f"/app/{found[0].tenant.slug}")
    return page("auth/nowhere.html", {"email": caller.email, "csrf_token": caller.csrf_token})


@get("/login", opt=public(), summary="The login page", operation_id="loginPage")
async def login_page(request: Asked, next: FromQuery[str] = "") -> Response[Any]:
    caller = await who(request)
    if caller is not None and caller.user_id is not None:
        return seen(safe_next(next))
    return _login(next)


@post("/login", opt=public(), status_code=303, summary="Log in from the page", operation_id="loginFromPage")
async def login_from_page(
    request: Asked, data: URLEncodedBody[LoginForm], desk: NamedDependency[Desk]
) -> Response[Any]:
    our_form(request)
    try:
        user = await service.authenticate(desk, data.email, data.password)
    except Refused as error:
        return _login(data.next, data.email, error)
    async with desk.db.control() as conn:
        return await enter(request, conn, user.id, safe_next(data.next))


def _login(next_path: str, email: str = "", error: Refused | None = None) -> Response[Any]:
    return form("auth/login.html", {"next": safe_next(next_path), "email": email}, error)


def form(template: str, values: Mapping[str, object], error: Refused | None = None) -> Response[Any]:
    """A form, with what was wrong about the last try."""
    if error is None:
        return page(template, {**values, "wrong": ""})
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return page(template, {**values, "wrong": in_words(error)}, status=error.status, headers=headers)


@post("/logout", opt=public(), status_code=303, summary="Log out from a page", operation_id="logoutFromPage")
async def logout_from_page(request: Asked, desk: NamedDependency[Desk]) -> Response[Any]:
    """Needs the session's token like every form; a session that has ended already is no mistake."""
    caller = await callers.authenticate(request, parts_of(request), cookies=True)
    await service.logout(desk, caller, None)
    answer = seen("/login")
    answer.set_cookie(no_session())
    return answer


@get("/forgot-password", opt=public(), summary="The page to ask for a new password", operation_id="forgotPasswordPage")
async def forgot_page() -> Response[Any]:
    return form("auth/forgot.html", {"email": "", "sent": False})


@post(
    "/forgot-password", opt=public(), status_code=200, summary="Ask for a new password", operation_id="forgotPassword"
)
async def forgot(request: Asked, data: URLEncodedBody[EmailForm], desk: NamedDependency[Desk]) -> Response[Any]:
    our_form(request)
    try:
        await service.request_reset(desk, data.email)
    except Refused as error:
        return form("auth/forgot.html", {"email": data.email, "sent": False}, error)
    return form("auth/forgot.html", {"email": data.email, "sent": True})


@get("/reset-password", opt=public(), summary="The page to choose a new password", operation_id="resetPasswordPage")
async def reset_page(token: FromQuery[str] = "") -> Response[Any]:
    return form("auth/reset.html", {"token": token, "done": False})


@post("/reset-password", opt=public(), status_code=200, summary="Choose a new password", operation_id="resetFromPage")
async def reset_from_page(request: Asked, data: URLEncodedBody[LinkForm], desk: NamedDependency[Desk]) -> Response[Any]:
    our_form(request)
    try:
        await service.reset_password(desk, data.token, data.password)
    except Refused as error:
        return form("auth/reset.html", {"token": data.token, "done": False}, error)
    return form("auth/reset.html", {"token": "", "done": True})


ROUTES: list[Router | HTTPRouteHandler] = [
    house_style,
    Router(
        "/",
        route_handlers=[
            home, login_page, login_from_page, logout_from_page, forgot_page, forgot, reset_page, reset_from_page,
        ],
        dependencies={"desk": Provide(provide_desk, sync_to_thread=False)},
        tags=["Pages"],
        include_in_schema=False,
    ),
]  # fmt: skip
__all__ = ["HOME", "ROUTES", "Asked", "enter", "form", "seen", "who"]
