"""The cookie of a browser session: for this host only, out of reach of scripts and of plain HTTP."""

from __future__ import annotations

from litestar.datastructures import Cookie

from coursesignal.auth.callers import COOKIE
from coursesignal.auth.sessions import BROWSER


def session_cookie(token: str) -> Cookie:
    """Carries ``token`` for as long as the session lasts."""
    return _cookie(token, int(BROWSER.total_seconds()))


def no_session() -> Cookie:
    """Takes the cookie away."""
    return _cookie("", 0)


def _cookie(value: str, max_age_s: int) -> Cookie:
    return Cookie(COOKIE, value=value, path="/", secure=True, httponly=True, samesite="lax", max_age=max_age_s)
