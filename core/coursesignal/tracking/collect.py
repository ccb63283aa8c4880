"""The outer ASGI application: answers the public tracking paths itself, before Litestar's layers, and hands on everything else.

A submission goes through named steps: read, parse, find the site, spend its rate, stamp, commit, answer. Nothing that can wait
for the pipeline happens here.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import msgspec

from coursesignal.db.engine import Database
from coursesignal.errors import BadRequest, RateLimited, Refused
from coursesignal.security.keys import KeyRing
from coursesignal.settings import Settings
from coursesignal.tracking import script
from coursesignal.tracking.bucket import TokenBuckets
from coursesignal.tracking.commit import GroupCommit
from coursesignal.tracking.intake import Sender, Site, Stamped, parse, stamp, utc_now
from coursesignal.tracking.links import MARK
from coursesignal.tracking.modes import Adjusted, Modes
from coursesignal.tracking.networks import Networks
from coursesignal.tracking.reasons import DropReason
from coursesignal.tracking.schemas import CollectOut, CollectToldOut
from coursesignal.tracking.sitecache import SiteCache
from coursesignal.tracking.urls import host_of
from coursesignal.tracking.wire import (
    ANY_ORIGIN,
    JSON,
    Application,
    ClientGone,
    Receive,
    Scope,
    Send,
    read_body,
    respond,
    respond_method_not_allowed,
    respond_refused,
)

EVENT_PATH = "/api/tracking/event"
HEALTH_PATH = "/api/tracking/health"
SCRIPT_PATH = "/t.js"
MAX_USER_AGENT = 512

_NO_STORE = (b"cache-control", b"no-store")
_PREFLIGHT = [
    ANY_ORIGIN,
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"content-type"),
    (b"access-control-max-age", b"86400"),
]
_ANSWER = [JSON, ANY_ORIGIN, _NO_STORE]
_SCRIPT = [
    (b"content-type", b"text/javascript; charset=utf-8"),
    (b"cache-control", script.CACHE_CONTROL.encode()),
    (b"etag", b"W/" + script.ETAG.encode()),
    (b"vary", b"accept-encoding"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    ANY_ORIGIN,
]
_GZIPPED = (b"content-encoding", b"gzip")
_MEDIA_TYPES = (b"application/json", b"text/plain")
_encode = msgspec.json.Encoder().encode


class CollectApp:
    """Wraps the Litestar application ``inner``; one per process."""

    def __init__(self, inner: Application, database: Database, keys: KeyRing, settings: Settings) -> None:
        self._inner = inner
        self._sites = SiteCache(database)
        self._commit = GroupCommit(database)
        self._buckets = TokenBuckets(settings.collect_rate)
        self._ip_key = keys.hash_key[:64]
        self._modes = Modes(database, keys)
        self._networks = Networks(settings.geoip_database, settings.asn_database)
        self._doors: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = {
            EVENT_PATH: self._event,
            HEALTH_PATH: _health,
            SCRIPT_PATH: _script,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            door = self._doors.get(scope["path"])
            if door is not None:
                await door(scope, receive, send)
                return
        elif scope["type"] == "lifespan":
            receive = self._stop_before_shutdown(receive)
        await self._inner(scope, receive, send)

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Start and stop with the inner application, for use without an ASGI server."""
        async with self._inner.lifespan():
            try:
                yield
            finally:
                await self._commit.close()

    def _stop_before_shutdown(self, receive: Receive) -> Receive:
        """Flush what is pending while the inner application, and with it the database, is still up."""

        async def receive_and_stop() -> Mapping[str, Any]:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._commit.close()
            return message

        return receive_and_stop

    async def _event(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /api/tracking/event."""
        method = scope["method"]
        if method == "OPTIONS":
            await respond(send, 204, _PREFLIGHT)
            return
        if method != "POST":
            await respond_method_not_allowed(send, "POST, OPTIONS")
            return
        try:
            body = await self._take_in(scope, receive)
        except Refused as refused:
            await respond_refused(send, refused)
        except ClientGone:
            return
        else:
            await respond(send, 202, _ANSWER, body)

    async def _take_in(self, scope: Scope, receive: Receive) -> bytes:
        """Store a submission and return the answer's body."""
        length, user_agent, origin = _headers(scope)
        body = await read_body(receive, length)
        submission, events = parse(body)
        site = await self._sites.find(submission.site_key)
        if site is None:
            await self._commit.store((), ())  # as long a wait as for a known key, and nothing stored
            return _encode(CollectOut(len(events)))
        self._spend(site)
        sender = Sender(user_agent, self._ip_hash(scope, site), origin, self._networks.of(_address(scope)))
        now = utc_now()
        adjusted: Adjusted | None = None
        if site.cookieless or site.linked_hosts or MARK in body:
            adjusted = await self._modes.adjust(submission, events, site, sender, _address(scope), now)
            submission, events, sender = adjusted.submission, adjusted.events, adjusted.sender
        found = stamp(submission, events, site, sender, now, may_hold_nul=b"\\u0000" in body)
        counted = [(site, drop.reason) for drop in found.dropped] + [(site, reason.value) for reason in found.corrected]
        if adjusted is not None and adjusted.ignored is not None:
            counted.append((site, adjusted.ignored.value))
        await self._commit.store(found.rows, counted)
        return _encode(_answer(found, adjusted))

    def _spend(self, site: Site) -> None:
        """Let the request pass within the site's rate, or count it and raise RateLimited."""
        wait_s = self._buckets.take(site.id, time.monotonic())
        if wait_s:
            self._commit.count((site, DropReason.RATE_LIMITED.value))
            raise RateLimited(retry_after_s=max(1, round(wait_s)))

    def _ip_hash(self, scope: Scope, site: Site) -> bytes:
        """The address is never stored: a keyed hash of it is, another in every tenant."""
        address = _address(scope)
        return hashlib.blake2b(address.encode() + site.tenant_id.bytes, key=self._ip_key, digest_size=16).digest()


def _answer(found: Stamped, adjusted: Adjusted | None) -> CollectOut:
    if adjusted is None:
        return CollectOut(len(found.rows), tuple(found.dropped))
    return CollectToldOut(len(found.rows), tuple(found.dropped), adjusted.visitor_id, adjusted.link, adjusted.hosts)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _headers(scope: Scope) -> tuple[int | None, str, str]:
    """Declared length, user agent and the Origin's host; raises BadRequest for a body we cannot read."""
    length: int | None = None
    user_agent = origin = ""
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = int(value) if value.isdigit() else None
        elif name == b"content-type":
            _check_media_type(value)
        elif name == b"user-agent":
            user_agent = value[:MAX_USER_AGENT].decode("latin-1").replace("\x00", "")
        elif name == b"origin":
            origin = host_of(value.decode("latin-1"))
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise _Unsupported("Send the body uncompressed.")
    return length, user_agent, origin


def _check_media_type(value: bytes) -> None:
    media_type = value.partition(b";")[0].strip().lower()
    if media_type and media_type not in _MEDIA_TYPES:
        raise _Unsupported("Send the body as application/json or text/plain.")


class _Unsupported(BadRequest):
    """The body is in a format this endpoint does not read."""

    status = 415
    default_kind = "unsupported-media-type"


async def _health(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /api/tracking/health."""
    if await _reads(scope, send):
        await respond(send, 200, _ANSWER, _body_unless_head(scope, b'{"status":"ok"}'))


async def _script(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /t.js."""
    if not await _reads(scope, send):
        return
    sent = dict(scope["headers"])
    if script.ETAG.encode() in sent.get(b"if-none-match", b""):
        await respond(send, 304, _SCRIPT)
    elif b"gzip" in sent.get(b"accept-encoding", b""):
        await respond(send, 200, [*_SCRIPT, _GZIPPED], _body_unless_head(scope, script.TRACKER_GZIPPED))
    else:
        await respond(send, 200, _SCRIPT, _body_unless_head(scope, script.TRACKER))


async def _reads(scope: Scope, send: Send) -> bool:
    """Whether the method is GET or HEAD; answers 405 when not."""
    if scope["method"] in ("GET", "HEAD"):
        return True
    await respond_method_not_allowed(send, "GET, HEAD")
    return False


def _body_unless_head(scope: Scope, body: bytes) -> bytes:
    return b"" if scope["method"] == "HEAD" else body
