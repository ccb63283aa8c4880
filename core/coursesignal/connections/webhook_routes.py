"""/api/webhooks/{platform}/{key}: the address a platform posts to; the key in it is the connection's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, get, head, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from coursesignal.auth.access import public
from coursesignal.connections import webhooks
from coursesignal.connections.refusals import Refusal
from coursesignal.connections.schemas import WebhookAnswer
from coursesignal.db.engine import Database
from coursesignal.errors import NotFound, Refused, TooLarge
from coursesignal.plugin import Connector, WebhookRequest
from coursesignal.security.keys import KeyRing
from coursesignal.web.limits import RateLimiter

MAX_BYTES = 1024 * 1024
PATH = "/api/webhooks/{platform:str}/{connection_key:str}"
Connectors = Mapping[str, Connector[Any]]


class UnknownEncoding(Refused):
    """The body is compressed: it is not unpacked here."""

    status = 415
    default_kind = "unsupported-encoding"
    default_title = "Send the body without Content-Encoding."


@post(
    PATH, status_code=202, summary="Take in a webhook", operation_id="receiveWebhook", tags=["webhooks"], opt=public()
)
async def receive(
    request: Request[Any, Any, Any],
    platform: FromPath[str],
    connection_key: FromPath[str],
    db: NamedDependency[Database],
    keys: NamedDependency[KeyRing],
    limiter: NamedDependency[RateLimiter],
    connectors: NamedDependency[Connectors],
) -> Response[WebhookAnswer]:
    connector = connectors.get(platform)
    if connector is None:
        raise NotFound
    door = await webhooks.knock(db, limiter, platform, connection_key, _caller(request))
    try:
        arrived = await _read(request)
    except (TooLarge, UnknownEncoding) as refused:
        reason = Refusal.TOO_LARGE if isinstance(refused, TooLarge) else Refusal.COMPRESSED
        await webhooks.turn_away(db, door, reason)
        raise
    if await webhooks.receive(db, keys.box, connector, door, arrived):
        return Response(WebhookAnswer(received=True), status_code=202)
    return Response(WebhookAnswer(duplicate=True), status_code=200)


@get(
    PATH,
    summary="Answer a platform that looks whether the address works",
    operation_id="probeWebhook",
    tags=["webhooks"],
    opt=public(),
)
async def probe(
    request: Request[Any, Any, Any],
    platform: FromPath[str],
    connection_key: FromPath[str],
    db: NamedDependency[Database],
    limiter: NamedDependency[RateLimiter],
) -> dict[str, str]:
    await webhooks.look(db, await webhooks.knock(db, limiter, platform, connection_key, _caller(request)))
    return {"status": "ready"}


@head(PATH, summary="The same without a body", operation_id="probeWebhookHead", tags=["webhooks"], opt=public())
async def probe_head(
    request: Request[Any, Any, Any],
    platform: FromPath[str],
    connection_key: FromPath[str],
    db: NamedDependency[Database],
    limiter: NamedDependency[RateLimiter],
) -> None:
    await webhooks.look(db, await webhooks.knock(db, limiter, platform, connection_key, _caller(request)))


async def _read(request: Request[Any, Any, Any]) -> WebhookRequest:
    """The request as it arrived, read no further than allowed. Raises TooLarge, UnknownEncoding."""
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise UnknownEncoding
    if int(request.headers.get("content-length", "0") or 0) > MAX_BYTES:
        raise TooLarge
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise TooLarge
    return WebhookRequest(
        body=bytes(body),
        headers={name.lower(): value for name, value in request.headers.items()},
        query={name: str(value) for name, value in request.query_params.items()},
        received_at=datetime.now(UTC),
    )


def _caller(request: Request[Any, Any, Any]) -> str:
    """Who asks, for counting wrong guesses."""
    return request.client.host if request.client else "unknown"


WEBHOOK_ROUTES = [receive, probe, probe_head]
