"""The one place where errors become RFC 9457 problem documents.

Nothing a client sends ends in a 500, and no answer holds a trace, a constraint's name or another tenant's data.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import asyncpg
import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from coursesignal.errors import FieldError, Refused

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:coursesignal:problem:"
_AT = re.compile(r" - at `\$?\.?(.*?)`$")


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457, with ``errors`` naming fields."""

    type: str
    title: str
    status: int = 0
    detail: str = ""
    errors: Sequence[FieldError] = ()


def problem(
    status: int, kind: str, title: str, *, detail: str = "", errors: Sequence[FieldError] = (), headers: Mapping[str, str] = {}
) -> Response[Problem]:
    """A problem document as an answer; ``kind`` is the stable last part of its type."""
    content = Problem(type=TYPE_PREFIX + kind, title=title, status=status, detail=detail or title, errors=errors)
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers))


def on_refused(request: Request[Any, Any, Any], error: Refused) -> Response[Problem]:
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(error.status, error.kind, error.title, detail=error.detail, errors=error.errors, headers=headers)


def on_validation(request: Request[Any, Any, Any], error: ValidationException) -> Response[Problem]:
    """A body or parameter of the wrong shape: 422 with the fields, 400 when it is not JSON at all."""
    errors = list(_field_errors(error.extra))
    cause = error.__cause__
    if not errors and isinstance(cause, msgspec.ValidationError):
        errors = [field_error(cause)]
    title = "Some fields are not valid."
    return problem(422, "invalid", title, detail="; ".join(e.message for e in errors) or title, errors=errors)


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Litestar's own refusals, and a body it could not decode."""
    cause = error.__cause__
    if isinstance(cause, msgspec.ValidationError):
        wrong = field_error(cause)
        return problem(422, "invalid", "Some fields are not valid.", detail=wrong.message, errors=[wrong])
    status = error.status_code
    if status >= 500:
        return on_unexpected(request, error)
    known = HTTPStatus(status) if status in HTTPStatus._value2member_map_ else HTTPStatus.BAD_REQUEST
    kind = known.phrase.lower().replace(" ", "-")
    if status == 404:
        kind = "not-found"
        return problem(404, kind, "Not found.")
    return problem(status, kind, f"{known.phrase}.", detail=_plain(error.detail), headers=error.headers or {})


def on_decode(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Not JSON, not UTF-8, or nested beyond reading."""
    return problem(400, "bad-request", "The body cannot be read as JSON.", detail="Send UTF-8 encoded JSON, not too deeply nested.")


def on_database(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """The database refuses or is away: what the input caused is the client's, the rest is a 503 to try again after."""
    state = getattr(error, "sqlstate", "") or ""
    if state in {"22021", "22P05"}:
        return problem(400, "bad-request", "The text holds a character that cannot be stored.", detail="Remove NUL characters.")
    if state.startswith("22"):
        return problem(422, "invalid", "A value is out of range.")
    if state == "57014":
        return problem(503, "too-slow", "This took too long.", detail="Choose a shorter range.", headers={"Retry-After": "5"})
    if state.startswith(("08", "53", "55P03", "57P", "40")) or not state:
        log.warning("database unavailable: %s %s", state, type(error).__name__)
        return problem(503, "unavailable", "The service is busy. Try again in a moment.", headers={"Retry-After": "2"})
    return on_unexpected(request, error)


def on_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    log.error("unexpected error on %s %s", request.method, request.url.path, exc_info=error)
    return problem(500, "internal", "Something went wrong on our side.", detail="It was logged. Try again later.")


def field_error(error: msgspec.ValidationError) -> FieldError:
    """The field path and the message in msgspec's text."""
    text = str(error)
    found = _AT.search(text)
    return FieldError(found.group(1) if found else "", _AT.sub("", text))


def _field_errors(extra: object) -> Iterator[FieldError]:
    """What Litestar says of each wrong parameter or field."""
    if isinstance(extra, Sequence):
        for item in extra:
            if isinstance(item, Mapping):
                yield FieldError(str(item.get("key", "")), str(item.get("message", "not valid")))


def _plain(detail: str) -> str:
    """Litestar's text, unless it quotes an internal."""
    return detail if detail and len(detail) < 200 and "Traceback" not in detail else ""


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    Refused: on_refused,
    ValidationException: on_validation,
    HTTPException: on_http,
    msgspec.DecodeError: on_decode,
    UnicodeDecodeError: on_decode,
    RecursionError: on_decode,
    asyncpg.PostgresError: on_database,
    asyncpg.InterfaceError: on_database,
    asyncpg.DataError: on_database,
    OSError: on_database,
    TimeoutError: on_database,
    Exception: on_unexpected,
}
