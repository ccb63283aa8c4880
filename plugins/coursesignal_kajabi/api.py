"""Kajabi's public API over HTTP: a token, tolerant pages, look-ups."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from coursesignal.plugin import AuthFailed, CredentialsRejected, Unavailable
from coursesignal_kajabi import paging
from coursesignal_kajabi.paging import Listing, Place
from coursesignal_kajabi.permissions import lacking
from coursesignal_kajabi.resources import Resource
from coursesignal_kajabi.settings import KajabiCredentials
from coursesignal_kajabi.tokens import TOKENS, account_of
from coursesignal_kajabi.transport import MEDIA_TYPE, Refusal, decoded, send

__all__ = ["KajabiApi", "Listing", "MayNot", "Refusal"]
LOOKUPS_AT_ONCE = 4
"""Kajabi tells no rate limit; few at a time is polite."""
MOST_PAGES = 1000
"""Of a list that is read as a whole."""


class _Token(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: int | None = None


class _One(msgspec.Struct, frozen=True):
    data: Resource


@dataclass(slots=True)
class KajabiApi:
    """Calls with an access token. One that ends before its time is replaced once."""

    http: httpx.AsyncClient
    base_url: str
    credentials: KajabiCredentials
    token: str = ""

    @classmethod
    async def log_in(cls, http: httpx.AsyncClient, base_url: str, credentials: KajabiCredentials) -> KajabiApi:
        """Trade the key for a token; one that was in use ends. Raises CredentialsRejected, Unavailable."""
        before = TOKENS.get(account_of(base_url, credentials))
        api = cls(http, base_url, credentials)
        await api._renew()
        if before is not None:
            with contextlib.suppress(Refusal, Unavailable):
                await api._end(before)
        return api

    @classmethod
    async def resume(cls, http: httpx.AsyncClient, base_url: str, credentials: KajabiCredentials) -> KajabiApi:
        """Go on with the token that still lasts, else log in. Raises AuthFailed, Unavailable."""
        known = TOKENS.get(account_of(base_url, credentials))
        if known is not None:
            return cls(http, base_url, credentials, known)
        try:
            return await cls.log_in(http, base_url, credentials)
        except CredentialsRejected as error:
            raise AuthFailed(_ended(error.__cause__)) from error

    async def _renew(self) -> None:
        account = account_of(self.base_url, self.credentials)
        form = {
            "grant_type": "client_credentials",
            "client_id": self.credentials.client_id,
            "client_secret": self.credentials.client_secret,
        }
        try:
            response = await send(self.http, "POST", f"{self.base_url}/v1/oauth/token", data=form)
        except Refusal as refusal:
            TOKENS.drop(account)
            raise CredentialsRejected("clientSecret", _wrong(refusal)) from refusal
        told = decoded(response.content, _Token)
        self.token = told.access_token
        TOKENS.keep(account, told.access_token, told.expires_in)

    async def revoke(self) -> None:
        """End the token. Raises Refusal, Unavailable."""
        TOKENS.drop(account_of(self.base_url, self.credentials))
        await self._end(self.token)

    async def _end(self, token: str) -> None:
        headers = {"authorization": f"Bearer {self.token}"}
        await send(self.http, "POST", f"{self.base_url}/v1/oauth/revoke", headers=headers, data={"token": token})

    async def request(self, method: str, path: str, **options: Any) -> bytes:
        """The body of the answer. Raises AuthFailed (401), Refusal (other 4xx), Unavailable."""
        token = self.token
        try:
            return await self._call(method, path, options)
        except Refusal as refusal:
            if refusal.status != 401:
                raise
        try:
            if self.token == token:  # nobody beside us has replaced it yet
                await self._renew()
            return await self._call(method, path, options)
        except CredentialsRejected as rejected:
            raise AuthFailed(_ended(rejected.__cause__)) from rejected
        except Refusal as refusal:
            if refusal.status == 401:
                raise AuthFailed(_ended(refusal)) from refusal
            raise

    async def _call(self, method: str, path: str, options: Mapping[str, Any]) -> bytes:
        headers = {"authorization": f"Bearer {self.token}", "accept": MEDIA_TYPE, "content-type": MEDIA_TYPE}
        return (await send(self.http, method, self.base_url + path, headers=headers, **options)).content

    async def page(self, path: str, params: Mapping[str, str], cursor: str | None, size: int) -> Listing:
        """The page at ``cursor`` (None: the first). Raises AuthFailed, Unavailable."""
        place = Place.of(cursor)
        query = {**params, "page[number]": str(place.number), "page[size]": str(size)}
        body = decoded(await self.read(path, params=query), paging.Body)
        return paging.listing(path, place, body)

    async def rows(self, path: str, params: Mapping[str, str], size: int) -> AsyncIterator[Resource]:
        """Every row of a list. Raises AuthFailed, Unavailable."""
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            listing = await self.page(path, params, cursor, size)
            for row in listing.rows:
                yield row
            cursor = listing.cursor
            if cursor is None:
                return
        raise Unavailable(f"Kajabi's list {path} has no end.")

    async def look_up(self, path: str, keys: Iterable[str]) -> dict[str, Resource]:
        """The resources ``path``/key that exist, by id. Raises AuthFailed, Unavailable."""
        turns = asyncio.Semaphore(LOOKUPS_AT_ONCE)

        async def one(key: str) -> Resource | None:
            async with turns:
                return await self._find(path, key)

        wanted = sorted(set(keys))
        found = await asyncio.gather(*(one(key) for key in wanted))
        return {key: row for key, row in zip(wanted, found, strict=True) if row is not None}

    async def _find(self, path: str, key: str) -> Resource | None:
        with contextlib.suppress(_Absent):
            return decoded(await self.read(f"{path}/{key}"), _One).data
        return None

    async def read(self, path: str, **options: Any) -> bytes:
        """What is at ``path``. Raises AuthFailed, MayNot without the permission for it, Unavailable."""
        try:
            return await self.request("GET", path, **options)
        except Refusal as refusal:
            if refusal.status == 403:
                raise MayNot(path, refusal.words) from refusal
            absent = refusal.status == 404
            words = f"Kajabi says: {refusal.words} If this stays, connect again with fewer rows per request."
            raise (_Absent if absent else Unavailable)(words) from refusal


class MayNot(AuthFailed):
    """The key is fine but lacks a permission; ``words`` are Kajabi's own."""

    def __init__(self, path: str, words: str) -> None:
        super().__init__(lacking([path], words))
        self.words = words


class _Absent(Unavailable):
    """There is nothing at that address."""


def _words(error: BaseException | None) -> str:
    return error.words if isinstance(error, Refusal) else ""


def _wrong(refusal: Refusal) -> str:
    """Of a key that never worked. Kajabi answers a plan without API just like a wrong key."""
    return (
        f"Kajabi refuses this key: {refusal.words} Copy the key and its secret again from Settings > Public API. If they are "
        "right, the plan lacks the Public API: it comes with the Pro plan, or as an add-on."
    )


def _ended(error: BaseException | None) -> str:
    """Of a key that worked before."""
    return (
        f"Kajabi refuses the key: {_words(error)} It was rotated or deleted, or the plan lost the Public API. Make a key in "
        "Settings > Public API. Connect again with a valid key."
    )
