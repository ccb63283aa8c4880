"""Teachable's Admin API over HTTP: pages with meta, look-ups, errors in Teachable's own words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import httpx
import msgspec

from coursesignal.plugin import AuthFailed, Unavailable
from coursesignal_teachable.money import Key, Transaction

LOOKUPS_AT_ONCE = 4
T = TypeVar("T")


class Meta(msgspec.Struct, frozen=True):
    """Where in a list a page is."""

    page: int | None = None
    number_of_pages: int | None = None
    total: int | None = None


class TransactionPage(msgspec.Struct, frozen=True):
    """A page of ``/transactions``."""

    transactions: list[Transaction]
    meta: Meta = Meta()


class User(msgspec.Struct, frozen=True):
    """A student."""

    id: Key
    email: str | None = None
    name: str | None = None


class PricingPlan(msgspec.Struct, frozen=True):
    """What was bought."""

    id: Key
    name: str | None = None


class UserPage(msgspec.Struct, frozen=True):
    """A page of ``/users``."""

    users: list[User]
    meta: Meta = Meta()


class PricingPlanPage(msgspec.Struct, frozen=True):
    """A page of ``/pricing_plans``."""

    pricing_plans: list[PricingPlan]
    meta: Meta = Meta()


class Webhook(msgspec.Struct, frozen=True):
    """An address that somebody entered in Settings > Webhooks, for one event."""

    id: Key
    url: str | None = None
    event_trigger: str | None = None
    workflow_state: str | None = None


class WebhookPage(msgspec.Struct, frozen=True):
    """A page of ``/webhooks``."""

    webhooks: list[Webhook]
    meta: Meta = Meta()


class WebhookEvent(msgspec.Struct, frozen=True):
    """A delivery, and how it was answered; null for one that was not."""

    object_id: Key | None = None
    object_type: str | None = None
    created_at: datetime | None = None
    response_http_status: int | None = None


class WebhookEventPage(msgspec.Struct, frozen=True):
    """A page of ``/webhooks/{id}/events``."""

    events: list[WebhookEvent]
    meta: Meta = Meta()


class _Words(msgspec.Struct, frozen=True):
    message: str | list[str] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TeachableApi:
    """Calls with one school's key: at most 100 a minute, and a monthly budget, so each page asks for a thing once."""

    http: httpx.AsyncClient
    base_url: str
    api_key: str

    async def page(self, path: str, shape: type[T], number: int, per: int, **params: str) -> T:
        """A page of a list. Raises AuthFailed, Unavailable."""
        response = await self._get(path, {**params, "page": str(number), "per": str(per)})
        return _decoded(response.content, shape)

    async def users(self, keys: Iterable[Key]) -> dict[str, User]:
        """The students that exist, by id. Raises AuthFailed, Unavailable."""
        return await self._look_up("/v1/users", "user", keys, User)

    async def pricing_plans(self, keys: Iterable[Key]) -> dict[str, PricingPlan]:
        """The pricing plans that exist, by id. Raises AuthFailed, Unavailable."""
        return await self._look_up("/v1/pricing_plans", "pricing_plan", keys, PricingPlan)

    async def _look_up(self, path: str, name: str, keys: Iterable[Key], shape: type[T]) -> dict[str, T]:
        turns = asyncio.Semaphore(LOOKUPS_AT_ONCE)

        async def one(key: str) -> T | None:
            async with turns:
                response = await self._get(f"{path}/{key}", {}, missing_ok=True)
                return None if response.status_code == 404 else _unwrapped(response.content, name, shape)

        wanted = sorted({str(key) for key in keys})
        found = await asyncio.gather(*(one(key) for key in wanted))
        return {key: row for key, row in zip(wanted, found, strict=True) if row is not None}

    async def _get(self, path: str, params: Mapping[str, str], *, missing_ok: bool = False) -> httpx.Response:
        """The answer, if it is a good one. Raises AuthFailed (401, 403), Unavailable (anything else)."""
        headers = {"apiKey": self.api_key, "accept": "application/json"}
        try:
            response = await self.http.get(self.base_url + path, params=params, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable("Teachable does not answer.") from error
        if response.is_success or (missing_ok and response.status_code == 404):
            return response
        raise _failure(response)


_MEND = {
    401: "It was deleted or is not whole: copy it again from Settings > API Keys, and connect with it.",
    403: "The school's plan may lack the API (Growth and above have it), or the key is not the owner's: connect with another.",
}
"""What a creator can do about an answer."""


def _failure(response: httpx.Response) -> Exception:
    words = _words(response)
    if response.status_code in (401, 403):
        return AuthFailed(f"Teachable refuses the key: {words} {_MEND[response.status_code]}")
    if response.status_code >= 500:
        return Unavailable(f"Teachable is down or busy ({response.status_code}).", retry_after=_wait(response))
    return Unavailable(f"Teachable says: {words}", retry_after=_wait(response))


def _wait(response: httpx.Response) -> timedelta | None:
    """``RateLimit-Reset`` is in seconds to wait, not a time."""
    seconds = response.headers.get("ratelimit-reset") or response.headers.get("retry-after", "")
    return timedelta(seconds=int(seconds)) if seconds.isdigit() else None


def _words(response: httpx.Response) -> str:
    """What Teachable itself says is wrong, as one sentence."""
    try:
        told = msgspec.json.decode(response.content, type=_Words)
    except msgspec.DecodeError:
        told = _Words()
    message = "; ".join(told.message) if isinstance(told.message, list) else told.message
    text = message or told.error or f"HTTP {response.status_code}"
    return text[:300] if text.endswith(".") else f"{text[:300]}."


def _unwrapped(body: bytes, name: str, shape: type[T]) -> T:
    """A single resource, bare or under its name: the transcriptions of the documentation differ."""
    fields: Mapping[str, Any] = _decoded(body, dict[str, Any])
    inner = fields.get(name)
    try:
        return msgspec.convert(inner if isinstance(inner, Mapping) else fields, shape)
    except msgspec.ValidationError as error:
        raise Unavailable("Teachable sent an answer that is not readable.") from error


def _decoded(body: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError as error:
        raise Unavailable("Teachable sent an answer that is not readable.") from error
