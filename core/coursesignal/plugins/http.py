"""The HTTP client of a plugin: timeouts, a few connection retries, and only the hosts its manifest names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakKeyDictionary

import httpx

from coursesignal import __version__
from coursesignal.plugin import HostRefused
from coursesignal.plugins.loaded import LoadedPlugin

TIMEOUT = httpx.Timeout(20.0, connect=5.0, pool=5.0)
CONNECT_RETRIES = 2
LIMITS = httpx.Limits(max_connections=50, max_keepalive_connections=10, keepalive_expiry=30)

_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncHTTPTransport] = WeakKeyDictionary()


def client(plugin: LoadedPlugin, override: str | None) -> httpx.AsyncClient:
    """A client for one context. It shares connections with all others of the process, but no cookies.

    ``override`` is the operator's address for a demo or a test: every host of the manifest is then reached there. Relative
    addresses are those of the plugin's connector.
    """
    connectors = plugin.declared.connectors
    return httpx.AsyncClient(
        transport=_Gate(plugin.slug, plugin.manifest.reaches, override),
        base_url=connectors[0].api_url if connectors else "",
        headers={"user-agent": f"CourseSignal/{__version__} ({plugin.slug} {plugin.manifest.version})"},
        timeout=TIMEOUT,
        trust_env=False,
        follow_redirects=False,
    )


class _Gate(httpx.AsyncBaseTransport):
    """Lets requests to named hosts through to the shared pool; every hop of a redirect passes here."""

    def __init__(self, slug: str, may_reach: Callable[[str], bool], override: str | None) -> None:
        self._slug = slug
        self._may_reach = may_reach
        self._override = httpx.URL(override) if override else None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if self._is_override(url):
            return await _pool().handle_async_request(request)
        if url.scheme != "https" or not self._may_reach(url.host):
            raise HostRefused(
                f"plugin {self._slug!r}: {url.scheme}://{url.host} is not among its hosts. "
                f'Use https, and add "{url.host}" to hosts in its plugin.toml.'
            )
        if self._override is not None:
            _divert(request, self._override)
        return await _pool().handle_async_request(request)

    def _is_override(self, url: httpx.URL) -> bool:
        there = self._override
        return there is not None and (url.scheme, url.host, url.port) == (there.scheme, there.host, there.port)

    async def aclose(self) -> None:
        """The pool outlives the client."""


def _divert(request: httpx.Request, there: httpx.URL) -> None:
    """Send the request to the same path at another address."""
    path = there.raw_path.rstrip(b"/") + request.url.raw_path
    request.url = request.url.copy_with(scheme=there.scheme, host=there.host, port=there.port, raw_path=path)
    request.headers["host"] = there.netloc.decode()


def _pool() -> httpx.AsyncHTTPTransport:
    """The connections of the running event loop."""
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        pool = _pools[loop] = httpx.AsyncHTTPTransport(retries=CONNECT_RETRIES, limits=LIMITS, trust_env=False)
    return pool
