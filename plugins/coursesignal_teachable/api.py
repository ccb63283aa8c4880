"""Teachable's Admin API over HTTP: pages with meta, look-ups, errors in Teachable's own words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
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


class _Words(msgspec.Struct, frozen=True):
    message: str | list[str] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TeachableApi:
    """Calls with one school's key: at most 100 a minute, and a monthly budget, so each page asks for a thing once."""

    http: httpx.AsyncClient
    base_url: str
    api_key: str

    async def transactions(self, params: Mapping[str, str], page: int, per: int) -> TransactionPage:
        """One page. Raises AuthFailed, Unavailable."""
        query = {**params, "page": str(page), "per": str(per)}
        response = await self._get("/v1/transactions", query)
        return _decoded(response.content, TransactionPage)

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


def _failure(response: httpx.Response) -> Exception:
    words = _words(response)
    if response.status_code in (401, 403):
        return AuthFailed(f"Teachable refuses the key: {words} Connect again with a valid one.")
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
