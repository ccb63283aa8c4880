"""Reading and answering HTTP at the ASGI level, for the few paths that Litestar never sees."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from coursesignal.errors import BadRequest, CourseSignalError, Refused, TooLarge
from coursesignal.web.problems import MEDIA_TYPE, TYPE_PREFIX, Problem

Scope = Mapping[str, Any]
Receive = Callable[[], Coroutine[Any, Any, Mapping[str, Any]]]
Send = Callable[[Any], Awaitable[None]]
Header = tuple[bytes, bytes]

MAX_BODY_BYTES = 64 * 1024
READ_TIMEOUT_S = 10.0
JSON: Header = (b"content-type", b"application/json")
ANY_ORIGIN: Header = (b"access-control-allow-origin", b"*")
_PROBLEM: Header = (b"content-type", MEDIA_TYPE.encode())
_encode = msgspec.json.Encoder().encode


class Application(Protocol):
    """An ASGI application that can be started and stopped without a server, as Litestar is."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...
    def lifespan(self) -> AbstractAsyncContextManager[None]: ...


class ClientGone(CourseSignalError):
    """The client hung up before its request was complete; there is nobody to answer."""


async def read_body(receive: Receive, declared_length: int | None) -> bytes:
    """The whole body; raises TooLarge without reading on, BadRequest for one that does not arrive in time, ClientGone."""
    if declared_length is not None and declared_length > MAX_BODY_BYTES:
        raise TooLarge(f"The request body is larger than {MAX_BODY_BYTES // 1024} KiB.")
    first = _Begun(receive())
    if first.done and not first.value.get("more_body", False):
        return _whole(first.value, first.value.get("body", b""))
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await _read_on(await first, receive)
    except TimeoutError:
        raise BadRequest("The request body did not arrive in time.") from None


async def _read_on(message: Mapping[str, Any], receive: Receive) -> bytes:
    body: bytes = message.get("body", b"")
    while message.get("more_body", False) and len(body) <= MAX_BODY_BYTES:
        message = await receive()
        body += message.get("body", b"")
    return _whole(message, body)


def _whole(last: Mapping[str, Any], body: bytes) -> bytes:
    if last["type"] == "http.disconnect":
        raise ClientGone
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(f"The request body is larger than {MAX_BODY_BYTES // 1024} KiB.")
    return body


class _Begun:
    """A receive run up to its first wait. Nearly every body is there with its head, and a timer for it would cost a tenth of
    the request; one that must wait is awaited under the timer like any other."""

    __slots__ = ("_coroutine", "_waits_for", "done", "value")

    def __init__(self, coroutine: Coroutine[Any, Any, Mapping[str, Any]]) -> None:
        self._coroutine = coroutine
        self._waits_for: Any = None
        self.value: Mapping[str, Any] = {}
        self.done = False
        self._step(coroutine.send, None)

    def __await__(self) -> Generator[Any, Any, Mapping[str, Any]]:
        while not self.done:
            try:
                sent = yield self._waits_for
            except BaseException as error:  # the timer's cancellation belongs to the receive
                self._step(self._coroutine.throw, error)
            else:
                self._step(self._coroutine.send, sent)
        return self.value

    def _step(self, go_on: Callable[[Any], Any], given: Any) -> None:
        try:
            self._waits_for = go_on(given)
        except StopIteration as stopped:
            self.value = stopped.value
            self.done = True


async def respond(send: Send, status: int, headers: Iterable[Header], body: bytes = b"") -> None:
    """One complete answer."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def respond_refused(send: Send, refused: Refused) -> None:
    """A refusal as problem+json. Where the body may be unread, the connection ends with it."""
    headers = [_PROBLEM, ANY_ORIGIN]
    if refused.retry_after_s is not None:
        headers.append((b"retry-after", str(refused.retry_after_s).encode()))
    if isinstance(refused, TooLarge):
        headers.append((b"connection", b"close"))
    await respond(send, refused.status, headers, _problem(refused))


async def respond_method_not_allowed(send: Send, allowed: str) -> None:
    """405, naming what is allowed."""
    refused = _MethodNotAllowed("Use another method.", detail=f"Allowed: {allowed}.")
    await respond(send, refused.status, [_PROBLEM, ANY_ORIGIN, (b"allow", allowed.encode())], _problem(refused))


class _MethodNotAllowed(BadRequest):
    """The path exists and does not take this method."""

    status = 405
    default_kind = "method-not-allowed"


def _problem(refused: Refused) -> bytes:
    return _encode(
        Problem(
            type=TYPE_PREFIX + refused.kind,
            title=refused.title,
            status=refused.status,
            detail=refused.detail or refused.title,
            errors=refused.errors,
        )
    )
