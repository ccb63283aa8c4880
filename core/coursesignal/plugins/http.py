"""The HTTP client of a plugin: timeouts, a few connection retries, and only the hosts its manifest names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx

from coursesignal.plugin import HostRefused

TIMEOUT = httpx.Timeout(20.0, connect=5.0, pool=5.0)
CONNECT_RETRIES = 2
LIMITS = httpx.Limits(max_connections=50, max_keepalive_connections=10, keepalive_expiry=30)

_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncHTTPTransport] = WeakKeyDictionary()


def client(slug: str, may_reach: Callable[[str], bool], override: str | None, base_url: str = "") -> httpx.AsyncClient:
    """A client for one context. It shares connections with all others of the process, but no cookies.

    ``override`` is the operator's address for the plugin's platform; it is allowed whatever the manifest says.
    """
    return httpx.AsyncClient(
        transport=_Gate(slug, may_reach, override),
        base_url=base_url,
        timeout=TIMEOUT,
        trust_env=False,
        follow_redirects=False,
    )


class _Gate(httpx.AsyncBaseTransport):
    """Lets requests to named hosts through to the shared pool; every hop of a redirect passes here."""

    def __init__(self, slug: str, may_reach: Callable[[str], bool], override: str | None) -> None:
        self._slug = slug
        self._may_reach = may_reach
        self._override = _origin(override) if override else None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        overridden = self._override == _origin(str(url))
        if not overridden and not (url.scheme == "https" and self._may_reach(url.host)):
            raise HostRefused(
                f"plugin {self._slug!r}: {url.scheme}://{url.host} is not among its hosts. "
                f'Add "{url.host}" to hosts in its plugin.toml and use https.'
            )
        return await _pool().handle_async_request(request)

    async def aclose(self) -> None:
        """The pool outlives the client."""


def _pool() -> httpx.AsyncHTTPTransport:
    """The connections of the running event loop."""
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        pool = _pools[loop] = httpx.AsyncHTTPTransport(retries=CONNECT_RETRIES, limits=LIMITS, trust_env=False)
    return pool


def _origin(url: str) -> tuple[Any, ...]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
