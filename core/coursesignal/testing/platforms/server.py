"""The part all fake platforms share: a server in a thread, its books, trouble on demand, webhook delivery."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self
from urllib.parse import parse_qsl

import httpx
import msgspec
import uvicorn

from coursesignal.testing.platforms.books import Book, Buyer, FakeSale, Movement, Product, totals

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

START_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Call:
    """A request as the platform got it; header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> Mapping[str, str]:
        return dict(parse_qsl(self.body.decode()))


@dataclass(frozen=True, slots=True)
class Reply:
    """What the platform answers; ``body`` None is an empty one, bytes are sent as they are."""

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    after_s: float = 0
    """How long the platform takes over it."""
    broken_off: bool = False
    """Only the first half of the body is sent."""

    def encoded(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook waiting to be sent."""

    event: str
    body: bytes
    headers: Mapping[str, str]


Route = Callable[..., Reply]


@dataclass(slots=True)
class Quirks:
    """How a platform behaves; each adds what its own documentation contradicts or leaves out."""

    loops: bool = False
    """Every page of a list is the first one again, and promises more."""


class HasSettings(Protocol):
    """A runtime, or whatever else carries an installation's settings."""

    @property
    def settings(self) -> Any: ...


def use_platform(installation: HasSettings, platform: FakePlatform) -> None:
    """Make the connections of ``installation`` reach ``platform`` instead of the real one."""
    installation.settings.platform_urls[platform.slug] = platform.url


class FakePlatform(abc.ABC):
    """A platform on 127.0.0.1, up inside ``async with`` (or between :meth:`start` and :meth:`stop`)."""

    slug: ClassVar[str]
    media_type: ClassVar[str] = "application/json"
    user_agent: ClassVar[str] = "rest-client"

    def __init__(self, *, port: int = 0) -> None:
        self.calls: list[Call] = []
        """Every request so far, oldest first."""
        self.pending: list[Delivery] = []
        """Webhooks that were not delivered yet, oldest first."""
        self.webhook_urls: list[str] = []
        """Addresses a person entered by hand in the platform's settings; they get every event."""
        self.trouble: list[Reply] = []
        """Replies to give instead of the next ones, first come first."""
        self.spoilt: list[Mapping[str, Any]] = []
        """What becomes of the next replies that are none of the trouble: fields of :class:`Reply`, first come first."""
        self.expired = False
        self._expires_in: int | None = None
        self._port = port
        self._first = 0
        self._movements: list[Movement] = []
        self._buyers: dict[str, Buyer] = {}
        self._buyers_by_id: dict[int, Buyer] = {}
        self._products: dict[tuple[str, bool], Product] = {}
        self._routes = [(method, re.compile(pattern), handler) for method, pattern, handler in self.routes()]
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    _next: dict[str, int]
    """The last number given out, by kind of object."""

    def count_from(self, first: int) -> Self:
        """Number everything new above ``first``, as a platform that sold before does: no id of an earlier run comes again."""
        self._first = first
        self._next = {kind: first + last for kind, last in self._next.items()}
        return self

    # -- up and down ---------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The base address, without a trailing slash."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Listen; the server runs in a thread of its own."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            log_level="critical",  # an answer that breaks off on purpose is no news
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, args=([listener],), name=f"fake-{self.slug}", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError(f"the fake {self.slug} did not start")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Stop listening; safe to repeat."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(START_TIMEOUT_S)
            self._server = self._thread = None

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    # -- answering -----------------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def routes(self) -> Iterable[tuple[str, str, Route]]:
        """Method, path pattern and handler; groups of the pattern are the handler's further arguments."""

    @abc.abstractmethod
    def refuse(self, call: Call) -> Reply | None:
        """The reply to a call without valid credentials, None when they are fine."""

    @abc.abstractmethod
    def error(self, status: int, message: str) -> Reply:
        """An error in the platform's own shape."""

    def throttle(self, times: int = 1, headers: Mapping[str, str] | None = None) -> None:
        """Answer the next ``times`` calls with 429."""
        self.trouble += [Reply(429, self.error(429, "API rate limit exceeded").body, headers or {})] * times

    def fail(self, times: int = 1, status: int = 503) -> None:
        """Answer the next ``times`` calls with ``status``."""
        self.trouble += [self.error(status, HTTPStatus(status).phrase)] * times

    def slow(self, seconds: float, times: int = 1) -> None:
        """Take ``seconds`` over the next ``times`` answers."""
        self.spoilt += [{"after_s": seconds}] * times

    def truncate(self, times: int = 1) -> None:
        """Break off in the middle of the next ``times`` answers."""
        self.spoilt += [{"broken_off": True}] * times

    def expire(self) -> None:
        """What callers hold stops working: the access token where there is one, else the key."""
        self.expired = True

    def expire_after(self, calls: int) -> None:
        """Call :meth:`expire` once ``calls`` more calls were answered: in the middle of a sync."""
        self._expires_in = calls

    def answer(self, call: Call) -> Reply:
        """The reply to one call: trouble first, then the credentials, then the route, spoilt where that was asked for."""
        self.calls.append(call)
        if self.trouble:
            return self.trouble.pop(0)
        if self._expires_in is not None:
            self._expires_in -= 1
            if self._expires_in < 0:
                self._expires_in = None
                self.expire()
        reply = self._routed(call)
        return replace(reply, **self.spoilt.pop(0)) if self.spoilt else reply

    def _routed(self, call: Call) -> Reply:
        refused = self.refuse(call)
        if refused is not None:
            return refused
        if self.expired:
            return self.error(401, "These credentials have expired")
        for method, pattern, handler in self._routes:
            found = pattern.fullmatch(call.path)
            if found and method == call.method:
                return handler(call, *found.groups())
        return self.error(404, "Not Found")

    async def _app(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        body = b""
        while True:
            message = await receive()
            assert message["type"] == "http.request"
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        call = Call(
            method=scope["method"],
            path=scope["path"],
            query=dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
            headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
            body=body,
        )
        reply = self.answer(call)
        content = reply.encoded()
        headers = [
            (b"content-type", self.media_type.encode()),
            (b"content-length", b"%d" % len(content)),
            *((k.encode(), v.encode()) for k, v in reply.headers.items()),
        ]
        if reply.after_s:
            await asyncio.sleep(reply.after_s)
        await send({"type": "http.response.start", "status": reply.status, "headers": headers, "trailers": False})
        sent = content[: len(content) // 2] if reply.broken_off else content
        await send({"type": "http.response.body", "body": sent, "more_body": False})

    # -- selling -------------------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def sell(
        self,
        email: str,
        amount_minor: int = 9_900,
        currency: str = "USD",
        *,
        product: str = "Example Course",
        name: str = "",
        at: datetime | None = None,
        recurring: bool = False,
        coupon: str | None = None,
    ) -> FakeSale:
        """Sell ``product``; 0 is a free enrolment. Webhooks the platform would push are put on ``pending``."""

    @abc.abstractmethod
    def renew(self, sale: FakeSale, *, at: datetime | None = None) -> FakeSale:
        """Charge the same again, under the same purchase."""

    @abc.abstractmethod
    def refund(self, sale: FakeSale, amount_minor: int | None = None, *, at: datetime | None = None) -> str | None:
        """Give ``amount_minor`` back (None: all that is left); returns the refund's id where the platform gives it one."""

    def ledger(self, since: datetime | None = None) -> Mapping[str, Book]:
        """The platform's own totals per currency, counted apart from anything it ever answered."""
        return totals(self._movements, since)

    def _book(self, amount_minor: int, currency: str, at: datetime) -> None:
        if amount_minor:
            self._movements.append(Movement(amount_minor, currency, at))

    def _book_back(self, amount_minor: int, currency: str, at: datetime) -> None:
        """What had gone back came again: a dispute that was won, a refund that failed."""
        self._movements.append(Movement(amount_minor, currency, at, reverses=True))

    def _buyer(self, email: str, name: str) -> Buyer:
        """The person of that address; without one, somebody new each time."""
        first = email.split("@", 1)[0].replace(".", " ").title()
        known = email.lower() or f"nameless {len(self._buyers)}"
        buyer = self._buyers.setdefault(known, Buyer(self._first + 501 + len(self._buyers), email, name or first))
        self._buyers_by_id[buyer.id] = buyer
        return buyer

    def _product(self, title: str, recurring: bool) -> Product:
        return self._products.setdefault(
            (title, recurring), Product(self._first + 33 + len(self._products), title, recurring)
        )

    # -- pushing -------------------------------------------------------------------------------------------------------

    def targets(self, event: str) -> list[str]:
        """Where a webhook of ``event`` goes when :meth:`deliver` is not told."""
        return list(self.webhook_urls)

    def push(self, event: str, payload: object) -> None:
        """Put a webhook on ``pending``."""
        headers = {"content-type": self.media_type, "user-agent": self.user_agent}
        self.pending.append(Delivery(event, msgspec.json.encode(payload), headers))

    def signed(self, delivery: Delivery) -> Mapping[str, str]:
        """The headers a webhook is sent with now; of a platform that signs, its signature too."""
        return delivery.headers

    async def deliver(
        self,
        to: str | None = None,
        *,
        http: httpx.AsyncClient | None = None,
        copies: int = 1,
        rng: random.Random | None = None,
    ) -> list[httpx.Response]:
        """Post every pending webhook, each ``copies`` times, shuffled by ``rng`` when given; returns what was answered.

        What gets no 2xx, or no answer at all, stays pending.
        """
        waiting, self.pending = self.pending, []
        posts = [(d, url) for d in waiting for url in ([to] if to else self.targets(d.event)) for _ in range(copies)]
        if rng is not None:
            rng.shuffle(posts)
        responses, kept = [], dict[int, Delivery]()
        async with contextlib.nullcontext(http) if http else httpx.AsyncClient(timeout=30) as client:
            for delivery, url in posts:
                try:
                    response = await client.post(url, content=delivery.body, headers=dict(self.signed(delivery)))
                except httpx.TransportError:
                    kept[id(delivery)] = delivery
                    continue
                responses.append(response)
                if not response.is_success:
                    kept[id(delivery)] = delivery
        self.pending = [*kept.values(), *self.pending]
        return responses


def moment(at: datetime | None) -> datetime:
    """``at``, or now, to the second: what platforms tell."""
    return (at or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)


def number(text: str | None, default: int) -> int:
    """A whole number from a query, ``default`` when it is none."""
    return int(text) if text and text.isdigit() else default
