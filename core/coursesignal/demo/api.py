"""CourseSignal as its users reach it: over HTTP, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

import httpx

from coursesignal.errors import CourseSignalError

TIMEOUT_S = 30.0
POLL_S = 0.1
CONNECTIONS = 12
"""More do not bring more on a few cores; each is looked at before every request."""


class DemoFailed(CourseSignalError):
    """The demo cannot go on; the message says what was asked and what came back."""


class Api:
    """Calls of one caller. ``tenant`` is sent with every call."""

    def __init__(self, http: httpx.AsyncClient, *, token: str = "", refresh: str = "", tenant: str = "") -> None:
        self.http = http
        self._token = token
        self._refresh = refresh
        self._tenant = tenant

    async def login(self, email: str, password: str, *, tenant: str = "") -> Self:
        """A caller who has logged in, and stays so."""
        answer = await self.post("/api/auth/login", {"email": email, "password": password})
        return type(self)(self.http, token=answer["accessToken"], refresh=answer["refreshToken"], tenant=tenant)

    async def get(self, path: str, **params: Any) -> Any:
        return await self._call("GET", path, params=params)

    async def post(self, path: str, body: Any = None) -> Any:
        return await self._call("POST", path, json=body)

    async def put(self, path: str, body: Any) -> Any:
        return await self._call("PUT", path, json=body)

    async def patch(self, path: str, body: Any) -> Any:
        return await self._call("PATCH", path, json=body)

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        answer = await self._ask(method, path, **options)
        if answer.status_code == 401 and self._refresh:
            renewed = await self.http.post("/api/auth/refresh", json={"refreshToken": self._refresh})
            if renewed.is_success:
                self._token, self._refresh = renewed.json()["accessToken"], renewed.json()["refreshToken"]
                answer = await self._ask(method, path, **options)
        if not answer.is_success:
            raise DemoFailed(f"{method} {path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else None

    async def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        if self._tenant:
            headers["x-tenant"] = self._tenant
        return await self.http.request(method, path, headers=headers, **options)


@contextlib.asynccontextmanager
async def client(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP to a running server."""
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx.AsyncClient(base_url=base_url, timeout=TIMEOUT_S, limits=limits) as http:
        yield http


async def until(ask: Callable[[], Awaitable[bool]], timeout_s: float) -> bool:
    """Ask again and again until the answer is yes, or no longer than ``timeout_s``; returns the last answer."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        if await ask():
            return True
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(POLL_S)
