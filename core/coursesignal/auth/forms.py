"""What the pages' forms send. Browsers add fields of their own, so unknown ones are ignored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Request, Response

from coursesignal.auth.callers import require_same_origin
from coursesignal.errors import Refused


class LoginForm(msgspec.Struct, frozen=True, kw_only=True):
    email: str = ""
    password: str = ""
    next: str = ""


class EmailForm(msgspec.Struct, frozen=True, kw_only=True):
    email: str = ""


class LinkForm(msgspec.Struct, frozen=True, kw_only=True):
    token: str = ""
    password: str = ""


class SignupForm(msgspec.Struct, frozen=True, kw_only=True):
    email: str = ""
    password: str = ""
    tenant_name: str = ""


Show = Callable[[str, int], Response[Any]]
"""Renders the form again with what was wrong, under a status."""


def our_form(request: Request[Any, Any, Any]) -> None:
    """A form for strangers has no session to bind a token to: the browser must say that it stood on our own page."""
    require_same_origin(request)


def in_words(error: Refused) -> str:
    """What to show above the form."""
    if error.errors:
        return " ".join(field.message for field in error.errors)
    return f"{error.title} {error.detail}".strip()
