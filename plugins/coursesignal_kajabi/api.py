"""Kajabi's public API over HTTP: a token, tolerant pages, errors in Kajabi's own words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec

from coursesignal.plugin import AuthFailed, CredentialsRejected, Unavailable
from coursesignal_kajabi.resources import Resource
from coursesignal_kajabi.settings import KajabiCredentials

T = TypeVar("T")
MEDIA_TYPE = "application/vnd.api+json"
LOOKUPS_AT_ONCE = 4
"""Kajabi tells no rate limit; few at a time is polite."""


class Refusal(Exception):
    """Kajabi refused a request; ``words`` are its own."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class _Token(msgspec.Struct, frozen=True):
    access_token: str


class _One(msgspec.Struct, frozen=True):
    data: Resource


class _Many(msgspec.Struct, frozen=True):
    data: list[Resource]
    links: Mapping[str, Any] = {}
    meta: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list; ``cursor`` is None on the last one."""

    rows: Sequence[Resource]
    cursor: str | None
    total: int | None


@dataclass(slots=True)
class KajabiApi:
    """Calls with an access token, good for two hours: open one per piece of work. One that ends before is replaced once."""

    http: httpx.AsyncClient
    base_url: str
    credentials: KajabiCredentials
    token: str = ""

    @classmethod
    async def log_in(cls, http: httpx.AsyncClient, base_url: str, credentials: KajabiCredentials) -> KajabiApi:
        """Trade the key for a token. Raises CredentialsRejected, Unavailable."""
        api = cls(http, base_url, credentials)
        await api._renew()
        return api

    async def _renew(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.credentials.client_id,
            "client_secret": self.credentials.client_secret,
        }
        try:
            response = await _send(self.http, "POST", f"{self.base_url}/v1/oauth/token", data=form)
            self.token = msgspec.json.decode(response.content, type=_Token).access_token
        except Refusal as refusal:
            raise CredentialsRejected("clientSecret", f"Kajabi refuses this key: {refusal.words}") from refusal
        except msgspec.DecodeError as error:
            raise Unavailable("Kajabi sent an answer that is not readable.") from error

    async def request(self, method: str, path: str, **options: Any) -> bytes:
        """The body of the answer. Raises AuthFailed (401, 403), Refusal (other 4xx), Unavailable."""
        token = self.token
        try:
            return await self._call(method, path, options)
        except Refusal as refusal:
            if refusal.status != 401:
                raise
            ended = refusal
        try:
            if self.token == token:  # nobody beside us has replaced it yet
                await self._renew()
            return await self._call(method, path, options)
        except CredentialsRejected as rejected:
            raise AuthFailed(f"{rejected} Connect again with a valid key.") from rejected
        except Refusal as refusal:
            if refusal.status == 401:
                raise AuthFailed(f"Kajabi refuses the key: {ended.words} Connect again with a valid key.") from refusal
            raise

    async def _call(self, method: str, path: str, options: Mapping[str, Any]) -> bytes:
        headers = {"authorization": f"Bearer {self.token}", "accept": MEDIA_TYPE, "content-type": MEDIA_TYPE}
        return (await _send(self.http, method, self.base_url + path, headers=headers, **options)).content

    async def page(self, path: str, params: Mapping[str, str], cursor: str | None, size: int) -> Listing:
        """The page at ``cursor`` (None: the first). Raises AuthFailed, Unavailable."""
        number, _, first_key = (cursor or "1").partition(":")
        query = {**params, "page[number]": number, "page[size]": str(size)}
        many = await self._read(path, query)
        return Listing(many.data, _next_cursor(many, int(number), first_key), _total(many.meta))

    async def look_up(self, path: str, keys: Iterable[str]) -> dict[str, Resource]:
        """The resources ``path``/key that exist, by id. Raises AuthFailed, Unavailable."""
        turns = asyncio.Semaphore(LOOKUPS_AT_ONCE)

        async def one(key: str) -> Resource | None:
            async with turns:
                return await self._find(f"{path}/{key}")

        wanted = sorted(set(keys))
        found = await asyncio.gather(*(one(key) for key in wanted))
        return {key: row for key, row in zip(wanted, found, strict=True) if row is not None}

    async def _find(self, path: str) -> Resource | None:
        try:
            body = await self.request("GET", path)
        except Refusal as refusal:
            if refusal.status == 404:
                return None
            raise _stuck(refusal) from refusal
        return _decoded(body, _One).data

    async def _read(self, path: str, params: Mapping[str, str]) -> _Many:
        try:
            return _decoded(await self.request("GET", path, params=params), _Many)
        except Refusal as refusal:
            raise _stuck(refusal) from refusal


def _decoded(body: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError as error:
        raise Unavailable("Kajabi sent an answer that is not readable.") from error


def _stuck(refusal: Refusal) -> Exception:
    """What a refusal while reading means: a missing permission, else trouble on their side."""
    if refusal.status == 403:
        mend = "Give the key the permissions view:transactions, view:purchases and view:orders, then connect again."
        return AuthFailed(f"Kajabi says: {refusal.words} {mend}")
    return Unavailable(f"Kajabi says: {refusal.words}")


async def _send(http: httpx.AsyncClient, method: str, url: str, **options: Any) -> httpx.Response:
    """The answer, if it is a good one. Raises Refusal (4xx), Unavailable (no answer, 429, 5xx)."""
    try:
        response = await http.request(method, url, **options)
    except httpx.HTTPError as error:
        raise Unavailable("Kajabi does not answer.") from error
    if response.is_success:
        return response
    if response.status_code == 429 or response.status_code >= 500:
        raise Unavailable(f"Kajabi is busy ({response.status_code}).", retry_after=_retry_after(response))
    raise Refusal(response.status_code, _words(response))


def _retry_after(response: httpx.Response) -> timedelta | None:
    seconds = response.headers.get("retry-after", "")
    return timedelta(seconds=int(seconds)) if seconds.isdigit() else None


class _Problem(msgspec.Struct, frozen=True):
    title: str | None = None
    detail: str | None = None


class _Problems(msgspec.Struct, frozen=True):
    errors: list[_Problem] = []
    error: str | None = None
    error_description: str | None = None


def _words(response: httpx.Response) -> str:
    """What Kajabi itself says is wrong, as one sentence."""
    try:
        told = msgspec.json.decode(response.content, type=_Problems)
    except msgspec.DecodeError:
        told = _Problems()
    details = [problem.detail or problem.title or "" for problem in told.errors]
    text = "; ".join(filter(None, details)) or told.error_description or told.error or f"HTTP {response.status_code}"
    return text[:300] if text.endswith(".") else f"{text[:300]}."


def _next_cursor(page: _Many, number: int, first_key_before: str) -> str | None:
    """Where the next page is: the official pages contradict each other on links and meta.

    ``links.next`` decides when any paging link is there; else the page count in meta; else pages are asked for until one is
    empty or repeats.
    """
    first_key = str(page.data[0].id) if page.data else ""
    if not page.data or first_key == first_key_before:
        return None
    following, pages = page.links.get("next"), _total_pages(page.meta)
    if following:
        return f"{max(_page_number(str(following)), number + 1)}:{first_key}"
    is_last = number >= pages if pages is not None else bool(page.links.get("last") or page.links.get("first"))
    return None if is_last else f"{number + 1}:{first_key}"


def _page_number(link: str) -> int:
    numbers = parse_qs(urlsplit(link).query).get("page[number]", ["0"])
    return int(numbers[0]) if numbers[0].isdigit() else 0


def _total_pages(meta: Mapping[str, Any]) -> int | None:
    value = meta.get("total_pages")
    return value if isinstance(value, int) else None


def _total(meta: Mapping[str, Any]) -> int | None:
    for name in ("total_count", "total"):
        value = meta.get(name)
        if isinstance(value, int):
            return value
    return None
