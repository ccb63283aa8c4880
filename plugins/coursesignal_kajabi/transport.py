"""One request to Kajabi: the answer, or what went wrong in Kajabi's own words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeVar

import httpx
import msgspec

from coursesignal.plugin import Unavailable

T = TypeVar("T")
MEDIA_TYPE = "application/vnd.api+json"


class Refusal(Exception):
    """Kajabi refused a request; ``words`` are its own."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


async def send(http: httpx.AsyncClient, method: str, url: str, **options: Any) -> httpx.Response:
    """The answer, if it is a good one. Raises Refusal (4xx), Unavailable (no answer, 429, 5xx)."""
    try:
        response = await http.request(method, url, **options)
    except httpx.HTTPError as error:
        raise Unavailable("Kajabi does not answer.") from error
    if response.is_success:
        return response
    if response.status_code == 429:
        words = "Kajabi asks us to slow down (429)."
        raise Unavailable(words, retry_after=_retry_after(response))
    if response.status_code >= 500:
        raise Unavailable(f"Kajabi is down or busy ({response.status_code}).", retry_after=_retry_after(response))
    raise Refusal(response.status_code, _words(response))


def decoded(body: bytes, shape: type[T]) -> T:
    """The body as ``shape``; raises Unavailable for one that is not."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError as error:
        raise Unavailable("Kajabi sent an answer that is not readable.") from error


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
