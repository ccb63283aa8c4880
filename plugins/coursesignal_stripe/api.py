"""Stripe's API over HTTP: lists, the account behind a key, and errors in Stripe's own words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import httpx
import msgspec

from coursesignal.plugin import Account, PluginError, Unavailable
from coursesignal_stripe.objects import Listed

VERSION = "2026-06-24.dahlia"
"""The API version whose shapes are asked for; webhooks come in the version of their endpoint."""
PAGE_SIZE = 100
T = TypeVar("T")
_ACCOUNT = re.compile(r"acct_[A-Za-z0-9]+")
_PERMISSION = re.compile(r"rak_[a-z0-9_]+")


class KeyRefused(PluginError):
    """Stripe does not take the key at all (401)."""


class MayNot(PluginError):
    """The key is fine but lacks a permission (403); ``account`` is whose it is, where Stripe says so."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        named = _ACCOUNT.search(words)
        self.account = named[0] if named else None
        self.permissions = _PERMISSION.findall(words)


class _Error(msgspec.Struct, frozen=True):
    message: str | None = None
    code: str | None = None
    type: str | None = None


class _Failure(msgspec.Struct, frozen=True):
    error: _Error | str | None = None


class _Profile(msgspec.Struct, frozen=True):
    name: str | None = None


class _Dashboard(msgspec.Struct, frozen=True):
    display_name: str | None = None


class _AccountSettings(msgspec.Struct, frozen=True):
    dashboard: _Dashboard | None = None


class _Account(msgspec.Struct, frozen=True):
    id: str
    email: str | None = None
    business_profile: _Profile | None = None
    settings: _AccountSettings | None = None

    @property
    def name(self) -> str:
        """As the dashboard shows it, else the business's name."""
        shown = self.settings.dashboard.display_name if self.settings and self.settings.dashboard else None
        return shown or (self.business_profile.name if self.business_profile else None) or self.email or self.id


@dataclass(frozen=True, slots=True)
class StripeApi:
    """Calls with one account's key; every call only reads."""

    http: httpx.AsyncClient
    base_url: str
    key: str

    async def account(self) -> Account:
        """Whose key it is. Raises KeyRefused, MayNot (most restricted keys may not ask), Unavailable."""
        found = _decoded(await self._get("/v1/account", {}), _Account)
        return Account(id=found.id, name=found.name)

    async def page(self, path: str, params: Mapping[str, str], after: str | None, shape: type[T]) -> Listed[T]:
        """The page of a list that follows the object ``after``, newest first. Raises KeyRefused, MayNot, Unavailable."""
        query = {"limit": str(PAGE_SIZE), **params}
        if after is not None:
            query["starting_after"] = after
        return _decoded(await self._get(path, query), Listed[shape])  # type: ignore[valid-type]

    async def _get(self, path: str, params: Mapping[str, str]) -> bytes:
        headers = {"authorization": f"Bearer {self.key}", "stripe-version": VERSION, "accept": "application/json"}
        try:
            response = await self.http.get(self.base_url + path, params=params, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable("Stripe does not answer.") from error
        if not response.is_success:
            raise _failure(response)
        return response.content


def _failure(response: httpx.Response) -> PluginError:
    words = _words(response)
    if response.status_code == 401:
        return KeyRefused(words)
    if response.status_code == 403:
        return MayNot(words)
    return Unavailable(f"Stripe says: {words}", retry_after=_wait(response))


def _wait(response: httpx.Response) -> timedelta | None:
    seconds = response.headers.get("retry-after", "")
    return timedelta(seconds=int(seconds)) if seconds.isascii() and seconds.isdigit() and len(seconds) < 7 else None


def _words(response: httpx.Response) -> str:
    """What Stripe itself says is wrong, as one sentence."""
    try:
        error = msgspec.json.decode(response.content, type=_Failure).error
    except msgspec.DecodeError:
        error = None
    told = error if isinstance(error, str) else (error.message or error.code) if error else None
    text = " ".join((told or f"HTTP {response.status_code}").split())[:400]
    return text if text.endswith(".") else f"{text}."


def _decoded(body: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError as error:
        raise Unavailable("Stripe sent an answer that is not readable.") from error
