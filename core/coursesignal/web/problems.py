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
from coursesignal.web.access import LoginNeeded
from coursesignal.web.errorpage import error_page, wants_page

log = logging.getLogger(__name__)
denials = logging.getLogger("coursesignal.denied")
"""One line per refused caller, without bodies, tokens or addresses."""
MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:coursesignal:problem:"
AWAY = ("08", "53", "55P03", "57P", "40", "25006")
"""SQLSTATEs that pass: no connection, no room, locked, shutting down, a lost race."""
_AT = re.compile(r" - at `\$?\.?(.*?)`$")
NO_BODY = "'data'"
"""How Litestar says that there is none."""
_IN_BODY = re.compile(r" - at `\$\.data(.*?)`$")
_NAMED = re.compile(r"(?:missing required|contains unknown) field `([^`]*)`")


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457, with ``errors`` naming fields."""

    type: str
    title: str
    status: int = 0
    detail: str = ""
    errors: Sequence[FieldError] = ()


def problem(
    status: int,
    kind: str,
    title: str,
    *,
    detail: str = "",
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] = {},
) -> Response[Any]:
    """A problem document as an answer; ``kind`` is the stable last part of its type."""
    content = Problem(type=TYPE_PREFIX + kind, title=title, status=status, detail=detail or title, errors=errors)
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers))


def answer(
    request: Request[Any, Any, Any],
    status: int,
    kind: str,
    title: str,
    *,
    detail: str = "",
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] = {},
) -> Response[Any]:
    """The problem as a page for who looks at pages, as a document for everybody else."""
    if wants_page(request):
        return error_page(status, title, detail, headers)
    return problem(status, kind, title, detail=detail, errors=errors, headers=headers)


def on_refused(request: Request[Any, Any, Any], error: Refused) -> Response[Any]:
    if error.status in {401, 403, 404}:
        denials.info("%s %s %s", error.kind, request.method, request.scope.get("path_template") or "?")
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return answer(
        request, error.status, error.kind, error.title, detail=error.detail, errors=error.errors, headers=headers
    )


def on_login_needed(request: Request[Any, Any, Any], error: LoginNeeded) -> Response[Any]:
    return Response(b"", status_code=303, headers={"Location": error.location})


def on_validation(request: Request[Any, Any, Any], error: ValidationException) -> Response[Any]:
    """A body or parameter of the wrong shape: 422 with the fields."""
    return _invalid(request, list(_field_errors(error.extra, _path_in_body(error.__cause__))))


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Litestar's own refusals, and a body it could not decode."""
    cause = error.__cause__
    if isinstance(cause, msgspec.ValidationError):
        return _invalid(request, [field_error(cause)])
    if isinstance(cause, msgspec.DecodeError | UnicodeDecodeError):
        return on_decode(request, cause)
    status = error.status_code
    if status >= 500:
        return on_unexpected(request, error)
    if status == 404:
        return answer(request, 404, "not-found", "Not found.")
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Bad Request"
    kind = phrase.lower().replace(" ", "-")
    return answer(request, status, kind, f"{phrase}.", detail=_plain(error.detail), headers=error.headers or {})


def on_decode(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Not JSON, not UTF-8, or nested beyond reading."""
    detail = "Send UTF-8 encoded JSON that is not too deeply nested."
    return answer(request, 400, "bad-request", "The body cannot be read.", detail=detail)


def on_database(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The database refuses or is away: what the input caused is the client's, the rest is a 503 to try again after."""
    state = getattr(error, "sqlstate", "") or ""
    if state in {"22021", "22P05"}:
        detail = "Remove NUL characters."
        return answer(request, 400, "bad-request", "The text holds a character that cannot be stored.", detail=detail)
    if state.startswith("22"):
        return answer(request, 422, "invalid", "A value is out of range.")
    if state == "57014":
        title, headers = "This took too long.", {"Retry-After": "5"}
        return answer(request, 503, "too-slow", title, detail="Choose a shorter range.", headers=headers)
    if state.startswith(AWAY) or not state:
        log.warning("database unavailable: %s %s", state or "-", type(error).__name__)
        return answer(
            request, 503, "unavailable", "The service is busy. Try again in a moment.", headers={"Retry-After": "2"}
        )
    return on_unexpected(request, error)


def on_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    log.error("unexpected error on %s %s", request.method, request.url.path, exc_info=error)
    return answer(
        request, 500, "internal", "Something went wrong on our side.", detail="It was logged. Try again later."
    )


def field_error(error: msgspec.ValidationError) -> FieldError:
    """The field path and the message in msgspec's text; a missing or unknown field is named by its own path."""
    text = str(error)
    found = _AT.search(text)
    return _field(found.group(1) if found else "", _AT.sub("", text))


def _field(path: str, message: str) -> FieldError:
    path = _dotted(path)
    named = _NAMED.search(message)
    if named:
        path = f"{path}.{named.group(1)}" if path else named.group(1)
    return FieldError(path, message)


def _dotted(path: str) -> str:
    """``items[0].name`` as ``items.0.name``, the way paths are written everywhere; a key of a free mapping is not told."""
    return re.sub(r"\[(\d+)\]", r".\1", path.replace("[...]", "")).strip(".")


def _path_in_body(cause: BaseException | None) -> str | None:
    """Where in the body msgspec stopped; Litestar's own words leave places in lists out."""
    found = _IN_BODY.search(str(cause)) if isinstance(cause, msgspec.ValidationError) else None
    return found.group(1) if found else None


def _field_errors(extra: object, path_in_body: str | None) -> Iterator[FieldError]:
    """What Litestar says of each wrong parameter or field; the body as a whole has an empty path."""
    for item in extra if isinstance(extra, Sequence) else ():
        if isinstance(item, Mapping):
            path = str(item.get("key", ""))
            if item.get("source") == "body":
                path = path_in_body if path_in_body is not None else "" if path == "data" else path
            message = str(item.get("message", "not valid"))
            yield _field(path, "Send a JSON body." if message == NO_BODY else message)


def _invalid(request: Request[Any, Any, Any], errors: Sequence[FieldError]) -> Response[Any]:
    title = "Some fields are not valid."
    detail = "; ".join(f"{e.path}: {e.message}" if e.path else e.message for e in errors)
    return answer(request, 422, "invalid", title, detail=detail or title, errors=errors)


def _plain(detail: str) -> str:
    """Litestar's text, unless it quotes an internal."""
    return detail if detail and len(detail) < 200 and "Traceback" not in detail else ""


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    LoginNeeded: on_login_needed,
    Refused: on_refused,
    ValidationException: on_validation,
    HTTPException: on_http,
    msgspec.DecodeError: on_decode,
    UnicodeDecodeError: on_decode,
    RecursionError: on_decode,
    asyncpg.PostgresError: on_database,
    asyncpg.InterfaceError: on_database,
    ConnectionError: on_database,
    TimeoutError: on_database,
    Exception: on_unexpected,
}
